package component

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPing_an_idle_link_is_kept_by_any_answer(t *testing.T) {
	for name, answer := range map[string]string{
		"pong":         "<iq type='result' from='localhost' to='waft.localhost' id='ID'/>",
		"error":        "<iq type='error' from='localhost' to='waft.localhost' id='ID'><error type='cancel'/></iq>",
		"other stanza": "<presence from='a@localhost' to='waft.localhost'/>",
		"whitespace":   " ",
	} {
		t.Run(name, func(t *testing.T) {
			dialogue(t, nil, func(t *testing.T, h *harness) {
				p := h.connected()
				for range 5 {
					began := time.Now()
					p.expect("<iq type='get' id='")
					id := p.expect("' from='waft.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
					if d := time.Since(began); d != 30*time.Second {
						t.Errorf("ping after %v", d)
					}
					p.send(strings.Replace(answer, "'ID'", "'"+id+"'", 1))
					synctest.Wait()
				}
				for len(h.stanzas) > 0 {
					<-h.stanzas
				}
				h.sentinel(p)
				if s := h.link.Stats(); s.Connects != 1 || s.Dropped[StrayAnswer] != 0 {
					t.Errorf("counted %+v", s)
				}
				p.close()
			})
		})
	}
}

func TestPing_115_half_open_link_is_found_within_the_limit(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		began := time.Now()
		p.expect("urn:xmpp:ping")
		mustBe(t, h.down(), ErrSilent)
		if d := time.Since(began); d != 50*time.Second {
			t.Errorf("found after %v", d)
		}
		p.ended()
		p = h.connected()
		h.sentinel(p)
		p.close()
	})
}

func TestPing_115_frozen_server_does_not_block_a_sender(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.frozen()
		began := time.Now()
		stanza := make([]byte, 100<<10)
		for range 1000 {
			_ = h.link.Send(stanza)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("1000 sends took %v", d)
		}
		if q := h.link.Stats().Queued; q > 8<<20 {
			t.Errorf("%d bytes queued", q)
		}
		_ = h.down()
		if d := time.Since(began); d > 50*time.Second {
			t.Errorf("found after %v", d)
		}
		p.close()
	})
}

func TestPing_waits_for_its_turn_behind_a_slow_but_moving_queue(t *testing.T) {
	dialogue(t, func(o *Options) { o.PingInterval, o.PingTimeout, o.MaxOutbound = time.Second, time.Second, 256<<10 }, func(t *testing.T, h *harness) {
		p := h.frozen()
		for _, size := range []int{1000, 1} { // to the last byte: the ping has to go above the limit
			for h.link.Send(make([]byte, size)) == nil {
			}
		}
		pass(500 * time.Millisecond) // out of step with the watchman's seconds
		var got []byte
		for b := make([]byte, 8<<10); h.link.Stats().Queued > 0; { // 8 kB/s
			pass(time.Second)
			n, err := p.conn.Read(b)
			if err != nil {
				t.Fatalf("given up: %v, %v", err, h.log)
			}
			got = append(got, b[:n]...)
			synctest.Wait()
		}
		if !strings.Contains(string(got), "urn:xmpp:ping") {
			t.Error("no ping")
		}
		pass(800 * time.Millisecond) // within the timeout since the ping left, though long after it was queued
		p.send("<presence/>")
		h.stanza()
		if n := h.link.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
		p.close()
	})
}

func TestPing_slow_handler_is_not_silence(t *testing.T) {
	dialogue(t, func(o *Options) {
		deliver := o.Handler
		o.Handler = func(s *Stanza) {
			if s.ID == "slow" {
				pass(5 * time.Minute)
			}
			deliver(s)
		}
	}, func(t *testing.T, h *harness) {
		p := h.connected()
		p.send("<message id='slow'/>")
		h.stanza()
		h.sentinel(p)
		p.close()
	})
}
