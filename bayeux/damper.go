package bayeux

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"waft/broker"
)

// authenticate verifies a token that came from an address, unless that has sent too many bad ones (broker.Damper). Sessions that
// are there are not hurt by it: they need no token any more.
func (h *Handler) authenticate(ctx context.Context, from netip.Addr, token string) (broker.Principal, error) {
	if h.opts.Authenticator == nil {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "this server knows no tokens")
	}
	who, err := h.damper.From(from, h.opts.Authenticator).Authenticate(ctx, token)
	switch {
	case errors.Is(err, broker.ErrDamped):
		h.counters.refuse(RefusedUnlooked)
		return broker.Principal{}, err
	case err == nil && who.ExpiredAt(time.Now()):
		err = broker.ErrCredentialExpired
		fallthrough
	case errors.Is(err, broker.ErrCredentialExpired):
		h.counters.refuse(RefusedExpired)
		return broker.Principal{}, err
	case err == nil:
		return who, nil
	}
	h.counters.refuse(RefusedCredential)
	h.log.sampled(&h.log.credential, "credential refused", err)
	return broker.Principal{}, err
}
