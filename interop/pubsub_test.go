//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A scene of XEP-0060 with four users, through each server: asking an owner, options of subscriptions, terms, presence, full
// nodes, the end of a node, a flood. drivers/python/pubsub.py says how it goes.
func TestPubsub_a_scene(t *testing.T) {
	need(t, slixmppPeer)
	steps := []string{"features", "version", "pages", "an_owner_lets_somebody_in", "options", "a_term", "presence", "a_full_node", "the_end_of_a_node", "a_flood"}
	for _, server := range xmppKinds {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			t.Parallel()
			s := running(t, server.start)
			w := startWaft(t, s)
			host, port, err := net.SplitHostPort(s.clients)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(systemPython, "drivers/python/pubsub.py", object(map[string]string{
				"host": host, "port": port, "domain": s.host, "password": password, "service": s.service(), "prefix": "/open/kept/scene",
			}))
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, complaints.String())
			}
			var played []string
			for line := range strings.Lines(string(out)) {
				var step struct{ Step, Error string }
				if err := json.Unmarshal([]byte(line), &step); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				played = append(played, step.Step)
				if step.Error != "" {
					t.Errorf("%s: %s", step.Step, step.Error)
				}
			}
			if !slices.Equal(played, steps) {
				t.Errorf("played %v\n%s", played, complaints.String())
			}
			if n := w.links[0].connections(); n != 1 {
				t.Errorf("the link was made %d times", n)
			}
		})
	}
}

// The link is cut again and again while messages are published: none is lost. One may come twice.
func TestPubsub_a_link_that_is_cut_loses_nothing(t *testing.T) {
	need(t, slixmppPeer, curlPeer)
	const channel, each, cuts = "/open/cuts", 300, 3
	for _, server := range xmppKinds {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			t.Parallel()
			s := running(t, server.start)
			w := startWaft(t, s)
			bob := slixmpp(t, s, "bob").subscribe(t, channel)
			bob.subscribed(t)
			sent := 0
			publish := func(n int) {
				texts := make([]string, n)
				for i := range texts {
					texts[i] = fmt.Sprint(sent + i)
				}
				curlBatch(t, w, channel, texts...)
				sent += n
			}
			for range cuts {
				publish(each)
				w.links[0].cut()
				publish(each)
				if err := await("the link to "+s.name, w.links[0].up); err != nil {
					t.Fatal(err)
				}
			}
			publish(1)
			if _, err := bob.until(channel, fmt.Sprint(sent-1)); err != nil {
				t.Error(err)
			}
			got := bob.received(channel)
			lost := 0
			for i := range sent {
				if !slices.Contains(got, fmt.Sprint(i)) {
					lost++
					t.Errorf("message %d was lost", i)
				}
			}
			if n := w.links[0].connections(); n <= cuts {
				t.Errorf("the link was made %d times, for %d cuts", n, cuts)
			}
			t.Logf("\n| published | delivered | lost | came again |\n| %d | %d | %d | %d |", sent, sent-lost, lost, len(got)-sent+lost)
		})
	}
}

// curlBatch publishes many messages in one request, so that they are all on the way at once.
func curlBatch(t *testing.T, w *waft, channel string, texts ...string) {
	t.Helper()
	type item struct {
		Channel string          `json:"channel"`
		JSON    json.RawMessage `json:"json-object"`
	}
	items := make([]item, len(texts))
	for i, text := range texts {
		items[i] = item{bare(channel), json.RawMessage(text)}
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*",
		"--header", "Content-Type: application/json", "--header", "Authorization: Bearer "+token(),
		"--data-binary", "@-", w.url+"/realm/default/publish/")
	cmd.Stdin = bytes.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("curl: publishing %d messages: %v: %s", len(texts), err, out)
	}
}
