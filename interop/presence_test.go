//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Faye's and CometD's clients in a channel, and one that hears who is there.
func TestPresence(t *testing.T) {
	need(t, nodePeer)
	const room = "/open/room"
	w := startWaft(t)
	w.proc.stop()
	w.configure(t, `
  [realm.bayeux]
  max_interval = "2s"

  [realm.presence]
  match = ["/open/**"]
  interval = "200ms"
  grace = "500ms"
`)
	w.start(t)
	counts, becomes := hearPresence(t, w, room)
	becomes(0)
	var here []*driver
	for i, join := range []func(*testing.T, *waft, string) *driver{fayeJS, fayeJS, cometdJS} {
		d := join(t, w, []string{webSocket, longPolling, webSocket}[i])
		d.subscribe(t, room).subscribed(t)
		here = append(here, d)
		becomes(i + 1)
	}
	// Nobody else speaks there.
	if failure := fayeJS(t, w, webSocket).tryPublish(t, room+"/presence", `{"count":99,"anonymous":0}`); failure == nil || failure.Status != 403 {
		t.Errorf("publishing to the presence channel: %+v", failure)
	}
	// Who is gone without a word is missed when his session has expired.
	for i, d := range here {
		d.proc.kill()
		becomes(len(here) - 1 - i)
	}
	if list := counts(); slices.Contains(list, 99) {
		t.Errorf("heard the counts %v", list)
	}
}

// Clients whose sessions expire while there is no way through make new ones, and subscribe again. Who is back within the grace
// has never left.
func TestPresence_who_is_back_in_time_has_not_left(t *testing.T) {
	need(t, nodePeer)
	const room = "/open/lobby"
	w := startWaft(t)
	w.proc.stop()
	w.configure(t, `
  [realm.bayeux]
  max_interval = "300ms"

  [realm.presence]
  match = ["/open/**"]
  interval = "100ms"
  grace = "30s"
`)
	w.start(t)
	counts, becomes := hearPresence(t, w, room)
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	var here []*driver
	for _, transport := range []string{webSocket, longPolling} {
		d := bayeuxClient{library: "faye", transport: transport}.start(t, "http://"+r.addr).subscribe(t, room)
		d.subscribed(t)
		here = append(here, d)
		becomes(len(here))
	}
	r.interrupt()
	if err := await("the sessions to expire", func() error { return w.metric("waft_sessions", 1) }); err != nil {
		t.Fatal(err)
	}
	r.resume()
	for _, d := range here {
		if err := await("a new session", func() error {
			if n := d.count("handshake"); n < 2 {
				return errors.New("there is none")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := await("their subscriptions", func() error { return w.metric("waft_subscriptions", 3) }); err != nil {
		t.Fatal(err)
	}
	fayeJS(t, w, webSocket).subscribe(t, room).subscribed(t) // a newcomer has it counted anew
	becomes(3)
	if list := counts(); !slices.IsSorted(list) {
		t.Errorf("heard the counts %v", list)
	}
}

// hearPresence has somebody listen to the presence of a channel: what counts were heard, and a wait for one to be the last.
func hearPresence(t *testing.T, w *waft, room string) (counts func() []int, becomes func(int)) {
	t.Helper()
	ear := fayeJS(t, w, webSocket)
	ear.subscribe(t, room+"/presence").subscribed(t)
	counts = func() (list []int) {
		for _, text := range ear.received(room + "/presence") {
			var m struct{ Count int }
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			list = append(list, m.Count)
		}
		return list
	}
	becomes = func(n int) {
		t.Helper()
		if err := await("the count", func() error {
			if list := counts(); len(list) == 0 || list[len(list)-1] != n {
				return errors.New("it is not, yet")
			}
			return nil
		}); err != nil {
			t.Fatalf("heard the counts %v, and not %d at last: %v", counts(), n, err)
		}
	}
	return counts, becomes
}
