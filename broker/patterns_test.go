package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestPatterns_match_what_one_of_them_matches(t *testing.T) {
	name := rapid.StringMatching(`(/[ab]){1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		c := broker.Channel(name.Draw(t, "channel"))
		all := rapid.SliceOfN(rapid.StringMatching(`(/[ab]){0,3}(/[ab]|/\*|/\*\*)`), 0, 20).Draw(t, "patterns")
		var ps, want []broker.Pattern
		for _, p := range all {
			ps = append(ps, broker.Pattern(p))
			if p := broker.Pattern(p); p.Matches(c) && !slices.Contains(want, p) {
				want = append(want, p)
			}
		}
		set := broker.PatternsOf(ps...)
		got := slices.Sorted(set.Matching(c))
		slices.Sort(want)
		if !slices.Equal(got, want) || set.Match(c) != (want != nil) {
			t.Fatalf("%s is matched by %q of %q, want %q", c, got, all, want)
		}
	})
}

// listings counts how often an engine is asked for its channels.
type listings struct {
	broker.Engine
	n int
}

func (l *listings) Channels(ctx context.Context, ps broker.Patterns, after broker.Channel, limit int) ([]broker.ChannelInfo, error) {
	l.n++
	return l.Engine.Channels(ctx, ps, after, limit)
}

func TestSubscribe_many_wildcards_cost_one_look_at_the_channels(t *testing.T) {
	e := &listings{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	for _, c := range []string{"/a/x", "/a/y", "/b/x", "/b/c/x", "/d"} {
		brokertest.Publish(t, b, c, "1")
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	all := broker.SubscribeOptions{Last: -1}
	named := broker.SubscribeOptions{Last: -1, Each: map[broker.Channel]broker.Start{"/b/x": {}}}
	done, err := s.SubscribeAll(ctx, broker.Principal{}, []broker.Subscription{
		{Pattern: "/a/*", SubscribeOptions: all},
		{Pattern: "/b/*", SubscribeOptions: named},
		{Pattern: "/b/**", SubscribeOptions: all},
		{Pattern: "/d"},
		{Pattern: "/none/**", SubscribeOptions: all},
	})
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	for _, d := range done {
		counts = append(counts, d.Replayed)
	}
	if want := []int{2, 1, 2, 0, 0}; !slices.Equal(counts, want) || e.n != 1 {
		t.Errorf("replayed were %v, want %v, after %d listings", counts, want, e.n)
	}
}

// BenchmarkSubscribe_wildcards replays wildcards that match a few of a realm's channels: what it costs does not depend on how many
// wildcards there are, but on the channels, of which each is looked at once.
func BenchmarkSubscribe_wildcards(b *testing.B) {
	const channels = 100_000
	x := brokertest.New(b, broker.Options{})
	for i := range channels {
		brokertest.Publish(b, x, fmt.Sprintf("/c/%d/x/y", i), "1")
	}
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("wildcards=%d", n), func(b *testing.B) {
			all := make([]broker.Subscription, n)
			for i := range all {
				all[i] = broker.Subscription{Pattern: broker.Pattern(fmt.Sprintf("/c/%d/**", i)), SubscribeOptions: broker.SubscribeOptions{Last: -1}}
			}
			b.ReportAllocs()
			for b.Loop() {
				s := brokertest.Open(b, x, broker.SessionOptions{})
				if done, err := s.SubscribeAll(ctx, broker.Principal{}, all); err != nil || done[n-1].Replayed != 1 {
					b.Fatalf("%+v, %v", done, err)
				}
				s.Close(nil)
			}
		})
	}
}

// BenchmarkSubscribe_marks subscribes to channels that want to know where they begin, in a session that has many subscriptions: they
// are looked up, not gone through.
func BenchmarkSubscribe_marks(b *testing.B) {
	x := brokertest.New(b, broker.Options{})
	for _, n := range []int{10, 1_000} {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			s := brokertest.Open(b, x, broker.SessionOptions{MaxSubscriptions: -1})
			for i := range n {
				brokertest.Subscribe(b, s, fmt.Sprintf("/old/%d/**", i))
			}
			all := make([]broker.Subscription, 500)
			for i := range all {
				all[i] = broker.Subscription{Pattern: broker.Pattern(fmt.Sprintf("/new/%d", i)), SubscribeOptions: broker.SubscribeOptions{Mark: true}}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.SubscribeAll(ctx, broker.Principal{}, all); err != nil {
					b.Fatal(err)
				}
				for _, one := range all {
					s.Unsubscribe(one.Pattern)
				}
			}
		})
	}
}
