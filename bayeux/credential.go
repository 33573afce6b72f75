package bayeux

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"waft/broker"
)

// peer is who is at the other end of a request or a socket. It is used by one goroutine at a time.
type peer struct {
	address netip.Addr // without the port; invalid if unknown
	bearer  string     // the token of the Authorization header, until it has been looked at

	known bool // who and err are set
	who   broker.Principal
	err   error
}

func peerOf(r *http.Request) peer {
	p := peer{}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		p.address = at.Addr().Unmap()
	}
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
		p.who, p.err = h.authenticate(ctx, p.bearer)
		p.known, p.bearer = true, ""
	}
	return p.who, p.known, p.err
}

func (h *Handler) authenticate(ctx context.Context, token string) (broker.Principal, error) {
	if h.opts.Authenticator == nil {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "this server knows no tokens")
	}
	who, err := h.opts.Authenticator.Authenticate(ctx, token)
	if err != nil {
		h.counters.refuse(RefusedCredential)
		h.log.sampled(&h.log.credential, "credential refused", err)
	}
	return who, err
}

// principal is who a message is from: whoever its own token names, else the connection's, else the session's. A
// token that does not verify is an error, never a fall back to somebody with fewer or other rights.
func (x *exchange) principal(m *message, s *session) (broker.Principal, error) {
	if token := m.credential(); token != "" {
		return x.h.authenticate(x.ctx, token)
	}
	if who, ok, err := x.peer.principal(x.ctx, x.h); ok {
		return who, err
	}
	if s != nil {
		return s.who, nil
	}
	return broker.Principal{}, nil
}
