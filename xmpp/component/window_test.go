package component

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func event(i int) string {
	return fmt.Sprintf("<message from='waft.localhost' to='u@localhost' id='e%d'><body>hello</body></message>", i)
}

// keeps sends events [from, to).
func (h *harness) keeps(from, to int) {
	h.t.Helper()
	for i := from; i < to; i++ {
		if err := h.link.SendKept([]byte(event(i)[:20]), []byte(event(i)[20:])); err != nil {
			h.t.Fatalf("event %d: %v", i, err)
		}
	}
}

// gets checks that events [from, to) come next.
func (p *peer) gets(from, to int) {
	p.t.Helper()
	for i := from; i < to; i++ {
		if extra := p.expect(event(i)); extra != "" {
			p.t.Fatalf("before event %d came %q", i, extra)
		}
	}
}

// pinged waits for a ping and gives its id.
func (p *peer) pinged() string {
	p.t.Helper()
	if extra := p.expect("<iq type='get' id='"); extra != "" {
		p.t.Fatalf("before the ping came %q", extra)
	}
	id := p.expect("' from='waft.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
	return id
}

func (p *peer) pong(id string) {
	p.t.Helper()
	p.send("<iq type='result' id='" + id + "' from='localhost' to='waft.localhost'/>")
	synctest.Wait()
}

// cut breaks the link and gives the next one, as far as its handshake.
func (h *harness) cut(p *peer) *peer {
	h.t.Helper()
	p.close()
	_ = h.down()
	return h.connected()
}

func (h *harness) idle(p *peer) {
	h.t.Helper()
	synctest.Wait()
	if got := p.written(); got != "" {
		h.t.Errorf("the link wrote %q, want silence", got)
	}
}

// Checklist 120: what was not proven to have been read, and only that, is written again, first and in order.
func TestWindow_a_broken_link_is_made_good(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 3)
		if err := h.link.Send([]byte(event(99))); err != nil {
			t.Fatal(err)
		}
		p.gets(0, 3)
		p.gets(99, 100)
		p.pong(p.pinged())
		if n := h.link.Stats().Kept; n != 0 {
			t.Errorf("%d are kept", n)
		}
		h.keeps(3, 5)
		p.gets(3, 5)
		p.pinged()
		h.keeps(5, 6)
		p.gets(5, 6)
		p = h.cut(p)
		h.keeps(6, 7)
		p.gets(3, 6)
		p.pinged() // at once
		p.gets(6, 7)
		p = h.cut(p) // and again
		p.gets(3, 7)
		p.pong(p.pinged())
		p = h.cut(p)
		h.idle(p)
		if s := h.link.Stats(); s.Resent != 7 || s.Kept != 0 || s.Dropped[OutLost] != 0 {
			t.Errorf("counted %+v", s)
		}
		p.close()
	})
}

// A ping stands behind every hundredth stanza, or a tenth of the window, however fast they come.
func TestWindow_pings_stand_between(t *testing.T) {
	dialogue(t, func(o *Options) { o.FenceWindow = 50 }, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 12)
		p.gets(0, 5)
		first := p.pinged()
		p.gets(5, 10)
		second := p.pinged()
		p.gets(10, 12)
		p.pong(second) // proves what came before the first, too
		p.pong(first)
		p.pong("another")
		if n := h.link.Stats().Kept; n != 2 {
			t.Errorf("%d are kept, want 2", n)
		}
		p = h.cut(p)
		p.gets(10, 12)
		p.close()
	})
}

// Checklist 120: never more than the window.
func TestWindow_is_bounded(t *testing.T) {
	writable := make(chan struct{}, 10)
	dialogue(t, func(o *Options) {
		o.FenceWindow = 10
		o.Writable = func() { writable <- struct{}{} }
	}, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 10)
		mustBe(t, h.link.SendKept([]byte(event(10))), ErrFull)
		if err := h.link.Send([]byte(event(99))); err != nil {
			t.Errorf("what is not kept needs no window: %v", err)
		}
		var pings []string
		for i := range 10 {
			p.gets(i, i+1)
			pings = append(pings, p.pinged())
		}
		p.gets(99, 100)
		for i, id := range pings {
			if p.pong(id); len(writable) != 0 && i < 4 {
				t.Errorf("told after %d of 10", i+1)
			}
		}
		if n := len(writable); n != 1 {
			t.Errorf("told %d times", n)
		}
		h.keeps(10, 11)
		p.close()
	})
}

func TestWindow_is_bounded_in_bytes(t *testing.T) {
	dialogue(t, func(o *Options) { o.MaxOutbound = 1000 }, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 5)
		p.gets(0, 5)
		synctest.Wait() // all is written; but nothing is proven
		n := 5
		for ; h.link.SendKept([]byte(event(n))) == nil; n++ {
			synctest.Wait()
		}
		if s := h.link.Stats(); n > 13 || s.Kept != n {
			t.Errorf("%d were taken, %d are kept", n, s.Kept)
		}
		p.gets(5, n)
		p.pong(p.pinged())
		h.keeps(n, n+1)
		p.close()
	})
}

// What the writer had not come to is written too, once; what was not to be kept is lost and counted.
func TestWindow_has_what_was_never_written(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.frozen()
		h.keeps(0, 250)
		if err := h.link.Send([]byte(event(999))); err != nil {
			t.Fatal(err)
		}
		h.keeps(250, 300)
		synctest.Wait()
		p.close()
		_ = h.down()
		next := h.connected()
		for i := range 300 {
			if i == 100 || i == 200 {
				next.pinged()
			}
			next.gets(i, i+1)
		}
		next.pinged()
		h.idle(next)
		if s := h.link.Stats(); s.Resent != 300 || s.Dropped[OutLost] > 1 {
			t.Errorf("counted %+v", s)
		}
		next.close()
	})
}

// A server that answers no pings is served all the same: nothing stops for long, and nothing is sent twice.
func TestWindow_gives_up_on_a_server_that_does_not_answer(t *testing.T) {
	writable := make(chan struct{}, 10)
	dialogue(t, func(o *Options) {
		o.FenceWindow = 10
		o.Writable = func() { writable <- struct{}{} }
	}, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 10)
		mustBe(t, h.link.SendKept([]byte(event(10))), ErrFull)
		for range 7 {
			pass(20 * time.Second)
			p.send(" ") // it is alive
		}
		<-writable
		for i := 10; i < 100; i++ {
			if err := h.link.SendKept([]byte(event(i))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := h.link.Stats(); s.Unfenced != 1 || s.Kept != 0 || s.Queued != 0 || !strings.Contains(h.log.String(), "does not answer pings") {
			t.Errorf("counted %+v", s)
		}
		p = h.cut(p)
		h.idle(p)
		h.keeps(100, 101) // the next link has its chance
		if n := h.link.Stats().Kept; n != 1 {
			t.Errorf("%d are kept, want 1", n)
		}
		p.gets(100, 101)
		p.pinged()
		p.close()
	})
}

// A server that is stuck, or dead, is not one that answers no pings: the link is lost, and the window is not.
func TestWindow_survives_a_server_that_is_stuck(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.frozen()
		h.keeps(0, 5)
		_ = h.down() // by the write's deadline, or silence
		next := h.connected()
		next.gets(0, 5)
		if s := h.link.Stats(); s.Unfenced != 0 || s.Resent != 5 {
			t.Errorf("counted %+v", s)
		}
		p.close()
		next.close()
	})
	// A ping that has not left cannot have been answered.
	dialogue(t, func(o *Options) { o.WriteTimeout = time.Hour }, func(t *testing.T, h *harness) {
		p := h.frozen()
		h.keeps(0, 5)
		pass(30 * time.Minute)
		if s := h.link.Stats(); s.Unfenced != 0 || s.Kept != 5 {
			t.Errorf("counted %+v", s)
		}
		p.close()
	})
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected() // reads, and says nothing
		h.keeps(0, 5)
		mustBe(t, h.down(), ErrSilent)
		next := h.connected()
		next.gets(0, 5)
		p.close()
		next.close()
	})
}

// When the service ends, what the server took leave after has been read; else it is counted.
func TestWindow_at_the_end(t *testing.T) {
	for _, polite := range []bool{true, false} {
		dialogue(t, nil, func(t *testing.T, h *harness) {
			p := h.connected()
			h.keeps(0, 5)
			p.gets(0, 5)
			h.cancel()
			p.expect("</stream:stream>")
			if polite {
				p.send("</stream:stream>")
			} else {
				p.close()
			}
			h.done <- <-h.done
			want := uint64(5)
			if polite {
				want = 0
			}
			if n := h.link.Stats().Dropped[OutLost]; n != want {
				t.Errorf("polite %v: %d lost, want %d", polite, n, want)
			}
			p.close()
		})
	}
}

func TestWindow_can_be_switched_off(t *testing.T) {
	dialogue(t, func(o *Options) { o.NoFence = true }, func(t *testing.T, h *harness) {
		p := h.connected()
		h.keeps(0, 5)
		p.gets(0, 5)
		pass(time.Second)
		p = h.cut(p)
		pass(time.Second)
		h.idle(p)
		p.close()
	})
}

// BenchmarkSendKept is BenchmarkSend with a window, whose pings are answered at once.
func BenchmarkSendKept(b *testing.B) {
	o := defaults(b)
	l := &Link{opts: o, queue: newQueue(8<<20, o.FenceWindow)}
	l.queue.newPing = o.newPing
	l.queue.patience = time.Hour
	l.queue.start()
	before := []byte("<message type='headline' from='waft.localhost' to='")
	after := []byte("'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='/chat/42'><item id='1'>" +
		"<json xmlns='urn:xmpp:json:0'>{\"text\":\"" + strings.Repeat("x", 189) + "\"}</json></item></items></event></message>")
	to := []byte("alice@localhost")
	b.SetBytes(int64(len(before) + len(to) + len(after)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.SendKept(before, to, after); err != nil {
			b.Fatal(err)
		}
		if l.queue.unproven() > 900 {
			for c := l.queue.take(); c != nil; c = l.queue.take() {
				l.queue.written(c)
			}
			l.queue.proven(l.queue.window.closed[len(l.queue.window.closed)-1].ping)
		}
	}
	l.queue.window.rest()
}
