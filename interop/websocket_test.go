//go:build interop

package interop

import (
	"fmt"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Plain WebSockets, to the clients that people have: npm's ws, Chromium's own.

var wsPeer = peer{"npm's ws", func() error {
	if out, err := exec.Command("node", "--input-type=module", "--eval", `import "ws"`).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s; try `npm ci` in interop/", err, out)
	}
	return nil
}}

// plainSocket is a client that shows a token in its first frame.
func plainSocket(t *testing.T, name, url string, more map[string]string) *driver {
	t.Helper()
	need(t, nodePeer, wsPeer)
	o := map[string]string{"url": "ws" + strings.TrimPrefix(url, "http") + "/realm/default/ws", "token": token(), "chromium": "", "page": ""}
	maps.Copy(o, more)
	return drive(t, name, node("websocket", o))
}

// startPlainSocket starts a waft behind a relay, and a client that goes through it from a page of another origin.
func startPlainSocket(t *testing.T, chromium string) (*waft, *relay, *driver) {
	t.Helper()
	if chromium != "" {
		need(t, chromiumPeer)
	}
	page := "http://" + net.JoinHostPort("localhost", freePort())
	w := startWaftWith(t, fmt.Sprintf("\n  [realm.http]\n  origins = [%q]\n\n  [realm.websocket]\n  keep_alive = \"100ms\"\n", page))
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	return w, r, plainSocket(t, "ws "+chromium, "http://"+r.addr, map[string]string{"chromium": chromium, "page": page})
}

var plainSocketClients = map[string]string{"ws": "", "chromium": chromiumProgram}

func TestPlainSocket(t *testing.T) {
	for name, chromium := range plainSocketClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, d := startPlainSocket(t, chromium)
			d.subscribe(t, "/open/kept/one", "/open/kept/many/**").subscribed(t)
			d.waitFor(t, "authenticated", 1)
			texts := []string{`{"text":"héllo  </script> + & = % # '","n":1.0}`, `9007199254740993`, `[1,null,true]`}
			curl(t, w, "open/kept/one", texts...)
			d.publish(t, "/open/kept/many/a/b", texts...)
			d.publish(t, "/closed/x", "1") // its token's
			for _, channel := range []string{"/open/kept/one", "/open/kept/many/a/b"} {
				if got, err := d.until(channel, `[1,null,true]`); err != nil || !slices.Equal(got, texts) {
					t.Errorf("received %q, want %q (%v)", got, texts, err)
				}
			}
			d.command(t, map[string]any{"op": "disconnect"})
			d.waitFor(t, "disconnected", 1)
			if err := await("the end of the socket", func() error { return w.metric("waft_websocket_sockets", 0) }); err != nil {
				t.Error(err)
			}
			if n := d.count("pageerror"); n > 0 {
				t.Errorf("%d errors in the page", n)
			}
		})
	}
}

// A client whose connection is cut again and again in the middle of a stream of messages comes back, and has heard all of it, once.
func TestPlainSocket_cut(t *testing.T) {
	for name, chromium := range plainSocketClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const channel = "/open/kept/cut/stream"
			w, r, d := startPlainSocket(t, chromium)
			d.subscribe(t, "/open/kept/one", "/open/kept/cut/**").subscribed(t)
			stream := startStream(t, w, channel)
			const cuts = 5
			for i := range cuts {
				stream.awaitCount(t, stream.count()+20)
				if _, err := d.until(channel, strconv.Itoa(stream.count()-1)); err != nil {
					t.Fatal(err)
				}
				r.cut()
				if err := d.wait("the subscription again", func() bool { return d.seen["ready"] > i+1 }); err != nil {
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
			mustIncrease(t, name, got, false)
			if n := d.count("lost"); n > 0 {
				t.Errorf("%d lost", n)
			}
		})
	}
}

// A stop is told, and what a restart has forgotten too.
func TestPlainSocket_restart(t *testing.T) {
	const channel = "/open/kept/one"
	w, _, d := startPlainSocket(t, "")
	d.subscribe(t, channel).subscribed(t)
	curl(t, w, bare(channel), `"before"`)
	if _, err := d.until(channel, `"before"`); err != nil {
		t.Fatal(err)
	}
	w.proc.stop()
	w.start(t)
	if err := d.wait("the subscription again", func() bool { return d.seen["ready"] > 1 && d.seen["lost"] > 0 }); err != nil {
		t.Fatal(err)
	}
	curl(t, w, bare(channel), "1")
	if got, err := d.until(channel, "1"); err != nil || !slices.Equal(got, []string{`"before"`, "1"}) {
		t.Errorf("received %q (%v)", got, err)
	}
}
