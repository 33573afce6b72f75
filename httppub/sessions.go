package httppub

import "time"

// sessionEntry is a session as those who manage the realm see it. The label is not its id, which is a secret.
type sessionEntry struct {
	Label         string    `json:"label"`
	Protocol      string    `json:"protocol"`
	Opened        time.Time `json:"opened"`
	Subscriptions int       `json:"subscriptions"`
	Pending       int       `json:"pending"`           // messages that wait for it
	Dropped       uint64    `json:"dropped"`           // that gave way in its queue
	Fixture       bool      `json:"fixture,omitempty"` // a part of the server: it cannot be ended
}

// listSessions answers a page of the living sessions, in the order they were opened.
func (h *Reader) listSessions(c *call) error {
	limit := c.args.most(h.limits.Load().MaxPage)
	found, more, err := h.opts.Broker.ListSessions(c.Context(), c.who, c.args.after, limit)
	if err != nil {
		return err
	}
	var reply struct {
		Sessions []sessionEntry `json:"sessions"`
		Next     string         `json:"next,omitempty"`
	}
	reply.Sessions = make([]sessionEntry, 0, len(found))
	for _, s := range found {
		reply.Sessions = append(reply.Sessions, sessionEntry{
			s.Label, s.Protocol, s.Opened.UTC(), s.Subscriptions, s.Pending, s.Dropped, s.Fixture,
		})
	}
	if more > 0 {
		reply.Next = c.nextPage(found[len(found)-1].Label, limit)
	}
	h.answer(c, encode(reply))
	return nil
}

// endSession ends the session of a label. Its client is told in its protocol's words, and may come back.
func (h *Reader) endSession(c *call) error {
	if err := h.opts.Broker.EndSession(c.Context(), c.who, c.to.name); err != nil {
		return err
	}
	return done(c)
}
