package component

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type outcome struct {
	st  *Stanza
	err error
}

// request starts one and returns the id it went out with.
func (h *harness) request(ctx context.Context, p *peer, to string) (string, chan outcome) {
	h.t.Helper()
	out := make(chan outcome, 1)
	h.wg.Go(func() {
		st, err := h.link.Request(ctx, to, func(id string) []byte {
			return []byte("<iq type='get' from='waft.localhost' to='" + to + "' id='" + id + "'><q xmlns='x'/></iq>")
		})
		out <- outcome{st, err}
	})
	p.expect("<iq type='get' from='waft.localhost' to='" + to + "' id='")
	id := p.expect("'")
	p.expect("</iq>")
	return id, out
}

func TestRequest_returns_the_answer_result_or_error(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		id, out := h.request(t.Context(), p, "Alice@localhost/x")
		if !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(id) {
			t.Errorf("id %q has not 128 random bits", id)
		}
		p.send("<iq type='result' id='" + id + "' from='alice@localhost/x' to='waft.localhost'><q xmlns='x'/></iq>")
		if o := <-out; o.err != nil || o.st.Payload().Name.Local != "q" {
			t.Errorf("got %+v", o)
		}
		id2, out := h.request(t.Context(), p, "localhost")
		if id2 == id {
			t.Error("an id was used again")
		}
		p.send("<iq type='error' id='" + id2 + "' from='localhost' to='waft.localhost'/>")
		if o := <-out; o.err != nil || o.st.Type != "error" {
			t.Errorf("got %+v", o)
		}
		if s := h.link.Stats(); s.Waiting != 0 || s.Dropped[StrayAnswer] != 0 {
			t.Errorf("counted %+v", s)
		}
		p.close()
	})
}

func TestRequest_is_answered_by_whom_it_was_sent_to_alone(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		id, out := h.request(t.Context(), p, "alice@localhost/x")
		for _, no := range []string{
			"<iq type='result' id='" + id + "' from='mallory@localhost/x' to='waft.localhost'/>",
			"<iq type='result' id='" + id + "' from='alice@localhost' to='waft.localhost'/>",
			"<iq type='result' id='" + id + "' to='waft.localhost'/>",
			"<iq type='result' id='other' from='alice@localhost/x' to='waft.localhost'/>",
		} {
			p.send(no)
		}
		p.send("<message type='error' id='" + id + "' from='alice@localhost/x' to='waft.localhost'/>")
		p.send("<iq type='get' id='" + id + "' from='alice@localhost/x' to='waft.localhost'><q xmlns='x'/></iq>")
		if a, b := h.stanza(), h.stanza(); a.Kind != Message || b.Type != "get" {
			t.Errorf("handler saw %+v and %+v", a, b)
		}
		synctest.Wait()
		if len(out) != 0 {
			t.Fatalf("answered: %+v", <-out)
		}
		if n := h.link.Stats().Dropped[StrayAnswer]; n != 4 {
			t.Errorf("%d strays counted", n)
		}
		p.send("<iq type='result' id='" + id + "' from='alice@localhost/x' to='waft.localhost'/>")
		if o := <-out; o.err != nil {
			t.Error(o.err)
		}
		p.send("<iq type='result' id='" + id + "' from='alice@localhost/x' to='waft.localhost'/>") // once is enough
		h.sentinel(p)
		p.close()
	})
}

func TestRequest_to_an_address_that_does_not_parse_is_matched_by_text(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		id, out := h.request(t.Context(), p, "☃@localhost")
		p.send("<iq type='result' id='" + id + "' from='❄@localhost'/>")
		p.send("<iq type='result' id='" + id + "' from='☃@localhost'/>")
		if o := <-out; o.err != nil || o.st.From != "☃@localhost" {
			t.Errorf("got %+v", o)
		}
		p.close()
	})
}

func TestRequest_ends_with_its_context_or_the_timeout(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, out := h.request(ctx, p, "localhost")
		if o := <-out; !errors.Is(o.err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), o.err)
		}
		began = time.Now()
		_, out = h.request(t.Context(), p, "localhost")
		p.send(" ")
		pass(20 * time.Second)
		p.send(" ")
		if o := <-out; !errors.Is(o.err, context.DeadlineExceeded) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(began), o.err)
		}
		if n := h.link.Stats().Waiting; n != 0 {
			t.Errorf("%d still waiting", n)
		}
		p.close()
	})
}

func TestRequest_is_released_at_once_when_the_link_dies(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		_, a := h.request(context.Background(), p, "localhost")
		_, b := h.request(context.Background(), p, "localhost")
		began := time.Now()
		p.send("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		for _, out := range []chan outcome{a, b} {
			o := <-out
			var se *StreamError
			if !errors.Is(o.err, ErrDown) || !errors.As(o.err, &se) || time.Since(began) != 0 {
				t.Errorf("after %v: %v", time.Since(began), o.err)
			}
		}
		p.close()
	})
}

func TestRequest_with_an_answer_above_the_limit_does_not_wait(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		id, out := h.request(t.Context(), p, "localhost")
		p.send("<iq type='result' id='" + id + "' from='localhost'>" + strings.Repeat("x", 2<<20) + "</iq>")
		if o := <-out; !errors.Is(o.err, ErrRefused) {
			t.Errorf("got %+v", o)
		}
		h.sentinel(p)
		p.close()
	})
}
