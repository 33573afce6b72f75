package bayeux

import (
	"context"
	"errors"
	"time"

	"waft/broker"
)

// A session lasts as long as its credential, that of the handshake, and no longer than any credential that one of its
// subscriptions needed. Bayeux has one word for "come with a new one": the advice to handshake. Faye's client and CometD's call
// their extensions anew for the handshake, and subscribe again; of a subscription that ended by itself neither would know.
//
// A credential is renewed by any message with one of the same holder that may do all that the old one may, and lasts longer.

// errRevoked ends a session that has a subscription which the rules allow no more.
var errRevoked = &broker.Error{Kind: broker.Forbidden, Text: "a subscription of the session is no longer allowed"}

// lapsed implements broker.SessionOptions.Lapsed.
func (s *session) lapsed(_ *broker.Session, _ broker.Pattern, reason error) {
	if errors.Is(reason, broker.ErrCredentialExpired) {
		s.queue.Close(broker.ErrCredentialExpired)
	} else {
		s.queue.Close(errRevoked)
	}
}

// armExpiry sets the timer for the end of the session's own credential, if it has one.
func (s *session) armExpiry() {
	end := s.who.Load().Expires
	if end.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case s.expiry == nil:
		s.expiry = s.h.wheel.AfterFunc(time.Until(end), s.checkExpiry)
	default:
		s.expiry.Reset(time.Until(end))
	}
}

// checkExpiry runs on the wheel.
func (s *session) checkExpiry() {
	if s.who.Load().ExpiredAt(time.Now()) {
		s.queue.Close(broker.ErrCredentialExpired)
		return
	}
	s.armExpiry() // it has been renewed just now
}

// renew makes the session last as long as a newer credential of the same holder.
func (s *session) renew(ctx context.Context, who broker.Principal) {
	old := s.who.Load()
	if old.Expires.IsZero() || !who.Expires.IsZero() && !who.Expires.After(old.Expires) || !who.Replaces(old) {
		return
	}
	if !s.who.CompareAndSwap(old, &who) {
		return // another message has done it
	}
	s.armExpiry()
	s.queue.Renew(ctx, who)
}

// farewellOfExpiry is for a session whose credential has ended. If that came quickly, the next one may be like it.
func (h *Handler) farewellOfExpiry(s *session, words string) farewell {
	f := farewell{fault: fault{401, s.id(), words}, advice: h.advice.handshake(0, time.Second)}
	if time.Since(s.queue.Opened()) < 10*time.Second {
		f.advice = h.advice.later()
	}
	return f
}

// expiryGrace is how long a socket stays open after that, for the new handshake.
const expiryGrace = 10 * time.Second
