package xmpp

import (
	"context"
	"log/slog"

	"mellium.im/xmpp/delay"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// announce has the announcer send an event that is not about a message: of the node itself, or of somebody's
// subscription. what appends what stands in <event/>, given the node as the subscriber spells it.
func (s *Service) announce(name broker.Channel, l *leaf, to []*subscription, what func(b []byte, sub *subscription, node string) []byte) {
	head := "<message type='" + l.config().NotificationType
	s.tell(to, func(b []byte, sub *subscription) []byte {
		b = append(component.AppendAttr(append(append(b, head...), "' from='"...), s.domain), "' to='"...)
		b = s.appendEventID(append(append(b, sub.to...), "' id='"...), sub)
		b = what(append(b, "'><event xmlns='"+pubsub.NSEvent+"'>"...), sub, sub.node(string(name)))
		return append(b, "</event></message>"...)
	})
}

// tell has the announcer send each of them the stanza that what appends.
func (s *Service) tell(to []*subscription, what func(b []byte, sub *subscription) []byte) {
	if len(to) == 0 {
		return
	}
	ok := s.announcer.put(len(to), func(ctx context.Context) {
		var b []byte
		for _, sub := range to {
			b = what(b[:0], sub)
			if err := s.gate.try(ctx, true, func() error { return s.link.SendKept(b) }); err == nil {
				s.count.events.Add(1)
			} else {
				s.count.unsaid.Add(1)
			}
		}
	})
	if !ok {
		s.unsaid(len(to))
	}
}

// unsaid counts announcements that nobody will have.
func (s *Service) unsaid(n int) {
	if n > 0 {
		s.count.unsaid.Add(uint64(n))
		s.log.Warn("XMPP users will not be told: too many announcements wait for the link, or it is ending", slog.Int("recipients", n))
	}
}

// announceNode sends an event that has nothing in it but its name and the node's: "delete", "purge".
func (s *Service) announceNode(c broker.Channel, l *leaf, to []*subscription, event string) {
	s.announce(c, l, to, func(b []byte, _ *subscription, node string) []byte {
		return append(attr(append(append(b, '<'), event...), "node", node), "/>"...)
	})
}

// announceState tells a subscriber that somebody else has changed his subscription (XEP-0060 §8.8.4).
func (s *Service) announceState(c broker.Channel, l *leaf, to []*subscription, state pubsub.SubType) {
	s.announce(c, l, to, func(b []byte, sub *subscription, node string) []byte {
		b = attr(attr(append(b, "<subscription"...), "node", node), "jid", sub.jid)
		return append(attr(b, "subscription", state.String()), "/>"...)
	})
}

// tellOwners tells a node's owners, if it is so configured, what became of somebody's subscription to it.
func (s *Service) tellOwners(l *leaf, sub *subscription, state pubsub.SubType) {
	if l == nil || !l.Config.NotifySub {
		return
	}
	s.announce(l.Channel, l, s.addresses(l.ownerList(), l), func(b []byte, _ *subscription, node string) []byte {
		b = attr(attr(append(b, "<subscription"...), "node", node), "jid", sub.jid)
		return append(attr(b, "subscription", state.String()), "/>"...)
	})
}

// lastItem reads what a new subscriber is to be sent first (XEP-0060 §6.1.7), or an old one who comes online; nil if nothing,
// or if he has had it. From then on the subscription has no events of messages up to that one: they were published before.
func (s *Service) lastItem(ctx context.Context, who broker.Principal, c broker.Channel, l *leaf, sub *subscription) *broker.Message {
	if l == nil || sub == nil || l.Config.SendLast == lastNever || !l.Config.Persist || !l.Config.Notifications {
		return nil
	}
	page, err := s.history(ctx, who, c, l, broker.Range{Limit: 1, Newest: true})
	if err != nil || len(page.Messages) == 0 {
		return nil // who may not read what was before begins with what comes
	}
	m := page.Messages[0]
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if covers(sub.seen, m.Position) || covers(sub.floor, m.Position) {
		return nil // it has come already, maybe while the subscription was being made
	}
	sub.floor = m.Position
	return m
}

// sendLast sends the last item, stamped with when it was published (XEP-0203), unless newer ones have come meanwhile.
func (s *Service) sendLast(ctx context.Context, l *leaf, sub *subscription, m *broker.Message) {
	item, err := l.eventItem(m)
	if err != nil {
		return
	}
	conf := l.config()
	b := append([]byte("<message type='"), conf.NotificationType...)
	b = append(component.AppendAttr(append(b, "' from='"...), s.domain), "' to='"...)
	b = s.appendEventID(append(append(b, sub.to...), "' id='"...), sub)
	b = append(b, "'><event xmlns='"+pubsub.NSEvent+"'><items"...)
	b = append(attr(b, "node", sub.node(string(m.Channel))), '>')
	room := s.opts.Link.MaxOutStanza - len(b) - roomForEnd
	if len(item) > room {
		item, _ = m.Encoded(naked)
	}
	b = append(append(b, item...), "</items></event><delay xmlns='"+delay.NS+"'"...)
	b = append(attr(b, "from", s.domain), " stamp='"...)
	b = append(m.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z"), "'/></message>"...)
	_ = s.gate.try(ctx, true, func() error {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		if sub.over || covers(sub.seen, m.Position) {
			return nil
		}
		err := s.link.SendKept(b)
		if err == nil {
			s.count.events.Add(1)
		}
		return err
	})
}
