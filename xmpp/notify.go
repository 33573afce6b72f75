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
	item, err := d.Message.Encoded(itemForm{})
	if err != nil {
		if !errors.Is(err, broker.ErrSkip) {
			s.log.ErrorContext(ctx, "a message cannot be written as XML", slog.String("channel", string(d.Message.Channel)), slog.Any("error", err))
		}
		s.count.skipped.Add(1)
		return nil
	}
	ev.about(d.Message.Channel, item)
	var told map[string]bool // JIDs, if one may come twice
	if d.Also != nil {
		told = make(map[string]bool)
	}
	for _, sub := range s.audience.of(d) {
		if told[sub.jid] {
			continue
		}
		sent, err := s.notifyOne(ctx, ev, sub)
		if errors.Is(err, component.ErrTooBig) {
			// The subscriber learns that there is an item. The link would not survive the item itself.
			s.count.naked.Add(1)
			if item, err = d.Message.Encoded(nakedForm{}); err == nil {
				ev.about(d.Message.Channel, item)
				sent, err = s.notifyOne(ctx, ev, sub)
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

// notifyOne queues one event, unless the subscription is over.
func (s *Service) notifyOne(ctx context.Context, ev *event, sub *subscription) (sent bool, err error) {
	ev.id = s.appendEventID(ev.id[:0], sub)
	err = s.gate.try(ctx, true, func() error {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		if sub.over {
			return nil
		}
		err := s.link.Send(ev.forSubscription(sub.to, sub.slash, ev.id)...)
		sent = err == nil
		return err
	})
	if sent {
		s.count.events.Add(1)
	}
	return sent, err
}
