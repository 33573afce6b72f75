//go:build interop

package interop

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Event streams, to the clients that their readers have: Chromium's EventSource, two of npm, curl.

// eventsClient is one of them.
type eventsClient struct {
	name, client, chromium string
}

var eventsClients = []eventsClient{
	{"eventsource", "eventsource", ""},
	{"reconnecting-eventsource", "reconnecting-eventsource", ""},
	{"chromium", "eventsource", chromiumProgram},
	{"reconnecting-eventsource_in_chromium", "reconnecting-eventsource", chromiumProgram},
}

var eventsPeer = peer{"eventsource and reconnecting-eventsource", func() error {
	code := `import "eventsource"; import "reconnecting-eventsource"`
	if out, err := exec.Command("node", "--input-type=module", "--eval", code).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s; try `npm ci` in interop/", err, out)
	}
	return nil
}}

// startEvents starts a waft behind a relay, and a client that listens through it from a page of another origin.
func startEvents(t *testing.T, c eventsClient, channels ...string) (*waft, *relay, *driver) {
	t.Helper()
	need(t, nodePeer, eventsPeer)
	if c.chromium != "" {
		need(t, chromiumPeer)
	}
	page := "http://" + net.JoinHostPort("localhost", freePort())
	w := startWaftWith(t, fmt.Sprintf("\n  [realm.http]\n  origins = [%q]\n\n  [realm.events]\n  retry = \"100ms\"\n", page))
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	d := drive(t, c.name, node("events", map[string]string{
		"url": "http://" + r.addr + "/realm/default/events", "client": c.client, "chromium": c.chromium, "page": page,
	}))
	d.subscribe(t, channels...)
	d.subscribed(t)
	return w, r, d
}

func TestEvents(t *testing.T) {
	for _, c := range eventsClients {
		t.Run(c.name, func(t *testing.T) {
			w, _, d := startEvents(t, c, "/open/kept/one", "/open/kept/many/**")
			texts := []string{`{"text":"héllo \u2028 </script> + & = % # '"}`, `"plain"`, `7`, `[1,null,true]`}
			var want []string
			for _, text := range texts {
				want = append(want, asJavaScript(text))
			}
			curl(t, w, bare("/open/kept/one"), texts...)
			curl(t, w, bare("/open/kept/many/a/b"), texts...)
			for _, channel := range []string{"/open/kept/one", "/open/kept/many/a/b"} {
				if got, err := d.until(channel, `[1,null,true]`); err != nil || !slices.Equal(got, want) {
					t.Errorf("received %q, want %q (%v)", got, want, err)
				}
			}
			d.command(t, map[string]any{"op": "disconnect"})
			d.waitFor(t, "disconnected", 1)
			if err := await("the end of the stream", func() error { return w.metric("waft_events_streams", 0) }); err != nil {
				t.Error(err)
			}
			if n := d.count("pageerror"); n > 0 {
				t.Errorf("%d errors in the page", n)
			}
		})
	}
}

// A client whose connection is cut again and again in the middle of a stream of messages comes back by itself, and has heard all of it, once.
func TestEvents_cut(t *testing.T) {
	for _, c := range eventsClients {
		t.Run(c.name, func(t *testing.T) {
			const channel = "/open/kept/cut/stream"
			w, r, d := startEvents(t, c, "/open/kept/one", "/open/kept/cut/**")
			stream := startStream(t, w, channel)
			const cuts = 5
			for i := range cuts {
				stream.awaitCount(t, stream.count()+20)
				if _, err := d.until(channel, strconv.Itoa(stream.count()-1)); err != nil {
					t.Fatal(err)
				}
				r.cut()
				if err := d.wait("the stream again", func() bool { return d.seen["ready"] > i+1 }); err != nil {
					t.Fatal(err)
				}
			}
			last := stream.stop(t)
			got, err := d.until(channel, strconv.Itoa(last))
			if err != nil {
				t.Error(err)
			}
			if len(got) != last+1 {
				t.Errorf("%d messages, want %d", len(got), last+1)
			}
			mustIncrease(t, c.name, got, false)
			if n := d.count("reset"); n > 0 {
				t.Errorf("%d resets", n)
			}
		})
	}
}

// What waft has forgotten it says.
func TestEvents_restart(t *testing.T) {
	for _, c := range eventsClients {
		t.Run(c.name, func(t *testing.T) {
			const channel = "/open/kept/one"
			w, _, d := startEvents(t, c, channel, "/open/kept/many/**")
			curl(t, w, bare(channel), `"before"`)
			if _, err := d.until(channel, `"before"`); err != nil {
				t.Fatal(err)
			}
			for i, end := range []func(*process){(*process).kill, (*process).stop} {
				end(w.proc)
				w.start(t)
				if err := d.wait("the stream again", func() bool { return d.seen["ready"] > i+1 && d.seen["reset"] > i }); err != nil {
					t.Fatal(err)
				}
				curl(t, w, bare(channel), strconv.Itoa(i))
				if _, err := d.until(channel, strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			}
			if got, want := d.received(channel), []string{`"before"`, "0", "1"}; !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
		})
	}
}

func TestEvents_curl(t *testing.T) {
	need(t, curlPeer)
	w := startWaft(t)
	listen := func(more ...string) *driver {
		args := append([]string{"--silent", "--no-buffer", w.url + "/realm/default/events?channel=/open/kept/c&envelope=0"}, more...)
		return driveAs(t, "curl", exec.Command("curl", args...), func(line []byte) (event, error) {
			field, value, _ := strings.Cut(string(line), ": ")
			switch field {
			case "data":
				return event{Ev: "message", Channel: "data", Text: &value}, nil
			case "id":
				return event{Ev: "sent", ID: value}, nil
			}
			return event{Ev: "line"}, nil
		})
	}
	first := listen()
	if _, err := first.until("data", `{"resumed":false}`); err != nil {
		t.Fatal(err)
	}
	curl(t, w, "open/kept/c", "1")
	if _, err := first.until("data", "1"); err != nil {
		t.Fatal(err)
	}
	first.mu.Lock()
	id := first.sent
	first.mu.Unlock()
	first.proc.stop()
	curl(t, w, "open/kept/c", "2", `{"three":3}`)
	second := listen("--header", "Last-Event-ID: "+id)
	got, err := second.until("data", `{"three":3}`)
	if want := []string{`{"resumed":true}`, "2", `{"three":3}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("received %q, want %q (%v)", got, want, err)
	}
}
