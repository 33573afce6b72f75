package sse

import (
	"errors"
	"sync/atomic"

	"waft/broker"
)

// Refusal names a reason for which there was no stream. It is a metric label.
type Refusal uint8

const (
	RefusedOrigin     Refusal = iota // a page of an origin that is not listed
	RefusedMalformed                 // a wrong method, parameter, channel or id
	RefusedCredential                // a token that did not verify, or is good for too long to be in an address
	RefusedExpired                   // a token that has expired
	RefusedForbidden                 // who asked may not subscribe
	RefusedLimit                     // too many streams of the realm or sessions of the broker
	RefusedAddress                   // too many streams of the address
	RefusedDraining                  // the server stops
	RefusedOther                     // the broker failed
	RefusedDamped                    // a token of an address that had sent too many bad ones, unread
	refusals
)

var refusalNames = [refusals]string{
	RefusedOrigin: "origin", RefusedMalformed: "malformed", RefusedCredential: "credential", RefusedExpired: "credential_expired",
	RefusedForbidden: "forbidden", RefusedLimit: "limit", RefusedAddress: "address_limit", RefusedDraining: "draining", RefusedOther: "failed",
	RefusedDamped: "credential_damped",
}

// String is the reason's metric label.
func (r Refusal) String() string { return refusalNames[r] }

// refusalOf sorts errors.
func refusalOf(err error) Refusal {
	switch {
	case errors.Is(err, errDraining):
		return RefusedDraining
	case errors.Is(err, errAddressStreams):
		return RefusedAddress
	case errors.Is(err, errOrigin):
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

// End names a reason for which a stream ended. It is a metric label, and the reason in the event `end`.
type End uint8

const (
	EndClient   End = iota // the client went, or its connection did
	EndSlow                // more was waiting than may
	EndExpired             // the credential has
	EndRevoked             // a channel is no longer allowed
	EndBehind              // its replay never came to an end
	EndShutdown            // the server stops
	EndClosed              // somebody closed the session
	ends
)

var endNames = [ends]string{
	EndClient: "client_gone", EndSlow: "slow_consumer", EndExpired: "credential_expired", EndRevoked: "forbidden",
	EndBehind: "behind", EndShutdown: "shutdown", EndClosed: "closed",
}

// String is the reason's metric label.
func (e End) String() string { return endNames[e] }

// endOf says why a session ended.
func endOf(reason error) End {
	switch {
	case errors.Is(reason, errGone):
		return EndClient
	case errors.Is(reason, broker.ErrCredentialExpired):
		return EndExpired
	case errors.Is(reason, errBehind):
		return EndBehind
	case broker.IsShutdown(reason):
		return EndShutdown
	case broker.KindOf(reason) == broker.SlowConsumer:
		return EndSlow
	case broker.KindOf(reason) == broker.Forbidden, broker.KindOf(reason) == broker.Unauthenticated:
		return EndRevoked
	default:
		return EndClosed
	}
}

// Stats is a snapshot of what the door did. The counters only grow; the gauge says what is now.
type Stats struct {
	Opened   uint64 // streams begun
	Resumed  uint64 // of them, with the id of an event
	Reset    uint64 // times that a stream was told of channels whose history was lost
	Replayed uint64 // messages sent from history before the stream was live, because they were more than a session may queue
	Refused  map[Refusal]uint64
	Ended    map[End]uint64

	Streams int // open now
}

type counters struct {
	opened, resumed, reset, replayed atomic.Uint64

	refused [refusals]atomic.Uint64
	ended   [ends]atomic.Uint64
}

// Stats counts.
func (h *Handler) Stats() Stats {
	c := &h.counters
	s := Stats{
		Opened: c.opened.Load(), Resumed: c.resumed.Load(), Reset: c.reset.Load(), Replayed: c.replayed.Load(),
		Refused: make(map[Refusal]uint64, refusals), Ended: make(map[End]uint64, ends),
	}
	for r := range refusals {
		s.Refused[r] = c.refused[r].Load()
	}
	for e := range ends {
		s.Ended[e] = c.ended[e].Load()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Streams = len(h.streams)
	return s
}
