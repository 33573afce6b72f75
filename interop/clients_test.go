//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// Here is every client that the tests drive, and how each is started.

const (
	webSocket   = "websocket"
	longPolling = "long-polling"
)

// fayeJS and cometdJS are Bayeux clients of the newest version; fleet_test.go has the others.
func fayeJS(t *testing.T, w *waft, transport string) *driver {
	t.Helper()
	return bayeuxClient{library: "faye", transport: transport}.start(t, w.url)
}

func cometdJS(t *testing.T, w *waft, transport string) *driver {
	t.Helper()
	return bayeuxClient{library: "cometd", transport: transport}.start(t, w.url)
}

func fayeRuby(t *testing.T, w *waft) *driver {
	t.Helper()
	return bayeuxClient{library: fayeInRuby, transport: webSocket}.start(t, w.url)
}

// fanoutClient is one of Fanout's publishers: "fanoutpub", "pubcontrol" or
// "grip".
func fanoutClient(t *testing.T, w *waft, script, key string) *driver {
	t.Helper()
	need(t, nodePeer)
	return drive(t, script, node(script, map[string]string{"url": w.url, "realm": "default", "key": key}))
}

// slixmpp is a user of an XMPP server.
func slixmpp(t *testing.T, s *xmppServer, user string) *driver {
	t.Helper()
	need(t, slixmppPeer)
	host, port, err := net.SplitHostPort(s.clients)
	if err != nil {
		t.Fatal(err)
	}
	return drive(t, fmt.Sprintf("slixmpp as %s", s.jid(user)), exec.Command(systemPython, "drivers/python/xmpp.py", object(map[string]string{
		"host": host, "port": port, "jid": s.jid(user), "password": password, "service": s.service(),
	})))
}

// curl publishes one message per run of the program, and the text as it is.
func curl(t *testing.T, w *waft, channel string, texts ...string) {
	t.Helper()
	need(t, curlPeer)
	for _, text := range texts {
		body := fmt.Sprintf(`{"items":[{"channel":%q,"json-object":%s}]}`, channel, text)
		cmd := exec.Command("curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*",
			"--header", "Content-Type: application/json", "--header", "Authorization: Bearer "+token(),
			"--data-binary", "@-", w.url+"/realm/default/publish/")
		cmd.Stdin = strings.NewReader(body)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("curl: publishing %s: %v: %s", text, err, out)
		}
	}
}

// waftSubscribe is the program's own subscriber.
func waftSubscribe(t *testing.T, w *waft, channels ...string) *driver {
	t.Helper()
	return waftSubscriber(t, exec.Command(executable(t), append([]string{"subscribe", "--server", w.url}, channels...)...))
}

// waftSubscriber runs a command line of `waft subscribe`. It subscribes as it
// starts, and says on stderr when that is done.
func waftSubscriber(t *testing.T, cmd *exec.Cmd) *driver {
	t.Helper()
	d := driveAs(t, "waft subscribe", cmd, func(line []byte) (event, error) {
		var message struct {
			Channel string
			Data    json.RawMessage
		}
		if err := json.Unmarshal(line, &message); err != nil {
			return event{}, fmt.Errorf("%w in %s", err, line)
		}
		text := string(message.Data)
		return event{Ev: "message", Channel: message.Channel, Text: &text}, nil
	})
	go func() {
		err := await("word of the subscription", func() error {
			if !strings.Contains(d.proc.log.String(), "subscribed to") {
				return errors.New("none on stderr")
			}
			return nil
		})
		if err == nil {
			d.take(event{Ev: "ready"}, nil)
		}
	}()
	return d
}

func node(script string, options map[string]string) *exec.Cmd {
	return exec.Command("node", "drivers/js/"+script+".mjs", object(options))
}

func object(options map[string]string) string {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(options); err != nil {
		panic(err)
	}
	return text.String()
}
