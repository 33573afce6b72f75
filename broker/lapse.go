package broker

import (
	"context"
	"slices"
	"time"
)

// A subscription lasts as long as what grants it: until the credential expires, or until the Authorizer thinks otherwise and
// Recheck is called.

// keep is the principal as a subscription remembers it.
func (p Principal) keep() *Principal {
	if p.Anonymous() && p.Expires.IsZero() {
		return nil
	}
	return &p
}

// longer is whichever of two grants of one subscription lasts longer; the newer one, if that is equal.
func longer(old, who *Principal) *Principal {
	switch {
	case who == nil || who.Expires.IsZero():
		return who
	case old == nil || old.Expires.IsZero() || old.Expires.After(who.Expires):
		return old
	default:
		return who
	}
}

// expires is when the credential does; zero: never. The session's mu is held.
func (sub *subscription) expires() time.Time {
	if sub.who == nil {
		return time.Time{}
	}
	return sub.who.Expires
}

func (sub *subscription) expired(now time.Time) bool {
	return sub.who != nil && sub.who.ExpiredAt(now)
}

// armLapse sets the timer for the next credential that ends; mu is held.
func (s *Session) armLapse() {
	var next time.Time
	for sub := range s.subs.all() {
		if end := sub.expires(); !end.IsZero() && (next.IsZero() || end.Before(next)) {
			next = end
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

// checkLapsed runs on the wheel. The Authorizer may take its time, so it is asked elsewhere.
func (s *Session) checkLapsed() { s.broker.tasks.Go(s.endLapsed) }

// endLapsed ends the subscriptions whose credential has expired, but for those that need none: whoever comes without one has
// them too, so nobody who came with one may lose them.
func (s *Session) endLapsed() {
	now := time.Now()
	for _, sub := range s.subscriptions() {
		s.mu.Lock()
		expired := sub.expired(now)
		s.mu.Unlock()
		if !expired {
			continue
		}
		open := s.broker.opts.Authorizer.Authorize(context.Background(), Principal{}, ActSubscribe, sub.pattern) == nil
		s.lapses(sub, ErrCredentialExpired, func() bool {
			switch {
			case !sub.expired(now): // it has been renewed meanwhile
				return false
			case open:
				sub.who = nil
			}
			return !open
		})
	}
	s.mu.Lock()
	if s.ended == nil {
		s.armLapse()
	}
	s.mu.Unlock()
}

// Recheck asks the Authorizer again about every subscription of a session that can be told (SessionOptions.Lapsed), and ends
// those that it refuses now; it gives their number. It is for an Authorizer that has changed its mind.
func (b *Broker) Recheck(ctx context.Context) (ended int) {
	for _, s := range b.Sessions() {
		if s.opts.Lapsed == nil {
			continue
		}
		for _, sub := range s.subscriptions() {
			s.mu.Lock()
			kept := sub.who
			s.mu.Unlock()
			var who Principal
			if kept != nil {
				who = *kept
			}
			err := b.authorize(ctx, who, ActSubscribe, sub.pattern)
			if err != nil && s.lapses(sub, err, func() bool { return sub.who == kept }) {
				ended++
			}
		}
	}
	return ended
}

// Renew makes the session's subscriptions last as long as who's credential does, those that it grants.
func (s *Session) Renew(ctx context.Context, who Principal) {
	kept := who.keep()
	for _, sub := range s.subscriptions() {
		if s.broker.authorize(ctx, who, ActSubscribe, sub.pattern) == nil {
			s.mu.Lock()
			sub.who = longer(sub.who, kept)
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.armLapse()
	}
}

// lapses ends a subscription if ok says so, which is called with mu held, and tells the adapter.
func (s *Session) lapses(sub *subscription, reason error, ok func() bool) bool {
	ended := s.leaveIf(sub.pattern, sub, ok)
	if ended && s.opts.Lapsed != nil {
		s.broker.tasks.Go(func() { s.opts.Lapsed(s, sub.pattern, reason) })
	}
	return ended
}

func (s *Session) subscriptions() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]*subscription, 0, s.subs.len()), s.subs.all())
}
