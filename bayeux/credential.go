package bayeux

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"waft/broker"
)

// peer is who is at the other end of a request or a socket. It is used by one goroutine at a time.
type peer struct {
	address netip.Addr // without the port; invalid if unknown
	bearer  string     // the token of the Authorization header, until it has been looked at

	known bool              // who and err are set
	who   *broker.Principal // nil: nobody in particular
	err   error
}

func (h *Handler) peerOf(r *http.Request) peer {
	p := peer{address: h.clientAddress(r)}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		// A copy: the header's string is part of a larger one.
		p.bearer = strings.Clone(strings.TrimSpace(token))
	}
	return p
}

// principal verifies the connection's own token, once. ok is false if it has none.
func (p *peer) principal(ctx context.Context, h *Handler) (who broker.Principal, ok bool, err error) {
	if p.bearer != "" {
		who, err = h.authenticate(ctx, p.address, p.bearer)
		if err != nil && broker.KindOf(err) != broker.Unauthenticated {
			return who, true, err // nothing is known yet: it could not be verified now
		}
		p.known, p.bearer, p.who, p.err = true, "", &who, err
	}
	if p.who != nil {
		who = *p.who
	}
	return who, p.known, p.err
}

// principal is who a message is from: whoever its own token names, else the connection's, else the session's. A
// token that does not verify is an error, never a fall back to somebody with fewer or other rights.
func (x *exchange) principal(m *message, s *session) (broker.Principal, error) {
	who, shown, err := x.shown(m)
	switch {
	case err != nil || s == nil:
		return who, err
	case !shown:
		return *s.who.Load(), nil
	}
	s.renew(x.ctx, who)
	if own := s.who.Load(); who.ExpiredAt(time.Now()) && own.Replaces(&who) {
		return *own, nil // a socket's token has expired, and a message has brought a newer one
	}
	return who, nil
}

// shown is the principal of the token that came with a message, its own or the connection's; ok is false if there is none.
func (x *exchange) shown(m *message) (who broker.Principal, ok bool, err error) {
	if token := m.credential(); token != "" {
		who, err = x.h.authenticate(x.ctx, x.peer.address, token)
		return who, true, err
	}
	return x.peer.principal(x.ctx, x.h)
}

// renewal looks for a newer credential on a message that needs none. A bad one does it no harm.
func (x *exchange) renewal(m *message, s *session) {
	if s.who.Load().Expires.IsZero() {
		return
	}
	if who, ok, err := x.shown(m); ok && err == nil {
		s.renew(x.ctx, who)
	}
}
