package broker

import (
	"context"
	"time"
)

// SubscribeOptions asks for messages published before the subscription. The zero value asks for none.
type SubscribeOptions struct {
	// Since resumes: first every kept message after this position, then the live ones, none missing and none twice.
	// Only for a pattern that is a channel.
	Since Position

	// Last asks for the newest so many kept messages before the live ones; negative: for all that are kept.
	// Only for a pattern that is a channel, and not together with Since.
	Last int

	// BestEffort makes a subscription even when Since is lost: Subscribed.Recovered is then false, and what is kept
	// is replayed. Without it a lost position is an error of kind HistoryLost, and there is no subscription.
	BestEffort bool
}

func (o SubscribeOptions) replays() bool { return !o.Since.IsZero() || o.Last != 0 }

// Subscribed tells what a subscription began with.
type Subscribed struct {
	Already   bool     // the session had this subscription
	Recovered bool     // Since was asked for and nothing after it is missing
	Replayed  int      // messages queued from history
	Position  Position // of the channel when a replay went live; zero if no replay was asked for
}

// Subscribe adds the pattern to what the session is given. Subscribing again is no error: who is asked about once
// more, and a replay, if wanted, happens again.
//
// It asks for ActSubscribe, and with Last for ActRead too. When it returns, every message accepted from then on is
// queued. The subscription ends with who's credential; of several grants the longest counts. Errors: Invalid, the
// Authorizer's, RateLimited (too many subscriptions), HistoryLost, TooLarge (the replay does not fit the
// queue: read it in pages with History), Conflict (a replay of this subscription is under way), Closed.
func (s *Session) Subscribe(ctx context.Context, who Principal, p Pattern, o SubscribeOptions) (Subscribed, error) {
	if p.Reserved() {
		return Subscribed{}, Errorf(Forbidden, "%s belongs to Bayeux and cannot be subscribed to", p)
	}
	c, isChannel := p.Channel()
	switch {
	case o.replays() && !isChannel:
		return Subscribed{}, Errorf(Invalid, "%s has a wildcard: only a single channel can be replayed", p)
	case !o.Since.IsZero() && o.Last != 0:
		return Subscribed{}, Errorf(Invalid, "a replay begins at a position or with the last messages, not both")
	}
	if err := s.broker.authorize(ctx, who, ActSubscribe, p); err != nil {
		return Subscribed{}, err
	}
	if o.Last != 0 {
		if err := s.broker.authorize(ctx, who, ActRead, p); err != nil {
			return Subscribed{}, err
		}
	}
	sub, already, err := s.join(p, who.Expires, o.replays())
	if err != nil {
		return Subscribed{}, err
	}
	if !already {
		s.broker.index.add(sub)
		s.broker.event(Event{Type: EventSubscribed, Session: s, Pattern: p})
	}
	result := Subscribed{Already: already}
	if o.replays() {
		if err := s.replay(ctx, sub, c, o, &result); err != nil {
			if already {
				s.unhold(sub)
			} else {
				s.leave(p, sub)
			}
			return Subscribed{}, err
		}
	}
	return result, nil
}

// join makes or finds the session's subscription to p, holding if a replay follows.
func (s *Session) join(p Pattern, expires time.Time, replays bool) (sub *subscription, already bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil, false, s.ended
	}
	sub, already = s.subs[p]
	if !already {
		if most := s.opts.MaxSubscriptions; most > 0 && len(s.subs) >= most {
			return nil, false, Errorf(RateLimited, "the session has %d subscriptions, which is the most it may have", most)
		}
		sub = &subscription{session: s, pattern: p, place: pending, expires: expires}
		if s.subs == nil {
			s.subs = map[Pattern]*subscription{}
		}
		s.subs[p] = sub
		s.broker.subscriptions.Add(1)
	} else if sub.expires = later(sub.expires, expires); sub.hold != nil && replays {
		return nil, true, Errorf(Conflict, "a replay of %s is already under way", p)
	}
	if replays {
		sub.hold = &hold{}
	}
	if !sub.expires.IsZero() {
		s.armLapse()
	}
	return sub, already, nil
}

// later is the later of two ends of a credential; zero is never.
func later(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	if a.After(b) {
		return a
	}
	return b
}

// Unsubscribe takes the pattern off, and tells whether the session had it. What was queued for it stays queued.
func (s *Session) Unsubscribe(p Pattern) bool {
	s.mu.Lock()
	sub := s.subs[p]
	s.mu.Unlock()
	return sub != nil && s.leave(p, sub)
}

// leave ends the subscription sub to p, if it is still the session's.
func (s *Session) leave(p Pattern, sub *subscription) bool {
	s.mu.Lock()
	mine := s.subs[p] == sub
	if mine {
		delete(s.subs, p)
	}
	s.mu.Unlock()
	if mine {
		s.broker.index.remove(sub)
		s.broker.subscriptions.Add(-1)
		s.broker.event(Event{Type: EventUnsubscribed, Session: s, Pattern: p})
	}
	return mine
}

// armLapse sets the timer for the next credential that ends; mu is held.
func (s *Session) armLapse() {
	var next time.Time
	for _, sub := range s.subs {
		if !sub.expires.IsZero() && (next.IsZero() || sub.expires.Before(next)) {
			next = sub.expires
		}
	}
	switch {
	case next.IsZero():
	case s.lapse == nil:
		s.lapse = s.broker.wheel.AfterFunc(time.Until(next), s.checkLapsed)
	default:
		s.lapse.Reset(time.Until(next))
	}
}

// checkLapsed runs on the wheel: it ends the subscriptions whose credential has expired.
func (s *Session) checkLapsed() {
	now := time.Now()
	var lapsed []*subscription
	s.mu.Lock()
	for _, sub := range s.subs {
		if !sub.expires.IsZero() && !now.Before(sub.expires) {
			lapsed = append(lapsed, sub)
		}
	}
	s.mu.Unlock()
	for _, sub := range lapsed {
		if s.leave(sub.pattern, sub) && s.opts.Lapsed != nil {
			s.broker.tasks.Go(func() { s.opts.Lapsed(s, sub.pattern) })
		}
	}
	s.mu.Lock()
	if s.ended == nil {
		s.armLapse()
	}
	s.mu.Unlock()
}
