package xmpp

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// blocking is an engine whose publishes wait until it is let go.
type blocking struct {
	broker.Engine
	free chan struct{}
}

func (b *blocking) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	select {
	case <-b.free:
		return b.Engine.Publish(ctx, a)
	case <-ctx.Done():
		return broker.Receipt{}, ctx.Err()
	}
}

func withBlocking(b *blocking, change func(*Options)) func(*setup) {
	return func(o *setup) {
		*b = blocking{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), free: make(chan struct{})}
		o.broker.Engine = b
		o.service.Workers = 1
		change(&o.service)
	}
}

const (
	busyText   = "the service is busy; try again later"
	greedyText = "too many of your requests are waiting; await their answers first"
)

// Checklist 107 in part: a flood is answered at once, costs others nothing until there is no room at all, and the link
// goes on reading.
func TestInbox_turns_away_what_it_has_no_room_for(t *testing.T) {
	var engine blocking
	dialogue(t, withBlocking(&engine, func(o *Options) { o.InboxSize = 8 }), func(w *world) {
		ask := func(who string) { w.send(iq(who, "set", publishing("/a", item("7", "1")))) }
		for range 2 { // a quarter of 8
			ask(alice)
		}
		w.silent()
		ask(alice)
		w.want(refused(alice, "wait: resource-constraint", greedyText))
		for i := range 6 {
			ask(fmt.Sprintf("user%d@localhost/x", i))
		}
		w.silent()
		ask(bob)
		w.want(refused(bob, "wait: resource-constraint", busyText))
		w.send("<message from='" + bob + "' to='waft.localhost'><body>hi</body></message>") // dropped in silence
		w.silent()
		if st := w.svc.Stats(); st.TurnedAway != 3 || st.Refused["resource-constraint"] != 2 {
			t.Errorf("turned away %d, refused %v", st.TurnedAway, st.Refused)
		}
		close(engine.free)
		for _, who := range []string{alice, alice, "user0@localhost/x", "user1@localhost/x"} {
			w.want(published(who, "/a", "7"))
		}
		for range 4 {
			w.stanza()
		}
		ask(alice)
		w.want(published(alice, "/a", "7"))
		w.silent()
	})
}

func TestInbox_is_bounded_in_memory(t *testing.T) {
	var engine blocking
	dialogue(t, withBlocking(&engine, func(o *Options) { o.InboxBytes = 20_000 }), func(w *world) {
		big := fmt.Sprintf(`"%012000d"`, 0)
		w.send(iq(alice, "set", publishing("/a", item("7", big))))
		w.silent()
		w.send(iq(bob, "set", publishing("/a", item("7", big))))
		w.want(refused(bob, "wait: resource-constraint", busyText))
		w.send(iq(bob, "set", publishing("/a", item("7", "1"))))
		w.silent()
		close(engine.free)
		w.want(published(alice, "/a", "7"))
		w.want(published(bob, "/a", "7"))
	})
}

// Checklist 119 in part: what was accepted is answered before the stream ends, what comes later refused.
func TestRun_answers_what_waits_before_it_ends(t *testing.T) {
	var engine blocking
	dialogue(t, withBlocking(&engine, func(*Options) {}), func(w *world) {
		w.send(iq(alice, "set", publishing("/a", item("7", "1"))) + iq(alice, "set", publishing("/a", item("8", "1"))))
		w.silent()
		w.cancel()
		w.silent()
		w.answers(bob, "get", "<ping xmlns='urn:xmpp:ping'/>", refused(bob, "wait: recipient-unavailable", "the service is shutting down; try again later"))
		close(engine.free)
		w.want(published(alice, "/a", "7"))
		w.want(published(alice, "/a", "8"))
		w.until("</stream:stream>")
		w.send("</stream:stream>")
	})
}

func TestRun_does_not_wait_for_ever(t *testing.T) {
	var engine blocking
	dialogue(t, withBlocking(&engine, func(*Options) {}), func(w *world) {
		w.send(iq(alice, "set", publishing("/a", item("7", "1"))))
		synctest.Wait()
		began := time.Now()
		w.cancel()
		w.until("</stream:stream>")
		if d := time.Since(began); d > drainTime {
			t.Errorf("the end took %v", d)
		}
		w.send("</stream:stream>")
	})
}

func TestRun_ends_with_the_broker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.accept()
		if err := w.broker.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.until("</stream:stream>")
		w.send("</stream:stream>")
		if err := <-w.done; !broker.IsShutdown(err) {
			t.Errorf("Run returned %v", err)
		}
		if err := w.svc.Run(t.Context()); err != ErrRan {
			t.Errorf("a second Run returned %v", err)
		}
		_ = w.conn.Close()
	})
}

// A panic costs the request that caused it.
func TestWork_a_panic_is_an_internal_error(t *testing.T) {
	dialogue(t, func(o *setup) { o.broker.Engine = &panicking{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})} }, func(w *world) {
		w.answers(bob, "set", publishing("/a", item("7", "1")), refused(bob, "cancel: internal-server-error", "internal error"))
		w.answers(bob, "get", "<ping xmlns='urn:xmpp:ping'/>", result(bob, ""))
	})
}

type panicking struct{ broker.Engine }

func (*panicking) Publish(context.Context, broker.Append) (broker.Receipt, error) { panic("oh") }
