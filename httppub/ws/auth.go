package ws

import (
	"time"

	"waft/broker"
)

// principal is who the socket is of.
func (s *socket) principal() broker.Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// prove notes that the client has done what nobody does by accident: it has no time limit to be somebody any more.
func (s *socket) prove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proven = true
}

// authenticate takes the credential of a client that could send none with its request, or a newer one of the same holder. A bad one ends
// the connection of whoever has none, so that guessing costs a connection each time, and does a good one no harm.
func (s *socket) authenticate(f *frame) {
	who, err := s.verify(f.token)
	if err != nil {
		s.fail(f, err)
		if old := s.principal(); old.Anonymous() && broker.KindOf(err) == broker.Unauthenticated {
			s.end(errBad)
		}
		return
	}
	s.mu.Lock()
	old := s.who
	newer := !old.Expires.IsZero() && (who.Expires.IsZero() || who.Expires.After(old.Expires))
	switch {
	case old.Anonymous():
		s.who = who
	case !who.Replaces(&old):
		s.mu.Unlock()
		s.fail(f, errOther)
		return
	case newer:
		s.who = who
	}
	s.proven, who = true, s.who
	if !s.closing {
		s.timer.Reset(s.firstCheck())
	}
	s.mu.Unlock()
	if newer {
		s.session.Renew(s.life, who)
	}
	a := answer{Type: "authenticated", Ref: f.ref, Subject: who.Subject}
	if !who.Expires.IsZero() {
		end := who.Expires.UTC().Truncate(time.Second)
		a.Expires = &end
	}
	s.tell(&a)
}

func (s *socket) verify(token string) (broker.Principal, error) {
	if s.h.opts.Authenticator == nil {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the realm accepts no tokens")
	}
	return s.h.opts.Damper.From(s.from, s.h.opts.Authenticator).Authenticate(s.life, token)
}

var errOther = &broker.Error{Kind: broker.Conflict, Text: "the token is of somebody else than the connection, or may do less; open another connection"}
