package sse

import (
	"errors"
	"sync/atomic"

	"waft/broker"
	"waft/httppub"
	"waft/httppub/place"
)

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
	case errors.Is(reason, place.ErrBehind):
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
	Refused  map[httppub.Refusal]uint64
	Ended    map[End]uint64

	Streams int // open now
}

type counters struct {
	opened, resumed, reset, replayed atomic.Uint64

	refused httppub.Refusals
	ended   [ends]atomic.Uint64
}

// Stats counts.
func (h *Handler) Stats() Stats {
	c := &h.counters
	s := Stats{
		Opened: c.opened.Load(), Resumed: c.resumed.Load(), Reset: c.reset.Load(), Replayed: c.replayed.Load(),
		Refused: c.refused.Stats(), Ended: make(map[End]uint64, ends),
	}
	for e := range ends {
		s.Ended[e] = c.ended[e].Load()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Streams = len(h.streams)
	return s
}
