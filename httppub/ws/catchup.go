package ws

import (
	"waft/broker"
	"waft/httppub/place"
)

// A replay that is more than a session may queue goes to the client page by page, as fast as it reads, or acknowledges. What other
// subscriptions bring meanwhile goes between the pages.

// catcher is one.
type catcher struct {
	*socket
	group *group
	o     *place.Opening
}

// catchUp ends with the subscriptions made, or tells the client that they are not.
func (s *socket) catchUp(g *group, o *place.Opening) {
	err := o.CatchUp(s.life, &catcher{s, g, o})
	switch {
	case err == nil:
		s.goLive(g)
	case s.life.Err() == nil && s.session.Err() == nil: // else the close frame says why
		s.h.counters.failed[broker.KindOf(err)].Add(1)
		a := problem(err)
		a.Type, a.Ref, a.Channels = "unsubscribed", g.ref, g.patterns
		s.tell(&a)
	}
}

// Replay implements place.Catcher. It returns when the messages have been sent.
func (c *catcher) Replay(messages []*broker.Message) error {
	c.h.counters.replayed.Add(uint64(len(messages)))
	taken := make(chan struct{})
	c.mu.Lock()
	c.feed.pages, c.feed.pagesOf, c.feed.taken, c.feed.paging = messages, c.o.Cursor, taken, true
	c.mu.Unlock()
	c.conn.Load().Ready()
	select {
	case <-taken:
		return nil
	case <-c.life.Done():
		return c.life.Err()
	}
}

// Lost implements place.Catcher.
func (c *catcher) Lost() error {
	c.h.counters.lost.Add(1)
	c.tell(&answer{Type: "lost", Ref: c.group.ref, Channels: c.o.Lost(), Place: c.group.place()})
	return nil
}
