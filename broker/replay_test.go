package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"waft/broker"
	"waft/broker/brokertest"
)

func subscribe(s *broker.Session, p broker.Pattern, o broker.SubscribeOptions) (broker.Subscribed, error) {
	return s.Subscribe(ctx, broker.Principal{}, p, o)
}

func TestSubscribe_replays(t *testing.T) {
	b := brokertest.New(t, broker.Options{Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: 4} }})
	var at []broker.Position
	for i := range 6 {
		at = append(at, brokertest.Publish(t, b, "/a", strconv.Itoa(i)).Position)
	}
	for _, c := range []struct {
		name string
		o    broker.SubscribeOptions
		want []string
		got  broker.Subscribed
	}{
		{"since", broker.SubscribeOptions{Since: at[3]}, []string{"4", "5"}, broker.Subscribed{Recovered: true, Replayed: 2, Position: at[5], From: at[3]}},
		{"since the oldest that is gone", broker.SubscribeOptions{Since: at[1]}, []string{"2", "3", "4", "5"}, broker.Subscribed{Recovered: true, Replayed: 4, Position: at[5], From: at[1]}},
		{"since the newest", broker.SubscribeOptions{Since: at[5]}, nil, broker.Subscribed{Recovered: true, Position: at[5], From: at[5]}},
		{"last one", broker.SubscribeOptions{Last: 1}, []string{"5"}, broker.Subscribed{Replayed: 1, Position: at[5]}},
		{"last many", broker.SubscribeOptions{Last: 99}, []string{"2", "3", "4", "5"}, broker.Subscribed{Replayed: 4, Position: at[5]}},
		{"all", broker.SubscribeOptions{Last: -1}, []string{"2", "3", "4", "5"}, broker.Subscribed{Replayed: 4, Position: at[5]}},
		{"none", broker.SubscribeOptions{}, nil, broker.Subscribed{}},
		{"lost, best effort", broker.SubscribeOptions{Since: at[0], BestEffort: true}, []string{"2", "3", "4", "5"}, broker.Subscribed{Replayed: 4, Position: at[5]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := brokertest.Open(t, b, broker.SessionOptions{})
			got, err := subscribe(s, "/a", c.o)
			if err != nil || got != c.got {
				t.Errorf("got %+v, %v; want %+v", got, err, c.got)
			}
			wantTexts(t, drain(s), c.want...)
		})
	}
	t.Run("again", func(t *testing.T) {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		brokertest.Subscribe(t, s, "/a")
		got, err := subscribe(s, "/a", broker.SubscribeOptions{Last: 2})
		if err != nil || !got.Already || got.Replayed != 2 {
			t.Errorf("got %+v, %v", got, err)
		}
		wantTexts(t, drain(s), "4", "5")
	})
	t.Run("errors leave no subscription", func(t *testing.T) {
		s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 3})
		for _, c := range []struct {
			p    broker.Pattern
			o    broker.SubscribeOptions
			kind broker.Kind
		}{
			{"/a", broker.SubscribeOptions{Since: at[0]}, broker.HistoryLost},
			{"/never", broker.SubscribeOptions{Since: at[0]}, broker.HistoryLost},
			{"/a", broker.SubscribeOptions{Last: -1}, broker.TooLarge},
			{"/**", broker.SubscribeOptions{Since: at[3]}, broker.Invalid},
			{"/a", broker.SubscribeOptions{Since: at[3], Last: 1}, broker.Invalid},
		} {
			if _, err := subscribe(s, c.p, c.o); err == nil || broker.KindOf(err) != c.kind {
				t.Errorf("%s %+v: %v, want kind %v", c.p, c.o, err, c.kind)
			}
		}
		if left := s.Subscriptions(); len(left) != 0 {
			t.Errorf("left with %q", left)
		}
		brokertest.Publish(t, b, "/a", "7")
		wantTexts(t, drain(s))
	})
}

// slowHistory lets a test act between the moment a replay is held and the moment its history is read.
type slowHistory struct {
	broker.Engine
	before func()
	after  func()
}

func (e *slowHistory) History(ctx context.Context, c broker.Channel, r broker.Range) (broker.Page, error) {
	if e.before != nil {
		e.before()
	}
	p, err := e.Engine.History(ctx, c, r)
	if e.after != nil {
		e.after()
	}
	return p, err
}

func TestSubscribe_what_is_published_during_a_replay_comes_after_it_once(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	since := brokertest.Publish(t, b, "/a", "0").Position
	brokertest.Publish(t, b, "/a", "1")
	e.before = func() { brokertest.Publish(t, b, "/a", "2") }
	e.after = func() {
		brokertest.Publish(t, b, "/a", "3")
		if err := b.Remove(ctx, broker.Principal{}, "/a", "none", true); broker.KindOf(err) != broker.NotFound {
			t.Error(err)
		}
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/**") // already live elsewhere: the message must still not overtake the history
	got, err := subscribe(s, "/a", broker.SubscribeOptions{Since: since})
	if err != nil || !got.Recovered || got.Replayed != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	wantTexts(t, drain(s), "1", "2", "3")
}

// What an adapter gives back while a replay is read was there before it, and stays in front; a queue that is over its limits by it has
// no room for the replay, and keeps what it has.
func TestReturn_during_a_replay(t *testing.T) {
	for _, limit := range []int{6, 5} {
		e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
		b := brokertest.New(t, broker.Options{Engine: e})
		s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: limit})
		brokertest.Subscribe(t, s, "/b")
		brokertest.Publish(t, b, "/b", "1")
		brokertest.Publish(t, b, "/b", "2")
		under := s.Drain(nil)
		brokertest.Publish(t, b, "/b", "3")
		since := brokertest.Publish(t, b, "/a", "0").Position
		brokertest.Publish(t, b, "/a", "4")
		e.before = func() {
			s.Return(under)
			brokertest.Publish(t, b, "/a", "5")
		}
		e.after = func() { brokertest.Publish(t, b, "/a", "6") }
		_, err := subscribe(s, "/a", broker.SubscribeOptions{Since: since})
		if limit == 6 {
			if err != nil {
				t.Error(err)
			}
			wantTexts(t, drain(s), "1", "2", "3", "4", "5", "6")
			continue
		}
		if broker.KindOf(err) != broker.TooLarge {
			t.Errorf("got %v", err)
		}
		wantTexts(t, drain(s), "1", "2", "3")
	}
}

func TestSubscribe_a_new_epoch_during_a_replay_is_not_taken_for_the_old(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{MaxChannels: 1})}
	b := brokertest.New(t, broker.Options{Engine: e})
	brokertest.Publish(t, b, "/a", "0")
	brokertest.Publish(t, b, "/a", "1")
	e.after = func() {
		brokertest.Publish(t, b, "/other", "9") // evicts /a
		brokertest.Publish(t, b, "/a", "2")     // the first of a new epoch
	}
	s := brokertest.Open(t, b, broker.SessionOptions{})
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Last: -1}); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, drain(s), "0", "1", "2")
}

func TestSubscribe_a_failed_replay_of_a_live_subscription_loses_nothing(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a")
	e.before = func() { brokertest.Publish(t, b, "/a", "1") }
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Since: broker.Position{Epoch: 1, Offset: 1}}); broker.KindOf(err) != broker.HistoryLost {
		t.Errorf("got %v", err)
	}
	brokertest.Publish(t, b, "/a", "2")
	wantTexts(t, drain(s), "1", "2")
}

func TestSubscribe_too_much_during_a_replay_is_an_error(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	since := brokertest.Publish(t, b, "/a", "0").Position
	e.before = func() {
		for range 4 {
			brokertest.Publish(t, b, "/a", "1")
		}
	}
	s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 3})
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Since: since}); broker.KindOf(err) != broker.Unavailable {
		t.Errorf("got %v", err)
	}
	if len(s.Subscriptions()) != 0 || s.Err() != nil {
		t.Error("a new subscription was left behind, or the session ended")
	}
	e.before = func() {
		e.before = nil
		if _, err := subscribe(s, "/b", broker.SubscribeOptions{Last: 1}); broker.KindOf(err) != broker.Conflict {
			t.Errorf("a second replay at the same time: %v", err)
		}
	}
	if _, err := subscribe(s, "/b", broker.SubscribeOptions{Last: 1}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestSubscribe_leaving_during_a_replay(t *testing.T) {
	e := &slowHistory{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
	b := brokertest.New(t, broker.Options{Engine: e})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	e.before = func() { s.Unsubscribe("/a") }
	if _, err := subscribe(s, "/a", broker.SubscribeOptions{Last: 1}); broker.KindOf(err) != broker.Closed {
		t.Errorf("got %v", err)
	}
	if r := brokertest.Publish(t, b, "/a", "1"); r.Receivers != 0 {
		t.Errorf("%d receivers", r.Receivers)
	}
}

// TestReplay_meets_live_without_gap_or_repeat resumes over and over while others publish: what a reader has seen in
// all its sessions is always a gapless run of offsets.
func TestReplay_meets_live_without_gap_or_repeat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		publishers := rapid.IntRange(1, 4).Draw(rt, "publishers")
		each := rapid.IntRange(1, 150).Draw(rt, "messages each")
		chunk := rapid.IntRange(1, 20).Draw(rt, "messages a session reads")
		total := publishers * each
		b := brokertest.New(t, broker.Options{Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: 10_000} }})
		first := brokertest.Publish(t, b, "/a", "0").Position

		var wg sync.WaitGroup
		for range publishers {
			wg.Go(func() {
				for range each {
					brokertest.Publish(t, b, "/a", "1")
				}
			})
		}
		at := first
		for int(at.Offset) < total+1 {
			s := brokertest.Open(t, b, broker.SessionOptions{})
			if _, err := subscribe(s, "/a", broker.SubscribeOptions{Since: at}); err != nil {
				rt.Fatalf("resume after %d: %v", at.Offset, err)
			}
			ds, err := s.Receive(ctx, chunk)
			if err != nil {
				rt.Fatal(err)
			}
			for _, d := range ds {
				if d.Message.Position.Offset != at.Offset+1 {
					rt.Fatalf("offset %d after %d", d.Message.Position.Offset, at.Offset)
				}
				at = d.Message.Position
			}
			s.Close(nil)
		}
		wg.Wait()
		if int(at.Offset) != total+1 {
			rt.Fatalf("read up to %d of %d", at.Offset, total+1)
		}
	})
}

// TestIndex_agrees_with_a_model draws subscribes, unsubscribes, closes and publishes, and compares who receives what
// with a map.
func TestIndex_agrees_with_a_model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := brokertest.New(t, broker.Options{})
		sessions := make([]*broker.Session, 5)
		model := make([]map[broker.Pattern]bool, len(sessions))
		reopen := func(i int) {
			sessions[i], model[i] = brokertest.Open(t, b, broker.SessionOptions{}), map[broker.Pattern]bool{}
		}
		for i := range sessions {
			reopen(i)
		}
		who := rapid.IntRange(0, len(sessions)-1)
		rt.Repeat(map[string]func(*rapid.T){
			"subscribe": func(rt *rapid.T) {
				i, p := who.Draw(rt, "session"), somePattern.Draw(rt, "pattern")
				if got, err := subscribe(sessions[i], p, broker.SubscribeOptions{}); err != nil || got.Already != model[i][p] {
					rt.Fatalf("got %+v, %v", got, err)
				}
				model[i][p] = true
			},
			"unsubscribe": func(rt *rapid.T) {
				i, p := who.Draw(rt, "session"), somePattern.Draw(rt, "pattern")
				if got := sessions[i].Unsubscribe(p); got != model[i][p] {
					rt.Fatalf("got %v", got)
				}
				delete(model[i], p)
			},
			"close": func(rt *rapid.T) {
				i := who.Draw(rt, "session")
				sessions[i].Close(nil)
				reopen(i)
			},
			"publish": func(rt *rapid.T) {
				c := rapid.SampledFrom(universe).Draw(rt, "channel")
				r := brokertest.Publish(t, b, string(c), "1")
				receivers, subscriptions := 0, 0
				for i, s := range sessions {
					var want []broker.Pattern
					for p := range model[i] {
						subscriptions++
						if matches(p, c) {
							want = append(want, p)
						}
					}
					slices.Sort(want)
					var got []broker.Pattern
					for _, d := range s.Drain(nil) {
						got = append(got, slices.Sorted(d.Patterns())...)
					}
					if !slices.Equal(got, want) {
						rt.Fatalf("session %d got %s for %q, want %q", i, c, got, want)
					}
					if len(want) > 0 {
						receivers++
					}
				}
				if r.Receivers != receivers || b.Stats().Subscriptions != subscriptions {
					rt.Fatalf("receipt %+v, want %d receivers; %d subscriptions, want %d", r, receivers, b.Stats().Subscriptions, subscriptions)
				}
			},
		})
	})
}

// TestIndex_many_sessions crosses the chunk boundaries of a subscription list in every way: fill, thin out from all
// ends, fill again.
func TestIndex_many_sessions(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var sessions []*broker.Session
	join := func(n int) {
		for range n {
			s := brokertest.Open(t, b, broker.SessionOptions{})
			brokertest.Subscribe(t, s, "/a")
			sessions = append(sessions, s)
		}
	}
	check := func() {
		t.Helper()
		if r := brokertest.Publish(t, b, "/a", "1"); r.Receivers != len(sessions) {
			t.Fatalf("%d receivers of %d", r.Receivers, len(sessions))
		}
		for i, s := range sessions {
			if n := len(s.Drain(nil)); n != 1 {
				t.Fatalf("session %d got %d messages", i, n)
			}
		}
	}
	for _, n := range []int{255, 1, 1, 512, 300} {
		join(n)
		check()
	}
	for _, step := range []int{1, 256, 255, 400} {
		for i := range step {
			at := (i * 7919) % len(sessions)
			sessions[at].Close(nil)
			sessions = slices.Delete(sessions, at, at+1)
		}
		check()
		join(3)
		check()
	}
}

func BenchmarkPublish_fan_out(b *testing.B) {
	for _, n := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			x := brokertest.New(b, broker.Options{})
			sessions := make([]*broker.Session, n)
			for i := range sessions {
				sessions[i] = brokertest.Open(b, x, broker.SessionOptions{Wake: func(*broker.Session) {}})
				brokertest.Subscribe(b, sessions[i], "/a")
			}
			data := []byte(`{"text":"hello, and some more to make it a usual size","n":1234567,"tags":["a","b"]}`)
			var buf []broker.Delivery
			b.ReportAllocs()
			for b.Loop() {
				m := &broker.Message{Channel: "/a", Data: data}
				if _, err := x.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
					b.Fatal(err)
				}
				for _, s := range sessions {
					buf = s.Drain(buf[:0])
				}
			}
			if n > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			}
		})
	}
}

// BenchmarkPublish_channels shows that a publish costs the same however many channels others use.
func BenchmarkPublish_channels(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			x := brokertest.New(b, broker.Options{})
			names := make([]broker.Channel, n)
			for i := range names {
				names[i] = broker.Channel(fmt.Sprintf("/c/%d", i))
				s := brokertest.Open(b, x, broker.SessionOptions{Overflow: broker.DropOldest, MaxMessages: 1})
				if i < 99_999 {
					brokertest.Subscribe(b, s, string(names[i]))
				}
				s.Close(nil)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m := &broker.Message{Channel: names[i%n], Data: []byte(`{"n":1}`)}
				if _, err := x.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkMessage_Encoded(b *testing.B) {
	m := &broker.Message{Channel: "/a", Data: []byte("1")}
	e := benchEncoder{}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Encoded(e); err != nil {
				b.Error(err)
			}
		}
	})
}

type benchEncoder struct{}

func (benchEncoder) EncodeMessage(m *broker.Message) ([]byte, error) { return m.Data, nil }
