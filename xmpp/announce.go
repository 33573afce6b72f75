package xmpp

import (
	"context"

	"mellium.im/xmpp/delay"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// announce sends an event that is not about a message: of the node itself, or of somebody's subscription. what appends
// what stands in <event/>, given the node as the subscriber spells it. It runs on the worker whose request it is about,
// after the result has gone out, and waits while the link is full or down.
func (s *Service) announce(ctx context.Context, name broker.Channel, l *leaf, to []*subscription, what func(b []byte, sub *subscription, node string) []byte) {
	conf := l.config()
	var b []byte
	for _, sub := range to {
		b = append(append(b[:0], "<message type='"...), conf.NotificationType...)
		b = append(component.AppendAttr(append(b, "' from='"...), s.domain), "' to='"...)
		b = s.appendEventID(append(append(b, sub.to...), "' id='"...), sub)
		b = what(append(b, "'><event xmlns='"+pubsub.NSEvent+"'>"...), sub, sub.node(string(name)))
		b = append(b, "</event></message>"...)
		if err := s.gate.try(ctx, true, func() error { return s.link.Send(b) }); err != nil && ctx.Err() != nil {
			return
		}
		s.count.events.Add(1)
	}
}

// announceNode sends an event that has nothing in it but its name and the node's: "delete", "purge".
func (s *Service) announceNode(ctx context.Context, c broker.Channel, l *leaf, to []*subscription, event string) {
	s.announce(ctx, c, l, to, func(b []byte, _ *subscription, node string) []byte {
		return append(attr(append(append(b, '<'), event...), "node", node), "/>"...)
	})
}

// announceState tells a subscriber that somebody else has changed his subscription (XEP-0060 §8.8.4).
func (s *Service) announceState(ctx context.Context, c broker.Channel, l *leaf, to []*subscription, state pubsub.SubType) {
	s.announce(ctx, c, l, to, func(b []byte, sub *subscription, node string) []byte {
		b = attr(attr(append(b, "<subscription"...), "node", node), "jid", sub.jid)
		return append(attr(b, "subscription", state.String()), "/>"...)
	})
}

// lastItem reads what a new subscriber is to be sent first (XEP-0060 §6.1.7), nil if nothing. From then on the
// subscription has no events of messages up to that one: they were published before the subscription was confirmed.
func (s *Service) lastItem(ctx context.Context, who broker.Principal, c broker.Channel, l *leaf, sub *subscription) *broker.Message {
	if l == nil || sub == nil || l.Config.SendLast != lastOnSub || !l.Config.Persist || !l.Config.Notifications {
		return nil
	}
	page, err := s.history(ctx, who, c, l, broker.Range{Limit: 1, Newest: true})
	if err != nil || len(page.Messages) == 0 {
		return nil // who may not read what was before begins with what comes
	}
	m := page.Messages[0]
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if covers(sub.seen, m.Position) {
		return nil // it was published, and has come, while the subscription was being made
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
		if sub.over || !sub.seen.IsZero() {
			return nil
		}
		err := s.link.Send(b)
		if err == nil {
			s.count.events.Add(1)
		}
		return err
	})
}
