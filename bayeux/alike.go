package bayeux

import "net/http"

// Most requests that follow a poll are that poll again: the same head, byte for byte, from the same client, and one plain connect. What is in front of
// the handler, and what the handler itself makes of a head, comes to the same then; so nothing is made of it a second time, and there is no
// http.Request. What is counted, limited and decided anew with each request is here as well.

// knowsFront tells whether a request can be served so: there is nothing in front of the handler, or nothing that would mind.
func (c *heldPoll) knowsFront() bool {
	h := c.s.h
	return h.opts.PureFront || c.back.server.Handler == http.Handler(h)
}

// serveAlike serves a request that has the head of the poll and is m. Without an answer the poll is held. It is false if something panicked.
func (c *heldPoll) serveAlike(m *message) (a *answer, ok bool) {
	h := c.s.h
	defer c.recovered(&ok)
	here := true
	defer func() {
		if here {
			h.depart(c.address)
		}
	}()
	x := h.newExchange(c.back.base, nil, nil)
	defer x.done()
	x.own.address = c.address
	x.peer = &x.own
	x.messages = append(x.messages, *m)
	x.run()
	if len(x.waiting) > 0 {
		h.pollBegins()
		if x.waits() && c.reusable() {
			c.asked = x.waiting[0].asked
			here = false
			c.holds()
			return nil, true
		}
		defer h.pollEnds()
	}
	a = &answer{c: c, header: c.kind.header()}
	if len(x.waiting) > 0 {
		x.respondToConnects(a)
	} else {
		_ = x.respond(a, nil, nil) // it is kept
	}
	return a, true
}
