package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// frozen makes the handshake and then reads nothing more.
func (h *harness) frozen() *peer {
	h.t.Helper()
	p := &peer{t: h.t, conn: <-h.conns, more: make(chan struct{}, 1)}
	b := make([]byte, 4096)
	for _, answer := range []string{testHeader, "<handshake/>"} {
		if _, err := p.conn.Read(b); err != nil {
			h.t.Fatal(err)
		}
		p.send(answer)
	}
	<-h.ups
	return p
}

func TestSend_joins_the_parts_and_keeps_the_order(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		for i := range 3000 { // over several chunks
			err := h.link.Send([]byte("<message from='waft.localhost' to='"), fmt.Appendf(nil, "u%d@localhost", i), []byte("'><body>hello</body></message>"))
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3000 {
			if extra := p.expect(fmt.Sprintf("<message from='waft.localhost' to='u%d@localhost'><body>hello</body></message>", i)); extra != "" {
				t.Fatalf("before stanza %d came %q", i, extra)
			}
		}
		synctest.Wait()
		if s := h.link.Stats(); s.StanzasOut != 3000 || s.Queued != 0 {
			t.Errorf("counted %+v", s)
		}
		p.close()
	})
}

func TestSend_from_many_goroutines_never_interleaves(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					_ = h.link.Send([]byte("<m>"), []byte(strings.Repeat(string(rune('a'+g)), 1+i)), []byte("</m>"))
				}
			})
		}
		wg.Wait()
		for range 8 * 200 {
			p.expect("<m>")
			if body := p.expect("</m>"); strings.Trim(body, body[:1]) != "" {
				t.Fatalf("mixed up: %q", body)
			}
		}
		p.close()
	})
}

func TestSend_refuses_what_would_cost_the_link(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		half := make([]byte, 240<<10)
		if err := h.link.Send(half, half, []byte("x")); !errors.Is(err, ErrTooBig) || !strings.Contains(err.Error(), "491520") {
			t.Errorf("above the limit: %v", err)
		}
		if err := h.link.Send(half, half); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		h.sentinel(p)
		if n := h.link.Stats().Dropped[OutTooBig]; n != 1 {
			t.Errorf("counted %d", n)
		}
		p.close()
	})
}

func TestSend_a_stuck_server_fills_the_queue_and_Writable_tells_when_it_moves(t *testing.T) {
	writable := make(chan int, 10)
	var h *harness
	dialogue(t, func(o *Options) {
		o.MaxOutbound = 300 << 10
		o.Writable = func() { writable <- h.link.Stats().Queued }
	}, func(t *testing.T, hh *harness) {
		h = hh
		p := h.frozen()
		stanza := make([]byte, 1000)
		n := 0
		var err error
		for ; err == nil; n++ {
			err = h.link.Send(stanza)
		}
		mustBe(t, err, ErrFull)
		if s := h.link.Stats(); s.Queued > 300<<10 || s.Queued < 299<<10 {
			t.Errorf("%d bytes queued after %d sends", s.Queued, n)
		}
		h.wg.Go(p.read)
		if left := <-writable; left > 150<<10 {
			t.Errorf("told with %d bytes queued", left)
		}
		if err := h.link.Send(stanza); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(writable) != 0 {
			t.Error("told more than once")
		}
		h.sentinel(p)
		p.close()
	})
}

func TestSend_a_server_that_stops_reading_loses_the_link_within_the_deadline(t *testing.T) {
	dialogue(t, func(o *Options) { o.WriteTimeout = 5 * time.Second }, func(t *testing.T, h *harness) {
		p := h.frozen()
		began := time.Now()
		for range 7 {
			if err := h.link.Send([]byte("<message/>")); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.down(); time.Since(began) != 5*time.Second || !strings.Contains(err.Error(), "writing") {
			t.Errorf("down after %v: %v", time.Since(began), err)
		}
		mustBe(t, h.link.Send([]byte("<message/>")), ErrDown)
		if s := h.link.Stats(); s.Dropped[OutLost] != 7 || s.Dropped[OutDown] != 1 || s.Queued != 0 || s.Up {
			t.Errorf("counted %+v", s)
		}
		p.close()
		p = h.connected()
		h.sentinel(p)
		if w := p.written(); w != "" {
			t.Errorf("the new link began with %q of the old one", w)
		}
		mustBe(t, h.down(), ErrSilent) // what the old link lost does not confuse the watch over the new one
		p.close()
	})
}

func TestSend_a_dead_link_is_down_at_once_even_while_the_handler_is_busy(t *testing.T) {
	dialogue(t, func(o *Options) {
		o.WriteTimeout = 5 * time.Second
		o.Handler = func(*Stanza) { pass(time.Minute) }
	}, func(t *testing.T, h *harness) {
		p := h.frozen()
		if err := h.link.Send([]byte("<message/>")); err != nil {
			t.Fatal(err)
		}
		released := make(chan time.Duration, 1)
		began := time.Now()
		h.wg.Go(func() {
			_, err := h.link.Request(context.Background(), "localhost", func(string) []byte { return []byte("<iq/>") })
			mustBe(t, err, ErrDown)
			released <- time.Since(began)
		})
		p.send("<message/>")
		if d := <-released; d != 5*time.Second {
			t.Errorf("request released after %v", d)
		}
		mustBe(t, h.link.Send([]byte("<message/>")), ErrDown)
		_ = h.down()
		if d := time.Since(began); d != time.Minute {
			t.Errorf("down after %v", d)
		}
		p.close()
	})
}

func TestSend_a_stanza_above_the_whole_queue_passes_when_it_is_empty(t *testing.T) {
	dialogue(t, func(o *Options) { o.MaxOutbound = 1000 }, func(t *testing.T, h *harness) {
		p := h.frozen()
		big := make([]byte, 5000)
		if err := h.link.Send(big); err != nil {
			t.Error(err)
		}
		mustBe(t, h.link.Send([]byte("x")), ErrFull)
		p.close()
	})
}

func TestSend_does_not_allocate(t *testing.T) {
	q := newQueue(1<<20, 0)
	l := &Link{opts: Options{MaxOutStanza: 1 << 20}, queue: q}
	q.start()
	before, to, after := []byte("<message from='waft.localhost' to='"), []byte("a@localhost"), make([]byte, 400)
	n := testing.AllocsPerRun(1000, func() {
		if err := l.Send(before, to, after); err != nil {
			t.Fatal(err)
		}
		q.written(q.take())
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUp_can_send_at_once(t *testing.T) {
	var h *harness
	dialogue(t, func(o *Options) {
		o.Up = func() {
			if err := h.link.Send([]byte("<presence from='waft.localhost' to='a@localhost' type='probe'/>")); err != nil {
				panic(err)
			}
			h.ups <- struct{}{}
		}
	}, func(t *testing.T, hh *harness) {
		h = hh
		p := h.connected()
		p.expect("<presence from='waft.localhost' to='a@localhost' type='probe'/>")
		p.close()
	})
}
