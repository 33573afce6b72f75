package xmpp

import (
	"context"
	"errors"
	"log/slog"

	"waft/broker"
	"waft/xmpp/component"
)

// notifyBatch is how many messages the notifier takes from the session at a time: few, because those that wait for a
// link wait better in the session, whose queue is bounded and counted.
const notifyBatch = 16

// notifyAll is the notifier's goroutine: it turns what the session is given into events, in order. While the link is
// down it takes nothing. It ends with ctx, or with the session, whose reason it then returns.
func (s *Service) notifyAll(ctx context.Context) error {
	ev := newEvent(s.domain)
	for {
		if err := s.gate.awaitUp(ctx); err != nil {
			return err
		}
		ds, err := s.session.Receive(ctx, notifyBatch)
		if err != nil {
			return err
		}
		if up, _ := s.gate.state(); !up { // it went down while there was nothing to send
			s.session.Return(ds)
			continue
		}
		for _, d := range ds {
			if err := s.notify(ctx, ev, d); err != nil {
				return err
			}
		}
	}
}

// notify sends one message's event to each JID that it is for, once, whatever the number of its patterns that match
// (XEP-0060 §6.1.6). It waits while the link is full or down, and goes on with the next recipient where it stopped. The
// only error is ctx's.
func (s *Service) notify(ctx context.Context, ev *event, d broker.Delivery) error {
	l := s.nodes.get(d.Message.Channel)
	if l != nil && !l.Config.Notifications {
		return nil
	}
	item, err := l.eventItem(d.Message)
	if err != nil {
		if !errors.Is(err, broker.ErrSkip) {
			s.log.ErrorContext(ctx, "a message cannot be written as XML", slog.String("channel", string(d.Message.Channel)), slog.Any("error", err))
		}
		s.count.skipped.Add(1)
		return nil
	}
	normal := l != nil && l.Config.NotificationType == typeNormal
	ev.about(d.Message.Channel, item, normal)
	g := s.guardian(d.Message.Channel)
	guarded := !l.open() || !g.open()
	var told map[string]bool // JIDs, if one may come twice
	if d.Also != nil {
		told = make(map[string]bool)
	}
	for _, sub := range s.audience.of(d) {
		if told[sub.jid] || guarded && (s.bars(l, sub) || s.bars(g, sub)) {
			continue
		}
		sent, err := s.notifyOne(ctx, ev, l, sub, d.Message)
		if errors.Is(err, component.ErrTooBig) {
			// The subscriber learns that there is an item. The link would not survive the item itself.
			s.count.naked.Add(1)
			if item, err = d.Message.Encoded(naked); err == nil {
				ev.about(d.Message.Channel, item, normal)
				sent, err = s.notifyOne(ctx, ev, l, sub, d.Message)
			}
		}
		if sent && told != nil {
			told[sub.jid] = true
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// eventItem is what an event of the node says of a message; nil where a node only notifies.
func (l *leaf) eventItem(m *broker.Message) ([]byte, error) {
	switch {
	case l == nil || m.Retracted:
		return m.Encoded(itemForm(0))
	case l.Config.bare():
		return nil, nil
	}
	return m.Encoded(l.Config.eventForm())
}

// notifyOne queues one event, unless the subscription is over, began behind the message, or its user does not want it now.
func (s *Service) notifyOne(ctx context.Context, ev *event, l *leaf, sub *subscription, m *broker.Message) (sent bool, err error) {
	ev.id = s.appendEventID(ev.id[:0], sub)
	err = s.gate.try(ctx, true, func() error {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		if sub.over || !s.wants(l, sub) || !m.Retracted && covers(sub.floor, m.Position) {
			return nil
		}
		err := s.link.SendKept(ev.forSubscription(sub.to, sub.slash, ev.id)...)
		if sent = err == nil; sent && !m.Retracted {
			sub.seen = m.Position
		}
		return err
	})
	if sent {
		s.count.events.Add(1)
	}
	return sent, err
}

// covers tells whether q is at p or before it, in one history. No position covers nothing.
func covers(p, q broker.Position) bool {
	return !p.IsZero() && p.Epoch == q.Epoch && q.Offset <= p.Offset
}
