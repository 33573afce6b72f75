package httppub

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"

	"waft/broker"
)

// Why the doors below this package let nobody in, beside the broker's reasons.
var (
	ErrOrigin      = &broker.Error{Kind: broker.Forbidden, Text: "pages of this origin may not use this server"}
	ErrFull        = &broker.Error{Kind: broker.RateLimited, Text: "there are as many of these connections as there may be; try again later"}
	ErrAddressFull = &broker.Error{Kind: broker.RateLimited, Text: "this address has as many of these connections as it may have; close one, or try again later"}
	ErrClosing     = &broker.Error{Kind: broker.Closed, Text: "the server is stopping; try again soon"}
)

// RefuseGuest is Refuse for whoever wanted to stay: it says when to come back.
func RefuseGuest(w http.ResponseWriter, r *http.Request, err error) {
	// A damped address has its own time, which is not a matter of chance: Refuse knows it.
	if kind := broker.KindOf(err); kind == broker.RateLimited && !errors.Is(err, broker.ErrDamped) || kind == broker.Unavailable || kind == broker.Closed {
		w.Header().Set("Retry-After", strconv.Itoa(1+rand.N(5))) //nolint:gosec // G404: it spreads clients and protects nothing
	}
	if one, ok := errors.AsType[*broker.BatchError](err); ok { // its number is of no use to somebody who named channels
		err = one.Err
	}
	Refuse(w, r, err)
}

// Refusal names a reason for which somebody was not let in. It is a metric label.
type Refusal uint8

const (
	RefusedOrigin     Refusal = iota // a page of an origin that is not listed
	RefusedMalformed                 // a wrong method, parameter, channel, place or handshake
	RefusedCredential                // a token that did not verify, or is good for too long to be in an address
	RefusedExpired                   // a token that has expired
	RefusedDamped                    // a token of an address that had sent too many bad ones, unread
	RefusedForbidden                 // who asked may not subscribe
	RefusedLimit                     // too many of the realm, or sessions of the broker
	RefusedAddress                   // too many of the address
	RefusedDraining                  // the server stops
	RefusedOther                     // the broker failed
	refusals
)

var refusalNames = [refusals]string{
	RefusedOrigin: "origin", RefusedMalformed: "malformed", RefusedCredential: "credential", RefusedExpired: "credential_expired", RefusedDamped: "credential_damped",
	RefusedForbidden: "forbidden", RefusedLimit: "limit", RefusedAddress: "address_limit", RefusedDraining: "draining", RefusedOther: "failed",
}

// String is the reason's metric label.
func (r Refusal) String() string { return refusalNames[r] }

// RefusalOf sorts errors.
func RefusalOf(err error) Refusal {
	switch {
	case errors.Is(err, ErrClosing):
		return RefusedDraining
	case errors.Is(err, ErrAddressFull):
		return RefusedAddress
	case errors.Is(err, ErrOrigin):
		return RefusedOrigin
	case errors.Is(err, broker.ErrCredentialExpired):
		return RefusedExpired
	case errors.Is(err, broker.ErrDamped):
		return RefusedDamped
	}
	switch broker.KindOf(err) {
	case broker.Invalid, broker.TooLarge, broker.NotFound, broker.Conflict, broker.HistoryLost:
		return RefusedMalformed
	case broker.Unauthenticated:
		return RefusedCredential
	case broker.Forbidden:
		return RefusedForbidden
	case broker.RateLimited:
		return RefusedLimit
	case broker.Closed:
		return RefusedDraining
	case broker.SlowConsumer, broker.Unavailable, broker.Internal:
	}
	return RefusedOther
}

// Refusals counts them.
type Refusals [refusals]atomic.Uint64

// Add counts the refusal for err.
func (c *Refusals) Add(err error) { c[RefusalOf(err)].Add(1) }

// Stats gives the counts.
func (c *Refusals) Stats() map[Refusal]uint64 {
	counts := make(map[Refusal]uint64, refusals)
	for r := range refusals {
		counts[r] = c[r].Load()
	}
	return counts
}
