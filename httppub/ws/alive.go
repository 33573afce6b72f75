package ws

import (
	"time"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// firstCheck is when to look at the socket first; mu is held.
func (s *socket) firstCheck() time.Duration {
	o := &s.h.opts
	next := o.KeepAlive
	if !s.proven {
		next = min(next, o.AuthTimeout)
	}
	return min(next, s.credentialLeft(next))
}

// credentialLeft is how long the credential lasts, at most most; mu is held.
func (s *socket) credentialLeft(most time.Duration) time.Duration {
	if s.who.Expires.IsZero() {
		return most
	}
	return min(most, max(time.Until(s.who.Expires), 0))
}

// check runs on the wheel. A client that has been silent is pinged, which keeps proxies from closing the connection too; one that does not
// answer is cut off. It is the only way to find out that a peer is gone when nothing is sent.
func (s *socket) check() {
	o, now := &s.h.opts, s.h.now()
	silent := time.Duration(now - s.heard.Load())
	s.mu.Lock()
	closing, proven, expired := s.closing, s.proven, s.who.ExpiredAt(time.Now())
	age := time.Duration(now - s.feed.began)
	s.mu.Unlock()
	switch {
	case closing:
		_ = s.conn.Load().Close()
		return
	case silent >= o.KeepAlive+o.PongWait:
		s.session.Close(errSilent)
		_ = s.conn.Load().Close()
		return
	case !proven && age >= o.AuthTimeout:
		s.end(errNobody)
		return
	case expired:
		s.end(broker.ErrCredentialExpired)
		return
	}
	next := o.KeepAlive - silent
	if next <= 0 {
		_ = s.conn.Load().Write([]byte{0x80 | wsframe.Ping, 0})
		next = o.KeepAlive + o.PongWait - silent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.proven {
		next = min(next, o.AuthTimeout-age)
	}
	if left := o.KeepAlive - time.Duration(now-s.feed.placed); left > 0 {
		next = min(next, left)
	} else {
		s.feed.placed, s.feed.placeDue = now, true
		s.conn.Load().Ready()
		next = min(next, o.KeepAlive)
	}
	if next = s.credentialLeft(next); !s.closing {
		s.timer.Reset(next)
	}
}

// Pinged implements wsread.Owner.
func (s *socket) Pinged(payload string) error {
	s.heard.Store(s.h.now())
	_ = s.conn.Load().Write(wsframe.Append(nil, wsframe.Pong, payload)) // a failed write is a failed read soon
	return nil
}

// Ponged implements wsread.Owner.
func (s *socket) Ponged(string) error {
	s.heard.Store(s.h.now())
	return nil
}
