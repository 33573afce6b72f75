package presence_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/broker/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	interval = time.Second
	grace    = 5 * time.Second
	slack    = 100 * time.Millisecond // more than the wheel is late
)

// world is a broker whose channels below /chat have a presence.
type world struct {
	*testing.T
	b *broker.Broker
	p *presence.Tracker
}

// bubble runs f with fake time.
func bubble(t *testing.T, o presence.Options, f func(w *world), set ...func(*broker.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Match == nil {
			o.Match = []broker.Pattern{"/chat/**"}
		}
		p, err := presence.New(o)
		if err != nil {
			t.Fatal(err)
		}
		bo := broker.Options{Authorizer: brokertest.AllowAll, OnEvent: p.Observe}
		for _, s := range set {
			s(&bo)
		}
		bo.Authorizer = p.Authorizer(bo.Authorizer)
		b := brokertest.New(t, bo)
		p.Start(b)
		t.Cleanup(p.Close)
		f(&world{t, b, p})
	})
}

// someone is a session of the subject with a subscription to each of the patterns.
func (w *world) someone(subject string, patterns ...string) *broker.Session {
	w.Helper()
	s := brokertest.Open(w.T, w.b, broker.SessionOptions{MaxMessages: 100_000})
	for _, p := range patterns {
		w.subscribe(s, subject, p)
	}
	return s
}

func (w *world) subscribe(s *broker.Session, subject, p string) {
	w.Helper()
	who := broker.Principal{Subject: subject}
	if subject != "" {
		who.Issuer = "test"
	}
	if _, err := s.Subscribe(context.Background(), who, broker.Pattern(p), broker.SubscribeOptions{}); err != nil {
		w.Fatal(err)
	}
}

// hears fails unless exactly these messages are what s has got.
func (w *world) hears(s *broker.Session, want ...string) {
	w.Helper()
	synctest.Wait()
	if got := brokertest.Texts(s.Drain(nil)); !slices.Equal(got, want) {
		w.Fatalf("heard\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPresence_tells_who_joins_and_who_leaves(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		pass(interval + slack)
		w.hears(ear, `{"count":0,"anonymous":0,"present":[]}`)
		alice := w.someone("alice", "/chat/42")
		w.someone("bob", "/chat/42")
		w.someone("", "/chat/42")
		w.someone("eve", "/chat/43", "/chat/*", "/chat/**") // elsewhere
		pass(interval - slack)
		w.hears(ear)
		pass(2 * slack)
		w.hears(ear, `{"count":3,"anonymous":1,"joined":["alice","bob"]}`)
		alice.Unsubscribe("/chat/42")
		pass(interval + grace - slack)
		w.hears(ear)
		pass(2 * slack)
		w.hears(ear, `{"count":2,"anonymous":1,"left":["alice"]}`)
		pass(time.Hour)
		w.hears(ear)
	})
}

func TestPresence_sees_every_way_to_leave(t *testing.T) {
	for name, leave := range map[string]func(w *world) *broker.Session{
		"unsubscribe": func(w *world) *broker.Session {
			s := w.someone("alice", "/chat/42")
			time.AfterFunc(20*time.Second, func() { s.Unsubscribe("/chat/42") })
			return s
		},
		"end": func(w *world) *broker.Session {
			s := w.someone("alice", "/chat/42")
			time.AfterFunc(20*time.Second, func() { s.Close(nil) })
			return s
		},
		"expiry": func(w *world) *broker.Session {
			s := brokertest.Open(w.T, w.b, broker.SessionOptions{IdleTTL: 20 * time.Second})
			w.subscribe(s, "alice", "/chat/42")
			return s
		},
		"lapse": func(w *world) *broker.Session {
			s := w.someone("alice")
			who := broker.Principal{Subject: "alice", Issuer: "test", Expires: time.Now().Add(20 * time.Second)}
			if _, err := s.Subscribe(context.Background(), who, "/chat/42", broker.SubscribeOptions{}); err != nil {
				w.Fatal(err)
			}
			return s
		},
		"too slow": func(w *world) *broker.Session {
			s := brokertest.Open(w.T, w.b, broker.SessionOptions{MaxMessages: 1})
			w.subscribe(s, "alice", "/chat/42")
			time.AfterFunc(20*time.Second, func() {
				brokertest.Publish(w.T, w.b, "/chat/42", `1`)
				brokertest.Publish(w.T, w.b, "/chat/42", `2`)
			})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, presence.Options{}, func(w *world) {
				leave(w)
				pass(10 * time.Second)
				ear := w.someone("", "/chat/42/presence")
				pass(interval + slack)
				w.hears(ear, `{"count":1,"anonymous":0,"present":["alice"]}`)
				pass(time.Minute)
				w.hears(ear, `{"count":0,"anonymous":0,"left":["alice"]}`)
				if st := w.p.Stats(); st.Channels != 0 || st.Members != 0 {
					t.Errorf("what remains: %+v", st)
				}
			}, func(o *broker.Options) {
				// It needs a credential, or it would not end with one.
				o.Authorizer = brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
					if who.Anonymous() && act == broker.ActSubscribe && p == "/chat/42" {
						return broker.Errorf(broker.Unauthenticated, "a credential is needed")
					}
					return nil
				})
			})
		})
	}
}

func TestPresence_of_a_subject_is_that_of_all_its_sessions(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		one := w.someone("alice", "/chat/42")
		pass(interval + slack)
		w.hears(ear, `{"count":1,"anonymous":0,"joined":["alice"],"present":["alice"]}`)
		two := w.someone("alice", "/chat/42")
		pass(time.Minute)
		one.Close(nil)
		pass(time.Minute)
		w.hears(ear)
		two.Close(nil)
		pass(time.Minute)
		w.hears(ear, `{"count":0,"anonymous":0,"left":["alice"]}`)
	})
}

func TestPresence_who_is_back_in_time_has_not_left(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		join := func() []*broker.Session {
			return []*broker.Session{w.someone("alice", "/chat/42"), w.someone("", "/chat/42"), w.someone("", "/chat/42")}
		}
		here := join()
		pass(interval + slack)
		w.hears(ear, `{"count":3,"anonymous":2,"joined":["alice"],"present":["alice"]}`)
		for range 5 {
			for _, s := range here {
				s.Close(nil)
			}
			pass(grace - interval)
			here = join()
			pass(time.Minute)
		}
		w.hears(ear)
	})
}

func TestPresence_who_comes_and_goes_between_two_looks_was_not_there(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		pass(interval + slack)
		w.hears(ear, `{"count":0,"anonymous":0,"present":[]}`)
		w.someone("alice", "/chat/42").Close(nil)
		w.someone("", "/chat/42").Close(nil)
		pass(time.Minute)
		w.hears(ear)
	})
}

func TestPresence_storm_is_one_message(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		const crowd = 10_000
		ear := w.someone("", "/chat/42/presence")
		pass(interval + slack)
		ear.Drain(nil)
		var all []*broker.Session
		for i := range crowd {
			all = append(all, w.someone(fmt.Sprintf("user-%05d", i), "/chat/42"))
		}
		pass(interval + slack)
		got := brokertest.Texts(ear.Drain(nil))
		if len(got) != 1 || !strings.HasPrefix(got[0], `{"count":10000,"anonymous":0,"joined":["user-`) || !strings.HasSuffix(got[0], `"],"joined_more":9900}`) {
			t.Fatalf("%d messages: %.300s", len(got), got)
		}
		if n := strings.Count(got[0], "user-"); n != 100 {
			t.Errorf("%d names", n)
		}
		for _, s := range all {
			s.Close(nil)
		}
		pass(interval + grace + slack)
		got = brokertest.Texts(ear.Drain(nil))
		if len(got) != 1 || !strings.HasSuffix(got[0], `"left_more":9900}`) {
			t.Fatalf("%d messages: %.300s", len(got), got)
		}
	}, func(o *broker.Options) { o.MaxSessions = 20_000 })
}

func TestPresence_is_told_once_in_an_interval(t *testing.T) {
	bubble(t, presence.Options{Interval: 3 * time.Second}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		pass(3*time.Second + slack)
		ear.Drain(nil)
		for i := range 70 { // in seven seconds
			w.someone(fmt.Sprint(i), "/chat/42")
			pass(100 * time.Millisecond)
		}
		pass(time.Minute)
		got := ear.Drain(nil)
		if len(got) != 3 {
			t.Errorf("%d messages: %q", len(got), brokertest.Texts(got))
		}
		for i := range got[1:] {
			if d := got[i+1].Message.Time.Sub(got[i].Message.Time); d < 3*time.Second {
				t.Errorf("%v between two messages", d)
			}
		}
	})
}

// An asker gets what everybody gets, and that not more often than once in an interval.
func TestPresence_newcomers_are_told_who_is_there(t *testing.T) {
	bubble(t, presence.Options{MaxNames: 2}, func(w *world) {
		for _, subject := range []string{"alice", "bob", "carol", ""} {
			w.someone(subject, "/chat/42")
		}
		pass(time.Minute)
		one, two := w.someone("", "/chat/42/presence"), w.someone("", "/chat/42/presence")
		pass(interval + slack)
		for _, s := range []*broker.Session{one, two} {
			got := brokertest.Texts(s.Drain(nil))
			if len(got) != 1 || !strings.HasPrefix(got[0], `{"count":4,"anonymous":1,"present":[`) || !strings.HasSuffix(got[0], `],"present_more":1}`) {
				t.Errorf("heard %q", got)
			}
		}
	})
}

func TestPresence_channel_is_the_servers_own(t *testing.T) {
	nobody := brokertest.AuthorizerFunc(func(_ context.Context, _ broker.Principal, act broker.Action, _ broker.Pattern) error {
		if act == broker.ActPublish {
			return broker.Errorf(broker.Unauthenticated, "not you")
		}
		return nil
	})
	for name, next := range map[string]broker.Authorizer{"all may publish": brokertest.AllowAll, "nobody may publish": nobody} {
		t.Run(name, func(t *testing.T) {
			bubble(t, presence.Options{}, func(w *world) {
				who := broker.Principal{Subject: "root", Issuer: "test", Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/**"}}}
				for c, ours := range map[broker.Channel]bool{
					"/chat/42/presence": true, "/chat/a/b/presence": true,
					"/chat/presence": false, "/chat/42": false, "/chat/42/presence/presence": false, "/other/presence": false, "/presence": false,
				} {
					_, err := w.b.Publish(context.Background(), who, &broker.Message{Channel: c, Data: []byte(`1`)}, broker.PublishOptions{})
					if refused := broker.KindOf(err) == broker.Forbidden && err != nil; refused != ours {
						t.Errorf("publishing to %s: %v", c, err)
					}
					err = w.b.Remove(context.Background(), who, c, "x", false)
					if refused := broker.KindOf(err) == broker.Forbidden; refused != ours {
						t.Errorf("removing from %s: %v", c, err)
					}
				}
				ear := w.someone("", "/chat/42/presence") // and the server may, whatever the rules
				pass(interval + slack)
				w.hears(ear, `{"count":0,"anonymous":0,"present":[]}`)
			}, func(o *broker.Options) { o.Authorizer = next })
		})
	}
}

// Presence channels have none, nor has a channel whose presence channel could not be named.
func TestPresence_channels_without(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		long := "/chat/" + strings.Repeat("x", broker.MaxChannelBytes-len("/chat/")-len("/presence")+1)
		deep := "/chat" + strings.Repeat("/x", broker.MaxChannelSegments-1)
		w.someone("alice", "/chat/presence", "/chat/42/presence/presence", "/other", "/chat", "/chat/*", "/**", long, deep)
		w.someone("alice", long[:len(long)-1], deep[:len(deep)-2])
		pass(interval + slack)
		if st := w.p.Stats(); st.Channels != 2 || st.Published != 2 || st.Failed != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestPresence_limits(t *testing.T) {
	t.Run("channels", func(t *testing.T) {
		bubble(t, presence.Options{MaxChannels: 2}, func(w *world) {
			one := w.someone("alice", "/chat/1", "/chat/2", "/chat/3")
			w.someone("bob", "/chat/3")
			ear := w.someone("", "/chat/3/presence")
			pass(time.Minute)
			w.hears(ear)
			if st := w.p.Stats(); st.Channels != 2 || st.Untracked != 3 {
				t.Errorf("%+v", st)
			}
			one.Unsubscribe("/chat/1")
			pass(time.Minute)
			// There is room again; all who came before are seen.
			w.someone("carol", "/chat/3")
			pass(interval + slack)
			w.hears(ear, `{"count":3,"anonymous":0,"joined":["alice","bob","carol"]}`)
		})
	})
	t.Run("members", func(t *testing.T) {
		bubble(t, presence.Options{MaxMembers: 2}, func(w *world) {
			ear := w.someone("", "/chat/1/presence")
			w.someone("alice", "/chat/1", "/chat/2")
			pass(interval + slack)
			bob := w.someone("bob", "/chat/1")
			ear.Drain(nil)
			pass(interval + slack)
			w.hears(ear, `{"count":2,"anonymous":1}`)
			if st := w.p.Stats(); st.Members != 2 || st.Unnamed == 0 {
				t.Errorf("%+v", st)
			}
			bob.Close(nil)
			pass(time.Minute)
			w.hears(ear, `{"count":1,"anonymous":0}`)
		})
	})
	t.Run("long subjects", func(t *testing.T) {
		bubble(t, presence.Options{}, func(w *world) {
			ear := w.someone("", "/chat/1/presence")
			w.someone(strings.Repeat("x", 257), "/chat/1")
			w.someone(strings.Repeat("y", 256), "/chat/1")
			pass(interval + slack)
			name := strings.Repeat("y", 256)
			w.hears(ear, fmt.Sprintf(`{"count":2,"anonymous":1,"joined":[%q],"present":[%[1]q]}`, name))
		})
	})
	t.Run("message", func(t *testing.T) {
		bubble(t, presence.Options{}, func(w *world) {
			ear := w.someone("", "/chat/1/presence")
			for i := range 30 {
				w.someone(fmt.Sprint("somebody with a long name ", i), "/chat/1")
			}
			pass(interval + slack)
			w.hears(ear, `{"count":30,"anonymous":0,"joined_more":30,"present":[],"present_more":30}`)
		}, func(o *broker.Options) { o.MaxMessage = 200 })
	})
}

// An engine that fails for a while costs time, and no news.
func TestPresence_what_could_not_be_published_is_told_later(t *testing.T) {
	engine := &failing{}
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		engine.down.Store(true)
		alice := w.someone("alice", "/chat/42")
		pass(3 * interval)
		alice.Close(nil)
		w.someone("bob", "/chat/42")
		pass(3 * interval)
		w.hears(ear)
		engine.down.Store(false)
		pass(interval + slack)
		w.hears(ear, `{"count":1,"anonymous":0,"joined":["bob"],"present":["bob"]}`)
		if st := w.p.Stats(); st.Failed < 5 || st.Published != 1 {
			t.Errorf("%+v", st)
		}
	}, func(o *broker.Options) {
		engine.MemoryEngine = broker.NewMemoryEngine(broker.MemoryOptions{}) // its channels are the bubble's
		o.Engine = engine
	})
}

type failing struct {
	*broker.MemoryEngine
	down  atomic.Bool
	first func() // called once before something is published
}

func (e *failing) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	if first := e.first; first != nil {
		e.first = nil
		first()
	}
	if e.down.Load() {
		return broker.Receipt{}, broker.Errorf(broker.Unavailable, "the engine is down")
	}
	return e.MemoryEngine.Publish(ctx, a)
}

// A session that serves several is as many as it says.
func TestPresence_of_readers_behind_a_link(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		var mu sync.Mutex
		readers := []string{"juliet@a"}
		link := brokertest.Open(w.T, w.b, broker.SessionOptions{Readers: func(broker.Pattern) iter.Seq[string] {
			mu.Lock()
			defer mu.Unlock()
			return slices.Values(slices.Clone(readers))
		}})
		w.subscribe(link, "whoever was first", "/chat/42")
		ear := w.someone("", "/chat/42/presence")
		pass(interval + slack)
		w.hears(ear, `{"count":1,"anonymous":0,"joined":["juliet@a"],"present":["juliet@a"]}`)
		mu.Lock()
		readers = []string{"romeo@a"}
		mu.Unlock()
		link.ReadersChanged("/chat/42")
		pass(time.Minute)
		w.hears(ear, `{"count":2,"anonymous":0,"joined":["romeo@a"]}`, `{"count":1,"anonymous":0,"left":["juliet@a"]}`)
	})
}

func TestPresence_nobody_leaves_when_the_server_stops(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		w.someone("alice", "/chat/42").Close(nil)
		var all []*broker.Session
		for i := range 10 {
			all = append(all, w.someone(fmt.Sprint(i), "/chat/42"))
		}
		pass(interval + slack)
		ear.Drain(nil)
		for _, s := range all {
			s.Close(broker.ErrShutdown) // as doors do
		}
		pass(time.Minute)
		w.hears(ear)
		w.p.Close()
		w.someone("late", "/chat/42")
		pass(time.Minute)
		w.hears(ear)
	})
}

// Nothing runs while there is nothing to tell: time stands still in a bubble only when everybody sleeps.
func TestPresence_rests(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		w.someone("alice", "/chat/42")
		pass(time.Minute)
		before := w.p.Stats().Published
		for range 100 {
			brokertest.Publish(w.T, w.b, "/chat/42", `1`)
		}
		pass(24 * time.Hour)
		if n := w.p.Stats().Published - before; n != 0 {
			t.Errorf("%d messages about nothing", n)
		}
	})
}

// However many come and go at once, the last message tells how it is.
func TestPresence_settles_on_the_truth(t *testing.T) {
	bubble(t, presence.Options{Interval: 50 * time.Millisecond, Grace: 100 * time.Millisecond}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(worker), 1))
				s := w.someone("")
				for range 200 {
					w.subscribe(s, fmt.Sprint("user-", worker), "/chat/42")
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
					s.Unsubscribe("/chat/42")
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
				}
				if worker%2 == 0 {
					w.subscribe(s, fmt.Sprint("user-", worker), "/chat/42")
				} else {
					s.Close(nil)
				}
			})
		}
		wg.Wait()
		pass(time.Second)
		there := map[string]bool{}
		last := ""
		for _, text := range brokertest.Texts(ear.Drain(nil)) {
			for _, name := range listed(text, "joined") {
				if there[name] {
					t.Errorf("%s joined twice", name)
				}
				there[name] = true
			}
			for _, name := range listed(text, "left") {
				if !there[name] {
					t.Errorf("%s left and was not there", name)
				}
				delete(there, name)
			}
			last = text
		}
		if len(there) != 4 || !strings.HasPrefix(last, `{"count":4,"anonymous":0`) {
			t.Errorf("there are %v; the last message is %s", there, last)
		}
	})
}

// Who has gone is to be looked at again before the interval is over; that is no reason to speak earlier.
func TestPresence_a_short_grace_does_not_shorten_the_interval(t *testing.T) {
	bubble(t, presence.Options{Interval: 3 * time.Second, Grace: 100 * time.Millisecond}, func(w *world) {
		alice := w.someone("alice", "/chat/42")
		pass(time.Minute)
		ear := w.someone("", "/chat/42/presence")
		pass(time.Minute)
		ear.Drain(nil)
		alice.Close(nil)
		w.someone("bob", "/chat/42")
		pass(time.Minute)
		got := ear.Drain(nil)
		if len(got) != 2 || got[1].Message.Time.Sub(got[0].Message.Time) < 3*time.Second {
			t.Errorf("heard %q", brokertest.Texts(got))
		}
	})
}

// The number falls to what it has been at most, not to what it is when the time is over.
func TestPresence_of_a_crowd_that_comes_and_goes(t *testing.T) {
	bubble(t, presence.Options{}, func(w *world) {
		all := []*broker.Session{w.someone("", "/chat/42"), w.someone("", "/chat/42"), w.someone("", "/chat/42")}
		pass(time.Minute)
		ear := w.someone("", "/chat/42/presence")
		pass(time.Minute)
		ear.Drain(nil)
		all[0].Close(nil)
		all[1].Close(nil)
		pass(2 * time.Second) // seen to be one
		back := w.someone("", "/chat/42")
		pass(interval + slack) // seen to be two
		back.Close(nil)
		pass(time.Minute)
		w.hears(ear, `{"count":2,"anonymous":2}`, `{"count":1,"anonymous":1}`)
	})
}

// Who comes while it is told that everybody has left is found at the next look.
func TestPresence_who_comes_while_it_is_told(t *testing.T) {
	engine := &failing{}
	bubble(t, presence.Options{}, func(w *world) {
		ear := w.someone("", "/chat/42/presence")
		pass(interval + slack)
		ear.Drain(nil)
		alice := w.someone("alice", "/chat/42")
		pass(interval + slack)
		ear.Drain(nil)
		engine.first = func() { w.someone("bob", "/chat/42") }
		alice.Close(nil)
		pass(time.Minute)
		w.hears(ear, `{"count":0,"anonymous":0,"left":["alice"]}`, `{"count":1,"anonymous":0,"joined":["bob"]}`)
		if st := w.p.Stats(); st.Channels != 1 {
			t.Errorf("%+v", st)
		}
	}, func(o *broker.Options) {
		engine.MemoryEngine = broker.NewMemoryEngine(broker.MemoryOptions{})
		o.Engine = engine
	})
}

// listed is a list in a message.
func listed(text, name string) []string {
	_, rest, ok := strings.Cut(text, `"`+name+`":["`)
	if !ok {
		return nil
	}
	list, _, _ := strings.Cut(rest, `"]`)
	return strings.Split(list, `","`)
}

func TestNew_refuses(t *testing.T) {
	for _, o := range []presence.Options{
		{},
		{Match: []broker.Pattern{"chat"}},
		{Match: []broker.Pattern{"/meta/**"}},
		{Match: []broker.Pattern{"/a"}, Segment: "a/b"},
		{Match: []broker.Pattern{"/a"}, Segment: "*"},
		{Match: []broker.Pattern{"/a"}, Interval: -1},
		{Match: []broker.Pattern{"/a"}, MaxNames: -1},
	} {
		if _, err := presence.New(o); broker.KindOf(err) != broker.Invalid || err == nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What it costs who subscribes, and what a look costs.
func BenchmarkPresence(b *testing.B) {
	p, err := presence.New(presence.Options{Match: []broker.Pattern{"/chat/**"}, Interval: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		on   func(broker.Event)
	}{{"off", nil}, {"on", p.Observe}} {
		b.Run(c.name, func(b *testing.B) {
			br := brokertest.New(b, broker.Options{OnEvent: c.on})
			p.Start(br)
			s := brokertest.Open(b, br, broker.SessionOptions{})
			b.ReportAllocs()
			for b.Loop() {
				brokertest.Subscribe(b, s, "/chat/42")
				s.Unsubscribe("/chat/42")
			}
		})
	}
	p.Close()
}
