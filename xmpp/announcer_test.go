package xmpp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"waft/broker"
)

// The owner is answered, and so is whoever shares his worker, before all subscribers have been told.
func TestAnnounce_the_owner_does_not_wait_for_the_fan_out(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Workers, o.service.Link.MaxOutbound = 1, 2<<10 }, func(w *world) {
		w.creates(alice, "/a")
		const all = 1000 // they contend some hundred times; once he wins
		for i := range all {
			jid := fmt.Sprintf("user%d@localhost", i)
			w.subscribed(jid+"/x", "/a", jid)
		}
		w.send(iq(alice, "set", ownerOf("<delete node='/a'/>")) + iq(bob, "get", "<ping xmlns='urn:xmpp:ping'/>"))
		told, pong := 0, -1
		for range all + 2 {
			synctest.Wait() // whoever has something to say waits for room, and none is ahead because the other sleeps
			switch s := w.stanza(); {
			case strings.HasPrefix(s, "<message"):
				told++
			case s == result(bob, ""):
				pong = told
			}
		}
		if told != all || pong < 0 || pong == all {
			t.Errorf("%d were told; bob was answered after %d of them", told, pong)
		}
	})
}

// What waits for the link is bounded, and what does not fit is counted; but one announcement always fits.
func TestAnnounce_is_bounded(t *testing.T) {
	a := newAnnouncer(10)
	var said []int
	say := func(n int) func(context.Context) { return func(context.Context) { said = append(said, n) } }
	for i, c := range []struct {
		weight int
		fits   bool
	}{{50, true}, {1, false}, {0, true}} {
		if got := a.put(c.weight, say(i)); got != c.fits {
			t.Errorf("announcement %d: %v, want %v", i, got, c.fits)
		}
	}
	a.close()
	if a.put(0, say(9)) {
		t.Error("a closed announcer takes more")
	}
	if left := a.run(t.Context()); left != 0 || fmt.Sprint(said) != "[0 2]" || a.size() != 0 {
		t.Errorf("said %v, left %d, waiting %d", said, left, a.size())
	}
	ten := newAnnouncer(10)
	for i := range 11 {
		if got := ten.put(1, say(i)); got != (i < 10) {
			t.Errorf("recipient %d: %v", i, got)
		}
	}
}

func TestAnnounce_what_is_not_said_is_counted(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxAnnouncements, o.service.Link.MaxOutbound = 5, 1<<10 }, func(w *world) {
		for _, node := range []string{"/a", "/b"} {
			w.creates(alice, node)
			for i := range 4 {
				jid := fmt.Sprintf("user%d@localhost", i)
				w.subscribed(jid+"/x", node, jid)
			}
		}
		_ = w.conn.Close()
		synctest.Wait()
		for _, node := range []string{"/a", "/b"} {
			w.svc.announceNode(broker.Channel(node), w.svc.nodes.get(broker.Channel(node)), w.svc.audience.to(broker.Pattern(node)), "purge")
		}
		synctest.Wait()
		if st := w.svc.Stats(); st.Unsaid != 4 || st.Announcing != 4 {
			t.Errorf("%d were not told, %d wait; want 4 and 4", st.Unsaid, st.Announcing)
		}
		w.stop()
		if n := w.svc.Stats().Unsaid; n != 8 {
			t.Errorf("%d were not told, want 8", n)
		}
		w.start()
		w.accept()
	})
}
