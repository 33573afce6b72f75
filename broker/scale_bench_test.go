package broker_test

import (
	"fmt"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// readers opens sessions, each with the patterns that of gives it.
func readers(b *testing.B, x *broker.Broker, n int, of func(i int) []string) []*broker.Session {
	b.Helper()
	sessions := make([]*broker.Session, n)
	for i := range sessions {
		sessions[i] = brokertest.Open(b, x, broker.SessionOptions{Wake: func(*broker.Session) {}})
		for _, p := range of(i) {
			brokertest.Subscribe(b, sessions[i], p)
		}
	}
	return sessions
}

func benchPublish(b *testing.B, x *broker.Broker, c broker.Channel) {
	m := &broker.Message{Channel: c, Data: []byte(`{"n":1}`)}
	if _, err := x.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublish_to_each is a publish to each of so many channels in turn, with one living subscriber each, and its reader's part.
func BenchmarkPublish_to_each(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			x := brokertest.New(b, broker.Options{MaxSessions: n})
			names := make([]broker.Channel, n)
			for i := range names {
				names[i] = broker.Channel(fmt.Sprintf("/c/%d", i))
			}
			sessions := readers(b, x, n, func(i int) []string { return []string{string(names[i])} })
			for i, c := range names { // the engine knows all of them
				benchPublish(b, x, c)
				sessions[i].Drain(nil)
			}
			var buf []broker.Delivery
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				benchPublish(b, x, names[i%n])
				if buf = sessions[i%n].Drain(buf[:0]); len(buf) != 1 {
					b.Fatalf("%d deliveries", len(buf))
				}
				i++
			}
		})
	}
}

// BenchmarkPublish_wildcards publishes where wildcards are many: those that do not match, and those that match everybody several times.
func BenchmarkPublish_wildcards(b *testing.B) {
	for _, c := range []struct {
		name     string
		sessions int
		patterns func(i int) []string
		receive  bool // all do
	}{
		{"10000_that_do_not_match", 10_000, func(i int) []string { return []string{fmt.Sprintf("/other/%d/**", i)} }, false},
		{"1000_that_match_once", 1000, func(int) []string { return []string{"/a/**"} }, true},
		{"1000_that_match_three_times", 1000, func(int) []string { return []string{"/a/b/c", "/a/b/*", "/a/**"} }, true},
		{"1000_one_of_them_twice", 1000, func(i int) []string { return []string{"/a/b/c", "/a/**"}[:1+min(1, i/999)] }, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := brokertest.New(b, broker.Options{MaxSessions: c.sessions})
			sessions := readers(b, x, c.sessions, c.patterns)
			var buf []broker.Delivery
			b.ReportAllocs()
			for b.Loop() {
				benchPublish(b, x, "/a/b/c")
				if !c.receive {
					continue
				}
				for _, s := range sessions {
					if buf = s.Drain(buf[:0]); len(buf) != 1 {
						b.Fatal(len(buf))
					}
				}
			}
			if c.receive {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.sessions), "ns/delivery")
			}
		})
	}
}

// BenchmarkSubscribe_churn is one session that leaves and comes again, where so many others stay: on the same pattern, or on one each.
func BenchmarkSubscribe_churn(b *testing.B) {
	for _, others := range []int{0, 1000, 100_000} {
		for name, own := range map[string]bool{"same": false, "each": true} {
			b.Run(fmt.Sprintf("others=%d/%s", others, name), func(b *testing.B) {
				x := brokertest.New(b, broker.Options{MaxSessions: others + 1})
				sessions := readers(b, x, others+1, func(i int) []string {
					if own {
						return []string{fmt.Sprintf("/c/%d/*", i)}
					}
					return []string{"/c/0/*"}
				})
				s := sessions[0]
				b.ReportAllocs()
				for b.Loop() {
					if !s.Unsubscribe("/c/0/*") {
						b.Fatal("it was not subscribed")
					}
					brokertest.Subscribe(b, s, "/c/0/*")
				}
			})
		}
	}
}
