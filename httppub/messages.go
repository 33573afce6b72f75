package httppub

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"waft/broker"
)

// page is a part of a channel's history as it is answered.
type page struct {
	messages []*broker.Message // in the order asked for
	position string            // behind everything that the reader now knows of; "": nothing is said (order=desc and before)
	next     string            // query of what follows; "": nothing does
	closed   bool              // nothing will be added to it
}

// readMessages answers a part of a channel's history:
//
//	{"channel":"/chat/42","messages":[…],"position":"1x2y3z-12","next":"/realm/…/messages?since=1x2y3z-12"}
func (h *Reader) readMessages(c *call) error {
	if c.args.waits && c.args.wait > 0 {
		return h.poll(c)
	}
	p, err := h.page(c.Context(), c)
	if err != nil {
		return err
	}
	h.cache(c, p)
	body := h.body(c, p, appendMessage)
	h.answer(c, body)
	return nil
}

// page reads what was asked for. Errors: the Authorizer's, HistoryLost, the engine's.
func (h *Reader) page(ctx context.Context, c *call) (p page, err error) {
	limit := c.args.most(h.limits.Load().MaxPage)
	r := broker.Range{After: c.args.since, Before: c.args.before, Limit: limit, Newest: c.args.newestFirst}
	if c.args.sinceStart {
		if r.After, err = h.first(ctx, c); err != nil {
			return p, err
		}
	}
	found, err := h.opts.Broker.History(ctx, c.who, c.to.channel, r)
	if err != nil {
		return p, err
	}
	p.messages = found.Messages
	if c.args.newestFirst {
		slices.Reverse(p.messages)
	}
	whole := found.Complete
	if n := h.fit(p.messages); n < len(p.messages) {
		p.messages, whole = p.messages[:n], false
	}
	p.closed = !r.Before.IsZero() || !c.args.newestFirst && !whole && !r.After.IsZero()
	switch {
	case c.args.newestFirst && r.Before.IsZero(), !c.args.newestFirst && whole && r.Before.IsZero():
		p.position = positionText(found.Last)
	case !c.args.newestFirst && len(p.messages) > 0:
		p.position = p.messages[len(p.messages)-1].Position.String()
	}
	if !whole {
		p.next = c.args.next(p.messages[len(p.messages)-1].Position, limit)
	}
	return p, nil
}

// first is the position before a channel's first message, zero if there was none yet.
func (h *Reader) first(ctx context.Context, c *call) (broker.Position, error) {
	found, err := h.opts.Broker.History(ctx, c.who, c.to.channel, broker.Range{IDs: []string{}})
	return broker.Position{Epoch: found.Last.Epoch}, err
}

// fit is how many of the messages an answer may have: at least one.
func (h *Reader) fit(messages []*broker.Message) int {
	bytes := 0
	for i, m := range messages {
		if bytes += m.Size(); bytes > h.limits.Load().MaxPageBytes && i > 0 {
			return i
		}
	}
	return len(messages)
}

// next is the query of the page that follows one which ends at the position.
func (q query) next(end broker.Position, limit int) string {
	v := url.Values{}
	set := func(name string, p broker.Position) {
		if !p.IsZero() {
			v.Set(name, p.String())
		}
	}
	set("since", q.since)
	set("before", q.before)
	if q.newestFirst {
		v.Set("order", "desc")
		if q.sinceStart {
			v.Set("since", startText)
		}
		set("before", end)
	} else {
		set("since", end)
	}
	if q.limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return v.Encode()
}

// positionText is the position as text, for a channel without one too.
func positionText(p broker.Position) string {
	if p.IsZero() {
		return startText
	}
	return p.String()
}

// body writes the page; form appends one message.
func (h *Reader) body(c *call, p page, form func([]byte, *broker.Message) []byte) []byte {
	size := 256
	for _, m := range p.messages {
		size += m.Size()
	}
	b := append(make([]byte, 0, size), `{"channel":"`...)
	b = append(b, c.to.channel...)
	b = append(b, `","messages":[`...)
	for i, m := range p.messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = form(b, m)
	}
	b = append(b, ']')
	if p.position != "" {
		b = append(append(append(b, `,"position":"`...), p.position...), '"')
	}
	if p.next != "" {
		next := c.to.base + "?" + p.next
		b = appendText(append(b, `,"next":`...), next)
		c.w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	h.counters.pages.Add(1)
	h.counters.messages.Add(uint64(len(p.messages)))
	return append(b, '}', '\n')
}

// deleteMessage takes an item out of the channel's history, and has those who are subscribed told where their protocol can.
func (h *Reader) deleteMessage(c *call) error {
	if err := h.opts.Broker.Remove(c.Context(), c.who, c.to.channel, c.to.name, true); err != nil {
		return err
	}
	return done(c)
}

// done answers a DELETE that has worked.
func done(c *call) error {
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
