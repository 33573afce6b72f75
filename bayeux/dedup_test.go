package bayeux

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

// A client that publishes again because it was refused has published nothing yet.
func TestPublish_that_failed_is_not_taken_for_done(t *testing.T) {
	var open atomic.Bool
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		fails(t, s.post(publish(id, `"7"`, "/a", "1")).with(t, `"7"`), "403:/a:Forbidden channel")
		open.Store(true)
		for range 2 {
			ok(t, s.post(publish(id, `"7"`, "/a", "1")).with(t, `"7"`))
		}
		equal(t, "events", fmt.Sprint(s.post(connectNow(id, `"c"`)).events()), "[1]")
		equal(t, "duplicates", s.h.Stats().Duplicates, 1)
	}, func(_ *Options, bo *broker.Options) {
		bo.Authorizer = brokertest.AuthorizerFunc(func(_ context.Context, _ broker.Principal, act broker.Action, _ broker.Pattern) error {
			if act == broker.ActPublish && !open.Load() {
				return broker.Errorf(broker.Forbidden, "not yet")
			}
			return nil
		})
	})
}

// Faye sends a publish again over another connection while the first may still be on its way.
func TestPublish_twice_at_a_time_is_published_once(t *testing.T) {
	s := newServer(t, func(_ *Options, bo *broker.Options) {
		bo.Authorizer = brokertest.AuthorizerFunc(func(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
			runtime.Gosched()
			return nil
		})
	})
	id := s.connected()
	const rounds = 50
	for i := range rounds {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { ok(t, s.post(publish(id, fmt.Sprint(i), "/a", "1")).with(t, fmt.Sprint(i))) })
		}
		all.Wait()
	}
	equal(t, "published", s.b.Stats().Published, rounds)
}

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
