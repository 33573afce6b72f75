package bayeux

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestWindow_is_bounded_and_forgets_in_order(t *testing.T) {
	var w window
	w.init(time.Minute)
	for i := range uint64(3 * maxWindow) {
		w.add(i, int64(i))
	}
	equal(t, "remembered", len(w.known), maxWindow)
	equal(t, "the oldest", w.has(2*maxWindow-1, 0), false)
	equal(t, "the first that is kept", w.has(2*maxWindow, 0), true)
	equal(t, "the newest", w.has(3*maxWindow-1, 0), true)
	equal(t, "after the window", w.has(3*maxWindow-1, int64(2*time.Minute)), false)
	equal(t, "remembered after the window", len(w.known), 0)
}

func TestWindow_repeat_does_not_prolong(t *testing.T) {
	var w window
	w.init(time.Minute)
	w.add(1, 0)
	w.add(1, int64(50*time.Second))
	equal(t, "within", w.has(1, int64(time.Minute)), true)
	equal(t, "beyond", w.has(1, int64(time.Minute)+1), false)
}

func TestStorm_table_is_bounded(t *testing.T) {
	var s storm
	for i := range 3 * stormPeers {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if d := s.raise(address, int64(i)); d != 0 {
			t.Fatalf("%v is told to wait %v at its first refusal", address, d)
		}
	}
	equal(t, "addresses", len(s.scores), stormPeers)
	equal(t, "unknown address", s.raise(netip.Addr{}, 0), 0)
}

func TestStorm_counts_networks_of_IPv6(t *testing.T) {
	var s storm
	var last time.Duration
	for i := range 1000 {
		last = s.raise(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)), 0)
	}
	equal(t, "interval", last, stormMost)
	equal(t, "addresses", len(s.scores), 1)
}
