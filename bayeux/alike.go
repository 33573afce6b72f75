package bayeux

import (
	"hash/maphash"
	"net/http"

	"waft/broker/outbox/park"
)

// Most requests that follow a poll are that poll again: the same head, byte for byte, from the same client, and one plain connect. What is in front of
// the handler, and what the handler itself makes of a head, comes to the same then; so nothing is made of it a second time, and there is no
// http.Request. What is counted, limited and decided anew with each request is here as well.

// knowsFront tells whether a request can be served so: there is nothing in front of the handler, or nothing that would mind.
func (c *heldPoll) knowsFront() bool {
	h := c.back.h
	return h.opts.PureFront || c.back.server.Handler == http.Handler(h)
}

// mark tells a poll's request from those that are not like it, without keeping its head, which may carry secrets and be longer than all else that is
// kept of a poll. The zero mark is no request's.
type mark struct {
	sum        uint64 // of the head, under a key that nobody knows
	head, body int32  // bytes
}

var markSeed = maphash.MakeSeed()

func markOf(head []byte, body int) mark {
	return mark{maphash.Bytes(markSeed, head), int32(len(head)), int32(body)}
}

// marks tells whether raw has that head, and a body as long as the other's was.
func (m mark) marks(raw []byte) bool {
	return len(raw) == int(m.head)+int(m.body) && maphash.Bytes(markSeed, raw[:m.head]) == m.sum
}

// alike makes m of the connect in raw, if that is a poll like the last, or like one of another client that was here. Most differ from that of another
// client, and from the one before, in their clientId and id alone: so what is known of their form is compared with, and not read again.
func (c *heldPoll) alike(raw []byte, m *message) (ok bool) {
	if !c.knowsFront() || !c.mark.marks(raw) && !c.tenant(raw) { // c.isLike need not be asked: it was, of that head
		return false
	}
	body, id := raw[c.mark.head:], ""
	if c.s != nil {
		id = c.s.id()
	}
	if c.back.h.forms.read(body, id, m) {
		return true
	}
	text := string(body)
	if *m, ok = plainConnect(text); ok {
		c.back.h.forms.add(formOf(text, m))
	}
	return ok
}

// serveAlike serves a request that has the head of the poll and is m. Without an answer that is over: the poll is held, or has had its answer. It is
// false if something panicked.
func (c *heldPoll) serveAlike(w *park.Worker, now int64, m *message) (a *answer, ok bool) {
	h := c.back.h
	defer c.recovered(&ok)
	here, waits := true, false
	defer func() {
		if here {
			h.leaves(&c.caller, now)
			if waits {
				h.pollEnds()
			}
		}
	}()
	x := h.newExchange(c.back.base, nil, nil)
	defer x.done()
	x.at, x.own.address = now, c.address
	x.peer = &x.own
	x.known = c.s
	x.messages = append(x.messages, *m)
	x.run()
	if waits = len(x.waiting) > 0; waits {
		h.pollBegins()
	}
	if len(x.waiting) == 1 && x.waiting[0].poll != nil && len(x.replies.buf) == 0 && c.reusable() {
		c.asked, c.phase = x.waiting[0].asked, holding // should something panic now, it is abandoned
		here = false
		if quiet := c.hold > 0 && c.keeps(now); (quiet || !c.answers(w, x)) && c.more {
			c.socket.Ring() // nobody has, for that
		}
		return nil, true
	}
	a = &answer{c: c, header: c.kind.header()}
	if waits {
		x.waiting[0].hold = 0      // who serves it must not wait, not even for a handler that is stopping
		_ = x.respondToConnects(a) // it is kept
	} else {
		_ = x.respond(a, nil, nil) // it is kept
	}
	return a, true
}
