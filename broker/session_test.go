package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

var ctx = context.Background()

func drain(s *broker.Session) []string { return brokertest.Texts(s.Drain(nil)) }

func wantTexts(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestSession_gets_a_message_once_however_many_subscriptions_match(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	other := brokertest.Open(t, b, broker.SessionOptions{})
	for _, p := range []string{"/a/b", "/a/*", "/a/**", "/**", "/a/b"} {
		brokertest.Subscribe(t, s, p)
	}
	brokertest.Subscribe(t, other, "/a/*")
	if r := brokertest.Publish(t, b, "/a/b", `1`); r.Receivers != 2 {
		t.Errorf("%d receivers, want 2", r.Receivers)
	}
	ds := s.Drain(nil)
	wantTexts(t, brokertest.Texts(ds), "1")
	matched := slices.Sorted(ds[0].Patterns())
	if !slices.Equal(matched, []broker.Pattern{"/**", "/a/*", "/a/**", "/a/b"}) {
		t.Errorf("matched %q", matched)
	}
	wantTexts(t, drain(other), "1")

	brokertest.Publish(t, b, "/a", `2`)
	brokertest.Publish(t, b, "/a/b/c", `3`)
	wantTexts(t, drain(s), "2", "3")
	wantTexts(t, drain(other))

	for _, p := range []broker.Pattern{"/**", "/a/*", "/a/b"} {
		if !s.Unsubscribe(p) || s.Unsubscribe(p) {
			t.Errorf("unsubscribing from %s tells wrongly whether it was there", p)
		}
	}
	brokertest.Publish(t, b, "/x", `4`)
	brokertest.Publish(t, b, "/a/b", `5`)
	wantTexts(t, drain(s), "5")
}

func TestSession_overflow(t *testing.T) {
	t.Run("disconnect_ends_the_slow_session_and_no_other", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		told := make(chan error, 1)
		slow := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 3, Ended: func(_ *broker.Session, err error) { told <- err }})
		quick := brokertest.Open(t, b, broker.SessionOptions{})
		brokertest.Subscribe(t, slow, "/a")
		brokertest.Subscribe(t, quick, "/*")
		for i := range 3 {
			brokertest.Publish(t, b, "/a", fmt.Sprint(i))
		}
		if slow.Err() != nil {
			t.Fatal("ended at the limit, not above it")
		}
		if r := brokertest.Publish(t, b, "/a", "3"); r.Receivers != 1 {
			t.Errorf("%d receivers, want the quick one", r.Receivers)
		}
		if err := <-told; broker.KindOf(err) != broker.SlowConsumer || broker.KindOf(slow.Err()) != broker.SlowConsumer {
			t.Errorf("ended with %v, Err is %v", err, slow.Err())
		}
		wantTexts(t, drain(slow))
		wantTexts(t, drain(quick), "0", "1", "2", "3")
		if _, alive := b.Session(slow.ID()); alive {
			t.Error("the ended session is still listed")
		}
		st := b.Stats()
		if st.Lost[broker.LostSlow] != 4 || st.Ended[broker.SlowConsumer] != 1 || st.Subscriptions != 1 {
			t.Errorf("stats %+v", st)
		}
	})
	t.Run("drop_oldest_keeps_the_newest_and_counts", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 3, Overflow: broker.DropOldest})
		brokertest.Subscribe(t, s, "/a")
		for i := range 10 {
			brokertest.Publish(t, b, "/a", fmt.Sprint(i))
		}
		wantTexts(t, drain(s), "7", "8", "9")
		if s.Dropped() != 7 || b.Stats().Lost[broker.LostOldest] != 7 {
			t.Errorf("dropped %d, stats %+v", s.Dropped(), b.Stats().Lost)
		}
	})
	t.Run("bytes_count_too_but_one_message_always_fits", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		s := brokertest.Open(t, b, broker.SessionOptions{MaxBytes: 100, Overflow: broker.DropOldest})
		brokertest.Subscribe(t, s, "/a")
		brokertest.Publish(t, b, "/a", `"first, larger than the limit with its overhead"`)
		brokertest.Publish(t, b, "/a", `2`)
		wantTexts(t, drain(s), "2")
	})
}

func TestSession_Receive(t *testing.T) {
	t.Run("blocks_until_there_is_something", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			s := brokertest.Open(t, b, broker.SessionOptions{})
			brokertest.Subscribe(t, s, "/a")
			got := make(chan []broker.Delivery)
			go func() {
				ds, err := s.Receive(ctx, 2)
				if err != nil {
					t.Error(err)
				}
				got <- ds
			}()
			synctest.Wait()
			for i := range 3 {
				brokertest.Publish(t, b, "/a", fmt.Sprint(i))
			}
			first := brokertest.Texts(<-got)
			ds, err := s.Receive(ctx, 9)
			if err != nil {
				t.Fatal(err)
			}
			wantTexts(t, append(first, brokertest.Texts(ds)...), "0", "1", "2")
		})
	})
	t.Run("a_deadline_ends_it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			s := brokertest.Open(t, b, broker.SessionOptions{})
			poll, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if _, err := s.Receive(poll, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("closing_releases_it_with_the_first_reason", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			s := brokertest.Open(t, b, broker.SessionOptions{})
			ended := make(chan error)
			go func() {
				_, err := s.Receive(ctx, 1)
				ended <- err
			}()
			synctest.Wait()
			reason := broker.Errorf(broker.Forbidden, "kicked")
			s.Close(reason)
			s.Close(nil)
			if err := <-ended; err != reason {
				t.Errorf("got %v", err)
			}
			if _, err := s.Subscribe(ctx, broker.Principal{}, "/a", broker.SubscribeOptions{}); err != reason {
				t.Errorf("subscribing after the end: %v", err)
			}
		})
	})
}

func TestSession_Wake_comes_once_per_edge_and_at_the_end(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var wakes atomic.Int32
	s := brokertest.Open(t, b, broker.SessionOptions{Wake: func(*broker.Session) { wakes.Add(1) }})
	brokertest.Subscribe(t, s, "/a")
	for range 5 {
		brokertest.Publish(t, b, "/a", "1")
	}
	if n := wakes.Load(); n != 1 {
		t.Errorf("%d wakes for five messages in an unread queue", n)
	}
	ds := s.Drain(nil)
	brokertest.Publish(t, b, "/a", "1")
	if n := wakes.Load(); n != 2 {
		t.Errorf("%d wakes after the queue was drained and filled again", n)
	}
	s.Drain(nil)
	s.Return(ds)
	if n := wakes.Load(); n != 3 {
		t.Errorf("%d wakes after deliveries were returned", n)
	}
	s.Close(nil)
	if n := wakes.Load(); n != 4 {
		t.Errorf("%d wakes after the end", n)
	}
}

func TestSession_Return_puts_back_in_front(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 2})
	brokertest.Subscribe(t, s, "/a")
	brokertest.Publish(t, b, "/a", "1")
	brokertest.Publish(t, b, "/a", "2")
	ds := s.Drain(nil)
	brokertest.Publish(t, b, "/a", "3")
	s.Return(ds)
	two, all := s.DrainMax(nil, 2)
	wantTexts(t, brokertest.Texts(two), "1", "2")
	if all {
		t.Error("two were taken for all")
	}
	wantTexts(t, drain(s), "3")
}

func TestSession_DrainMax_takes_what_is_written_at_once(t *testing.T) {
	queue := func(t *testing.T, texts ...string) *broker.Session {
		b := brokertest.New(t, broker.Options{})
		s := brokertest.Open(t, b, broker.SessionOptions{})
		brokertest.Subscribe(t, s, "/a")
		for _, text := range texts {
			brokertest.Publish(t, b, "/a", text)
		}
		return s
	}
	empty := queue(t, "1").Drain(nil)[0].Message.Size() - 1
	small, half, huge := "1", strings.Repeat("1", 64<<10-empty), strings.Repeat("1", 200<<10)
	for _, c := range []struct {
		name   string
		limit  int
		queued []string
		took   []int // how many, time after time
	}{
		{"nothing", 3, nil, []int{0}},
		{"fewer than the limit", 3, []string{small, small}, []int{2}},
		{"as many", 3, []string{small, small, small}, []int{3}},
		{"more", 3, []string{small, small, small, small}, []int{3, 1}},
		{"as many bytes", 3, []string{half, half}, []int{2}},
		{"a byte more", 3, []string{half, half + "1"}, []int{1, 1}},
		{"one behind that is too many", 3, []string{half, half, small}, []int{2, 1}},
		{"one that is larger alone", 3, []string{huge, small, huge}, []int{1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := queue(t, c.queued...)
			var ds []broker.Delivery
			for i, n := range c.took {
				before := len(ds)
				var all bool
				if ds, all = s.DrainMax(ds, c.limit); len(ds) != before+n || all != (i == len(c.took)-1) {
					t.Fatalf("turn %d took %d, and all: %v", i, len(ds)-before, all)
				}
			}
		})
	}
}

func TestSession_idle_expiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		s := brokertest.Open(t, b, broker.SessionOptions{IdleTTL: time.Minute})
		for range 5 {
			time.Sleep(50 * time.Second)
			s.Touch()
		}
		s.Hold()
		time.Sleep(time.Hour)
		if s.Err() != nil {
			t.Fatal("a held session expired")
		}
		s.Release()
		time.Sleep(59 * time.Second)
		if s.Err() != nil {
			t.Fatal("expired before its time")
		}
		time.Sleep(time.Minute + time.Second)
		if !broker.IsExpired(s.Err()) {
			t.Fatalf("after its time: %v", s.Err())
		}
		if st := b.Stats(); len(st.Sessions) != 0 || st.Ended[broker.Closed] != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestSession_limits(t *testing.T) {
	b := brokertest.New(t, broker.Options{MaxSessions: 2})
	s := brokertest.Open(t, b, broker.SessionOptions{ID: "one", MaxSubscriptions: 2})
	if _, err := b.Open(broker.SessionOptions{ID: "one"}); broker.KindOf(err) != broker.Conflict {
		t.Errorf("a second session with an id: %v", err)
	}
	brokertest.Open(t, b, broker.SessionOptions{})
	if _, err := b.Open(broker.SessionOptions{}); broker.KindOf(err) != broker.RateLimited {
		t.Errorf("a third session of two: %v", err)
	}
	brokertest.Subscribe(t, s, "/a")
	brokertest.Subscribe(t, s, "/b")
	brokertest.Subscribe(t, s, "/b")
	if _, err := s.Subscribe(ctx, broker.Principal{}, "/c", broker.SubscribeOptions{}); broker.KindOf(err) != broker.RateLimited {
		t.Errorf("a third subscription of two: %v", err)
	}
	s.Unsubscribe("/a")
	brokertest.Subscribe(t, s, "/c")
	s.Close(nil)
	brokertest.Open(t, b, broker.SessionOptions{ID: "one"})
	if _, err := b.Open(broker.SessionOptions{MaxMessages: -1}); broker.KindOf(err) != broker.Invalid {
		t.Errorf("a negative limit: %v", err)
	}
}

func TestSession_a_subscription_ends_with_the_credential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// /c/** is for anybody, the rest for those with a credential.
		var asked atomic.Int64
		b := brokertest.New(t, broker.Options{Authorizer: needsCredential(&asked, "/a", "/b", "/d")})
		lapsed := make(chan broker.Pattern, 3)
		s := brokertest.Open(t, b, broker.SessionOptions{Lapsed: func(_ *broker.Session, p broker.Pattern, reason error) {
			if !errors.Is(reason, broker.ErrCredentialExpired) {
				t.Errorf("%s lapsed for %v", p, reason)
			}
			lapsed <- p
		}})
		grant := func(p broker.Pattern, d time.Duration) {
			t.Helper()
			who := broker.Principal{Subject: "x", Issuer: "default", Expires: time.Now().Add(d)}
			if _, err := s.Subscribe(ctx, who, p, broker.SubscribeOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		grant("/a", time.Minute)
		grant("/b", 2*time.Minute)
		grant("/a", 3*time.Minute) // renewed
		grant("/a", time.Second)   // by a shorter one, which takes nothing away
		brokertest.Subscribe(t, s, "/c")
		grant("/c", time.Minute) // which it never needed
		grant("/c/c", time.Minute)
		time.Sleep(2*time.Minute + time.Second)
		if p := <-lapsed; p != "/b" {
			t.Errorf("%s lapsed first", p)
		}
		time.Sleep(time.Minute)
		if p := <-lapsed; p != "/a" {
			t.Errorf("%s lapsed second", p)
		}
		if got := slices.Sorted(slices.Values(s.Subscriptions())); !slices.Equal(got, []broker.Pattern{"/c", "/c/c"}) {
			t.Errorf("left with %q", got)
		}
		brokertest.Publish(t, b, "/a", "1")
		brokertest.Publish(t, b, "/c", "2")
		wantTexts(t, drain(s), "2")
		who := broker.Principal{Issuer: "default", Expires: time.Now()}
		if n := asked.Load(); n > 15 {
			t.Errorf("the Authorizer was asked %d times", n)
		}
		if _, err := s.Subscribe(ctx, who, "/d", broker.SubscribeOptions{}); !errors.Is(err, broker.ErrCredentialExpired) {
			t.Errorf("subscribing with an expired credential: %v", err)
		}
	})
}

// needsCredential is an Authorizer that asks for a credential to subscribe to these patterns.
func needsCredential(asked *atomic.Int64, patterns ...broker.Pattern) broker.Authorizer {
	return brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
		asked.Add(1)
		if act == broker.ActSubscribe && who.Anonymous() && slices.Contains(patterns, p) {
			return broker.Errorf(broker.Unauthenticated, "a credential is needed")
		}
		return nil
	})
}

func TestSession_a_credential_renewed_while_the_Authorizer_thinks_counts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *broker.Session
		renewing := false
		b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, _ broker.Action, p broker.Pattern) error {
			if !who.Anonymous() {
				return nil
			}
			if !renewing {
				renewing = true // no Authorizer may call the broker; here it stands for a client at that moment
				later := broker.Principal{Issuer: "default", Expires: time.Now().Add(time.Minute)}
				if _, err := s.Subscribe(ctx, later, p, broker.SubscribeOptions{}); err != nil {
					t.Error(err)
				}
			}
			return broker.Errorf(broker.Unauthenticated, "a credential is needed")
		})})
		s = brokertest.Open(t, b, broker.SessionOptions{})
		who := broker.Principal{Issuer: "default", Expires: time.Now().Add(time.Second)}
		if _, err := s.Subscribe(ctx, who, "/a", broker.SubscribeOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if len(s.Subscriptions()) != 1 {
			t.Error("it ended with the old one")
		}
		time.Sleep(time.Minute)
		if len(s.Subscriptions()) != 0 {
			t.Error("it did not end with the new one")
		}
	})
}

func TestSession_Renew_extends_what_is_subscribed_to_and_granted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
			func(_ context.Context, who broker.Principal, _ broker.Action, p broker.Pattern) error {
				if who.Anonymous() || who.Subject == "less" && p == "/b" {
					return broker.Errorf(broker.Forbidden, "no")
				}
				return nil
			})})
		s := brokertest.Open(t, b, broker.SessionOptions{})
		for _, p := range []broker.Pattern{"/a", "/b", "/c"} {
			who := broker.Principal{Issuer: "default", Expires: time.Now().Add(time.Minute)}
			if _, err := s.Subscribe(ctx, who, p, broker.SubscribeOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		s.Unsubscribe("/c")
		s.Renew(ctx, broker.Principal{Subject: "less", Issuer: "default", Expires: time.Now().Add(2 * time.Minute)})
		time.Sleep(time.Minute + time.Second)
		if got := s.Subscriptions(); !slices.Equal(got, []broker.Pattern{"/a"}) {
			t.Errorf("after the first: %q", got)
		}
		time.Sleep(time.Minute)
		if got := s.Subscriptions(); len(got) != 0 {
			t.Errorf("after the second: %q", got)
		}
	})
}

func TestBroker_Recheck_ends_what_is_refused_now(t *testing.T) {
	var closed atomic.Bool
	b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, _ broker.Action, p broker.Pattern) error {
		if closed.Load() && p == "/a" && who.Subject != "alice" {
			return broker.Errorf(broker.Forbidden, "no longer")
		}
		return nil
	})})
	lapsed := make(chan broker.Pattern, 10)
	told := broker.SessionOptions{Lapsed: func(_ *broker.Session, p broker.Pattern, reason error) {
		if broker.KindOf(reason) != broker.Forbidden {
			t.Errorf("%s: %v", p, reason)
		}
		lapsed <- p
	}}
	anybody, alice, untold := brokertest.Open(t, b, told), brokertest.Open(t, b, told), brokertest.Open(t, b, broker.SessionOptions{})
	for _, p := range []broker.Pattern{"/a", "/b"} {
		brokertest.Subscribe(t, anybody, string(p))
		brokertest.Subscribe(t, untold, string(p))
		if _, err := alice.Subscribe(ctx, broker.Principal{Subject: "alice", Issuer: "default"}, p, broker.SubscribeOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Recheck(ctx); n != 0 {
		t.Errorf("%d ended though nothing has changed", n)
	}
	closed.Store(true)
	if n := b.Recheck(ctx); n != 1 || <-lapsed != "/a" {
		t.Errorf("%d ended", n)
	}
	if a, b, c := len(anybody.Subscriptions()), len(alice.Subscriptions()), len(untold.Subscriptions()); a != 1 || b != 2 || c != 2 {
		t.Errorf("left with %d, %d and %d", a, b, c)
	}
}

func TestSession_that_drops_is_told_of_now_and_then(t *testing.T) {
	told := 0
	b := brokertest.New(t, broker.Options{OnEvent: func(e broker.Event) {
		if e.Type == broker.EventDropped {
			told++
		}
	}})
	s := brokertest.Open(t, b, broker.SessionOptions{MaxMessages: 2, Overflow: broker.DropOldest})
	brokertest.Subscribe(t, s, "/a")
	for range 1002 {
		brokertest.Publish(t, b, "/a", "1")
	}
	if told != 10 || s.Dropped() != 1000 { // at 1, 2, 4, ... 512
		t.Errorf("told %d times of %d", told, s.Dropped())
	}
}

func TestSession_gets_nothing_after_Unsubscribe_returned(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var second *broker.Session
	// The message is on its way through the list of both when the second leaves.
	first := brokertest.Open(t, b, broker.SessionOptions{Wake: func(*broker.Session) { second.Unsubscribe("/a") }})
	second = brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, first, "/a")
	brokertest.Subscribe(t, second, "/a")
	if r := brokertest.Publish(t, b, "/a", "1"); r.Receivers != 1 || second.Pending() != 0 {
		t.Errorf("%d receivers, %d pending", r.Receivers, second.Pending())
	}
}

func TestSession_subscribing_while_others_publish_and_leave(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	stop := make(chan struct{})
	var publishers, readers sync.WaitGroup
	for i := range 2 {
		publishers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					brokertest.Publish(t, b, fmt.Sprintf("/c/%d", i), fmt.Sprint(n))
				}
			}
		})
	}
	for r := range 8 {
		readers.Go(func() {
			for range 50 {
				s := brokertest.Open(t, b, broker.SessionOptions{Overflow: broker.DropOldest})
				for _, p := range []string{"/c/0", "/c/*", "/**"} {
					brokertest.Subscribe(t, s, p)
				}
				ds, err := s.Receive(ctx, 100)
				if err != nil {
					t.Error(err)
				}
				last := map[broker.Channel]uint64{}
				for _, d := range ds {
					if o := d.Message.Position.Offset; o <= last[d.Message.Channel] {
						t.Errorf("offset %d after %d", o, last[d.Message.Channel])
					} else {
						last[d.Message.Channel] = o
					}
				}
				s.Unsubscribe("/c/*")
				if r%2 == 0 {
					s.Close(nil)
				} else {
					for _, p := range s.Subscriptions() {
						s.Unsubscribe(p)
					}
					s.Close(nil)
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	publishers.Wait()
	if st := b.Stats(); st.Subscriptions != 0 || len(st.Sessions) != 0 {
		t.Errorf("left behind: %d subscriptions, sessions %v", st.Subscriptions, st.Sessions)
	}
	if r := brokertest.Publish(t, b, "/c/0", "1"); r.Receivers != 0 {
		t.Errorf("%d receivers when all had left", r.Receivers)
	}
}

func TestSession_drains_within_a_size(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a")
	for range 5 {
		brokertest.Publish(t, b, "/a", `"x"`)
	}
	all := s.Drain(nil)
	size := all[0].Message.Size()
	s.Return(all)
	for _, c := range []struct{ limit, size, want int }{
		{0, 1 << 20, 0}, {-1, 1 << 20, 0}, {2, 1 << 20, 2}, {9, 2 * size, 2}, {9, 2*size - 1, 1}, {9, 0, 1}, {9, 1 << 20, 5},
	} {
		got := s.DrainWithin(nil, c.limit, c.size)
		if len(got) != c.want {
			t.Errorf("within %d and %d bytes: got %d, want %d", c.limit, c.size, len(got), c.want)
		}
		if edge := s.Requeue(got); edge != (len(got) == 5) {
			t.Errorf("Requeue of %d: edge %v", len(got), edge)
		}
	}
	if got := s.Drain(nil); !slices.EqualFunc(got, all, func(a, b broker.Delivery) bool { return a.Message == b.Message }) {
		t.Error("the order has changed")
	}
}

// Sessions that a message reaches several ways share the list of those ways only if it is the same.
func TestSession_is_told_the_patterns_of_its_own(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	own := [][]broker.Pattern{
		{"/a/*", "/a/b"}, {"/a/**", "/a/b"}, {"/a/*", "/a/**"}, {"/a/*", "/a/b"}, {"/a/*", "/a/**", "/a/b"}, {"/a/b"},
	}
	var sessions []*broker.Session
	for _, ps := range own {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		for _, p := range ps {
			brokertest.Subscribe(t, s, string(p))
		}
		sessions = append(sessions, s)
	}
	for range 3 {
		brokertest.Publish(t, b, "/a/b", "1")
	}
	for i, s := range sessions {
		for _, d := range s.Drain(nil) {
			got := slices.Sorted(d.Patterns())
			if want := slices.Sorted(slices.Values(own[i])); !slices.Equal(got, want) {
				t.Errorf("session %d was told %s, want %s", i, got, want)
			}
		}
	}
}
