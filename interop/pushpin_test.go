//go:build interop

package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

var pushpinPeer = peer{"Pushpin with Zurl", func() error {
	for _, file := range []string{"pushpin", "zurl"} {
		if err := installed(file, "apt-get install pushpin zurl"); err != nil {
			return err
		}
	}
	return nil
}}

// pushpinConfig leaves message_rate and message_hwm out: Pushpin's own configuration has 2,500 deliveries a second, and 25,000 that wait, and
// without the two there is no limit. With a rate, however high, it would deliver every 25 ms and no sooner. Debian's Pushpin does not start Zurl,
// which asks the backend, and looks for one in /run.
var pushpinConfig = template.Must(template.New("pushpin.conf").Parse(`
[global]
include=/usr/lib/pushpin/internal.conf
rundir={{.Dir}}
ipc_prefix=p-
port_offset=0

[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port={{.Addr}}
logdir={{.Dir}}
log_level=0
client_buffer_size=8192
client_maxconn=20000

[proxy]
routesfile={{.Dir}}/routes
zurl_out_specs=ipc://{{.Dir}}/zurl-in
zurl_out_stream_specs=ipc://{{.Dir}}/zurl-in-stream
zurl_in_specs=ipc://{{.Dir}}/zurl-out

[handler]
push_in_spec=ipc://{{.Dir}}/p-push
push_in_sub_specs=ipc://{{.Dir}}/p-push-sub
push_in_http_addr=127.0.0.1
push_in_http_port={{.Publish}}
command_spec=ipc://{{.Dir}}/p-command
stats_spec=ipc://{{.Dir}}/p-stats
`))

var zurlConfig = template.Must(template.New("zurl.conf").Parse(`
[General]
in_spec=ipc://{{.Dir}}/zurl-in
in_stream_spec=ipc://{{.Dir}}/zurl-in-stream
out_spec=ipc://{{.Dir}}/zurl-out
defpolicy=allow
max_open_requests=2000
buffer_size=200000
timeout=600
`))

// pushpinLead is what Condure 1.9, Pushpin's front, needs to be ahead. Once in 45 s it goes through all of client_maxconn places, half of them in
// each of its two threads, and tells of those who are there. A stream that is just being handed over from the proxy to the handler is cut off
// by that ("received message out of sequence, canceling"; not since Pushpin 1.41), so it is to be past the places that will be taken. A greater
// client_maxconn, with which it is so sooner, has longer queues as well, and makes a delivery dearer.
const pushpinLead = 45 * time.Second / 20000 * 11 / 10

// startPushpin starts Pushpin before a backend that holds every request as an event stream of the channel that it asks for.
func startPushpin(t *testing.T) *racing {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", r.URL.Query().Get("channel"))
		_, _ = io.WriteString(w, ": hi\n\n")
	}))
	t.Cleanup(backend.Close)
	dir, err := os.MkdirTemp("", "pp-") //nolint:usetesting // short, for a socket's name has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	addr, publish := freeAddr(), freeAddr()
	for _, config := range []*template.Template{pushpinConfig, zurlConfig} {
		var text strings.Builder
		err := config.Execute(&text, map[string]string{"Dir": dir, "Addr": addr, "Publish": port(publish)})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, config.Name()), []byte(text.String()), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	route := "* " + strings.TrimPrefix(backend.URL, "http://") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "routes"), []byte(route), 0o600); err != nil {
		t.Fatal(err)
	}
	mustStart(t, "zurl", exec.Command("zurl", "--config="+filepath.Join(dir, "zurl.conf")))
	p := mustStart(t, "Pushpin", exec.Command("pushpin", "--config="+filepath.Join(dir, "pushpin.conf"), "--merge-output"))
	ready := func() error {
		if err := listening(publish); err != nil {
			return err
		}
		response, err := http.Get("http://" + addr + "/?channel=x")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return nil
	}
	return &racing{p, true, pushpinLead, ready, map[string][]string{"sse": {
		"--subscribe-url", "http://" + addr + "/?channel={channel}", "--publish-url", "http://" + publish + "/publish/", "--publish-type", "application/json",
		"--publish-body", `{"items":[{"channel":"{channel}","formats":{"http-stream":{"content":"data: {string}\n\n"}}}]}`,
	}}}
}
