package ws

import (
	"errors"
	"sync/atomic"

	"waft/broker"
	"waft/httppub"
)

// End names a reason for which a socket ended. It is a metric label, and the reason in the close frame.
type End uint8

const (
	EndClient     End = iota // the client went, or its connection did
	EndSilent                // it did not answer a ping
	EndSlow                  // more was waiting than may
	EndCredential            // none was shown in time, or a bad one
	EndExpired               // the credential has
	EndMalformed             // it broke the WebSocket protocol
	EndLarge                 // a frame was too large
	EndShutdown              // the server stops
	EndClosed                // somebody closed the session
	ends
)

var endNames = [ends]string{
	EndClient: "client_gone", EndSilent: "silent", EndSlow: "slow_consumer", EndCredential: "credential", EndExpired: "credential_expired",
	EndMalformed: "malformed", EndLarge: "too_large", EndShutdown: "shutdown", EndClosed: "closed",
}

// String is the reason's metric label.
func (e End) String() string { return endNames[e] }

// endOf says why a session ended.
func endOf(reason error) End {
	switch {
	case errors.Is(reason, errGone):
		return EndClient
	case errors.Is(reason, errSilent):
		return EndSilent
	case errors.Is(reason, broker.ErrCredentialExpired):
		return EndExpired
	case broker.IsShutdown(reason):
		return EndShutdown
	}
	switch broker.KindOf(reason) {
	case broker.SlowConsumer:
		return EndSlow
	case broker.Unauthenticated:
		return EndCredential
	case broker.Invalid:
		return EndMalformed
	case broker.TooLarge:
		return EndLarge
	case broker.Internal, broker.Forbidden, broker.NotFound, broker.Conflict, broker.RateLimited, broker.HistoryLost, broker.Unavailable, broker.Closed:
	}
	return EndClosed
}

// kinds is how many there are.
const kinds = broker.Closed + 1

// Stats is a snapshot of what the door did. The counters only grow; the gauge says what is now.
type Stats struct {
	Opened    uint64 // sockets begun
	Published uint64 // messages
	Resumed   uint64 // subscribes with a place
	Lost      uint64 // times that a client was told of channels whose history was lost
	Replayed  uint64 // messages sent from history before a subscription was live, because they were more than a session may queue
	Revoked   uint64 // subscriptions ended because the rules have changed

	Refused map[httppub.Refusal]uint64 // requests that did not become a socket
	Failed  map[broker.Kind]uint64     // frames answered with an error
	Ended   map[End]uint64

	Sockets int // open now
}

type counters struct {
	opened, published, resumed, lost, replayed, revoked atomic.Uint64

	refused httppub.Refusals
	failed  [kinds]atomic.Uint64
	ended   [ends]atomic.Uint64
}

// Stats counts.
func (h *Handler) Stats() Stats {
	c := &h.counters
	s := Stats{
		Opened: c.opened.Load(), Published: c.published.Load(), Resumed: c.resumed.Load(), Lost: c.lost.Load(),
		Replayed: c.replayed.Load(), Revoked: c.revoked.Load(),
		Refused: c.refused.Stats(), Failed: make(map[broker.Kind]uint64, kinds), Ended: make(map[End]uint64, ends),
	}
	for k := range kinds {
		s.Failed[k] = c.failed[k].Load()
	}
	for e := range ends {
		s.Ended[e] = c.ended[e].Load()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Sockets = len(h.sockets)
	return s
}
