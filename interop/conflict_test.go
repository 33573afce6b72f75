//go:build interop

package interop

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A second waft for the same domain takes the link over, where the server lets the newest have it. The first says so, and does not take it
// back at once: the two would cut each other off for ever.
func TestConflict_the_newer_link_serves_and_the_older_stands_back(t *testing.T) {
	need(t, prosodyPeer, slixmppPeer, curlPeer)
	t.Parallel()
	const channel = "/open/conflict"
	s, err := startProsodyAs("Prosody with two links") // the others' has one
	if err != nil {
		t.Fatal(err)
	}
	older := startWaft(t, s)
	newer := startWaft(t, s)
	err = await("the end of the older link", func() error {
		if !strings.Contains(older.proc.log.String(), "kick_old") { // which the remedy names
			return errors.New("it has not logged the conflict")
		}
		return older.metric("waft_xmpp_link_up", 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	alice := slixmpp(t, s, "alice").subscribe(t, channel)
	alice.subscribed(t)
	curl(t, newer, bare(channel), `"of the newer"`)
	if _, err := alice.until(channel, `"of the newer"`); err != nil {
		t.Error(err)
	}
	// It comes back after half a minute at the earliest (slow_min).
	if a, b := older.links[0].connections(), newer.links[0].connections(); time.Since(began) < 20*time.Second && (a != 1 || b != 1) {
		t.Errorf("the links were made %d and %d times", a, b)
	}
}
