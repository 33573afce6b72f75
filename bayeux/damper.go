package bayeux

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"waft/broker"
)

// A token cannot be guessed, but trying costs the server, and a flood of wrong ones is somebody's mistake or somebody's attempt. So an
// address has some number of bad tokens; when they are used up, its tokens are refused without a look, but for one in a while. A
// good token costs nothing, and is let through again as soon as the bad ones stop; sessions that are there do not need
// to be looked at. What has expired was good, and does not count.

var errUnlooked = &broker.Error{
	Kind: broker.RateLimited, Text: "too many credentials of this address were refused; try again later",
}

// authenticate verifies a token that came from an address.
func (h *Handler) authenticate(ctx context.Context, from netip.Addr, token string) (broker.Principal, error) {
	if h.opts.Authenticator == nil {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "this server knows no tokens")
	}
	rate, now, wait := h.limits.Load().badToken, h.now(), time.Duration(0)
	h.addresses.with(from, now, func(a *address) { wait = a.badTokens.Wait(rate, now) })
	if wait > 0 {
		h.counters.refuse(RefusedUnlooked)
		return broker.Principal{}, errUnlooked
	}
	who, err := h.opts.Authenticator.Authenticate(ctx, token)
	switch {
	case err == nil && who.ExpiredAt(time.Now()):
		err = broker.ErrCredentialExpired
		fallthrough
	case errors.Is(err, broker.ErrCredentialExpired):
		h.counters.refuse(RefusedExpired)
		return broker.Principal{}, err
	case err == nil:
		return who, nil
	case broker.KindOf(err) == broker.Unauthenticated:
		h.addresses.with(from, now, func(a *address) { a.badTokens.Take(rate, now, 1) })
	}
	h.counters.refuse(RefusedCredential)
	h.log.sampled(&h.log.credential, "credential refused", err)
	return broker.Principal{}, err
}
