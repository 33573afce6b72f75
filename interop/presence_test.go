//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"slices"
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
	ear := fayeJS(t, w, webSocket)
	ear.subscribe(t, room+"/presence").subscribed(t)

	counts := func() (list []int) {
		for _, text := range ear.received(room + "/presence") {
			var m struct{ Count int }
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			list = append(list, m.Count)
		}
		return list
	}
	becomes := func(n int) {
		t.Helper()
		if err := await("the count", func() error {
			if list := counts(); len(list) == 0 || list[len(list)-1] != n {
				return errors.New("it is none of it yet")
			}
			return nil
		}); err != nil {
			t.Fatalf("heard the counts %v, and not %d at last: %v", counts(), n, err)
		}
	}
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
