package httppub

import (
	"context"

	"waft/broker"
)

// poll answers at once if there is something newer, and else holds the request until there is, or its time is over. What
// it answers is always read from the history, from the position that the client names: nothing is remembered between two
// requests, and so nothing is missed or repeated however a client comes back. The session is only what wakes it. It
// is subscribed before the history is read, so that whatever is published afterwards does.
//
// The answer at the end of the time, and when the server shuts down, is an empty list and the position to go on from.
func (h *Reader) poll(c *call) error {
	if err := h.pollable(c); err != nil {
		return err
	}
	p, err := h.page(c.Context(), c)
	if err != nil {
		return err
	}
	if len(p.messages) == 0 {
		from := broker.Network(clientAddress(c.Request, h.opts.ClientAddress))
		l := h.limits.Load()
		if err := h.held.enter(from, l.MaxHeld, l.AddressHeld); err != nil {
			return err
		}
		defer h.held.leave(from)
		h.counters.polls.Add(1)
		if p, err = h.hold(c); err != nil {
			return err
		}
	}
	if c.Context().Err() != nil {
		return nil // nobody is there to answer
	}
	h.answer(c, h.body(c, p, appendPolled))
	return nil
}

// pollable tells why who asks may not wait for the channel. Without a history there is nothing to read from, and what comes
// between two requests would be missed without a word.
func (h *Reader) pollable(c *call) error {
	b := h.opts.Broker
	if err := b.May(c.Context(), c.who, broker.ActSubscribe, broker.Pattern(c.to.channel)); err != nil {
		return err
	}
	if !b.Keeps(c.to.channel) {
		return broker.Errorf(broker.Invalid, "waiting for %s could miss messages: the rules keep no history of it", c.to.channel)
	}
	return nil
}

// hold waits for the first page that is not empty, and gives an empty one when the time is over.
func (h *Reader) hold(c *call) (page, error) {
	ctx, cancel := context.WithTimeout(c.Context(), min(c.args.wait, h.limits.Load().MaxWait))
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()
	s, err := h.opts.Broker.Open(broker.SessionOptions{
		Protocol: "poll", MaxMessages: 10_000, MaxBytes: 64 << 20, Overflow: broker.DropOldest,
		Lapsed: func(s *broker.Session, _ broker.Pattern, reason error) { s.Close(reason) },
	})
	if err != nil {
		return page{}, err
	}
	defer leave(s, broker.Pattern(c.to.channel))
	if _, err = s.Subscribe(c.Context(), c.who, broker.Pattern(c.to.channel), broker.SubscribeOptions{}); err != nil {
		return page{}, err
	}
	for {
		p, err := h.page(c.Context(), c)
		if err != nil || len(p.messages) > 0 {
			return p, err
		}
		// A retraction wakes it too, and brings nothing to read.
		if _, err := s.Receive(ctx, 10_000); err != nil {
			if ctx.Err() == nil && !broker.IsShutdown(err) {
				return page{}, err
			}
			h.counters.empty.Add(1)
			return p, nil
		}
	}
}

// leave ends the session of a poll. What has come for it meanwhile is in the history, where the next request finds it, so it
// is taken out before: it is not lost and must not be counted so.
func leave(s *broker.Session, p broker.Pattern) {
	s.Unsubscribe(p)
	s.Drain(nil)
	s.Close(nil)
}

func appendPolled(b []byte, m *broker.Message) []byte {
	text, _ := m.Encoded(polled{}) // which never fails
	return append(b, text...)
}
