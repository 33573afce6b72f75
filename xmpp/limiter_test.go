package xmpp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Checklist 107: who floods is told to wait, by bare JID; nobody else notices, and later he is let in again.
func TestFlood_of_one_sender(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.SenderRate, o.service.SenderBurst = 10, 20 }, func(w *world) {
		const wait = "you send faster than anybody may; try again later"
		ping := "<ping xmlns='urn:xmpp:ping'/>"
		count := func(n int, from func(i int) string) (done int) {
			t.Helper()
			for i := range n {
				w.send(iq(from(i), "get", ping))
			}
			for range n {
				switch s := w.stanza(); {
				case strings.HasPrefix(s, "<iq type='result'"):
					done++
				case !strings.Contains(s, errorElement("wait: policy-violation", wait)):
					t.Error(s)
				}
			}
			return done
		}
		many := func(i int) string { return fmt.Sprintf("bob@localhost/%d", i) } // resources do not help
		if n := count(100, many); n != 20 {
			t.Errorf("%d were done, want 20", n)
		}
		if n := count(20, func(int) string { return carol }); n != 20 {
			t.Errorf("%d of another user's were done, want 20", n)
		}
		time.Sleep(time.Second)
		if n := count(100, many); n != 10 {
			t.Errorf("%d were done after a second, want 10", n)
		}
		// What is no request is passed over, but not a farewell.
		w.send("<message from='" + bob + "' to='waft.localhost' id='m1'><body>hi</body></message>")
		w.silent()
		w.subscribed(carol+"x", "/a", carol+"x")
		w.subscribed(carol, "/a", carol)
		for range 30 {
			w.send(iq(carol, "get", ping))
		}
		w.send("<presence type='unavailable' from='" + carol + "' to='waft.localhost'/>")
		synctest.Wait()
		if n, _, _ := w.svc.audience.size(); n != 1 {
			t.Errorf("%d subscriptions are left, want 1", n)
		}
		if st := w.svc.Stats(); st.TooFast < 171 || st.TurnedAway != st.TooFast || st.Refused["policy-violation"] < 170 {
			t.Errorf("%d too fast, %d turned away, %v", st.TooFast, st.TurnedAway, st.Refused)
		}
	})
}

// The table is bounded, keeps those who are held back as long as it can, and never turns anybody away for lack of room.
func TestLimiter_is_bounded(t *testing.T) {
	l, now := newLimiter(time.Second, 2, 10), time.Now()
	for i := range 1000 {
		if !l.take(fmt.Sprint(i), now) {
			t.Fatal("a sender who was never heard of is held back")
		}
		if l.tallies.Len() > 10 {
			t.Fatalf("%d senders", l.tallies.Len())
		}
	}
	// Those that are full again go first.
	now = now.Add(time.Hour)
	l.take("flood", now)
	l.take("flood", now)
	if l.tallies.Len() != 1 && l.tallies.Len() > 10 {
		t.Errorf("%d senders", l.tallies.Len())
	}
	for i := range 8 {
		l.take(fmt.Sprint("new", i), now)
	}
	if l.take("flood", now) {
		t.Error("the flooder was forgotten though there was room")
	}
}
