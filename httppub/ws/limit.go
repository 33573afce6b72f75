package ws

import (
	"cmp"

	"waft/broker"
)

// Limits bounds how many sockets there may be, and how much each may say. Those that are there already stay.
type Limits struct {
	Sockets        int // of the realm, at a time; 0: no limit but the broker's
	AddressSockets int // of one client address; 0: no limit. An IPv6 address stands for its network of 64 bits
	SocketFrames   int // frames a second of one socket, in the long run; five seconds' worth may come at once. 0 means 1,000
}

// limits is Limits made ready.
type limits struct {
	sockets, addressSockets int
	frames                  broker.Rate
}

// burst is how many seconds' worth of frames may come at once.
const burst = 5

// SetLimits replaces Options.Limits. The error is of kind Invalid.
func (h *Handler) SetLimits(l Limits) error {
	if min(l.Sockets, l.AddressSockets, l.SocketFrames) < 0 {
		return broker.Errorf(broker.Invalid, "the limits of WebSockets must not be negative")
	}
	h.limits.Store(&limits{
		sockets: l.Sockets, addressSockets: l.AddressSockets,
		frames: broker.PerSecond(cmp.Or(l.SocketFrames, 1000), burst),
	})
	return nil
}

// costOfWildcard is for how many frames one wildcard counts: where it begins is looked up in many channels.
const costOfWildcard = 10

// cost is for how many frames f counts.
func (f *frame) cost() int {
	n := max(len(f.patterns), 1)
	for _, p := range f.patterns {
		if _, channel := p.Channel(); !channel {
			n += costOfWildcard - 1
		}
	}
	return n
}

// pace counts f, or says that it is too much.
func (s *socket) pace(f *frame) error {
	rate := s.h.limits.Load().frames
	n := f.cost()
	if f.kind != "subscribe" {
		n = 1
	}
	if s.said.Take(rate, s.h.now(), n) == 0 {
		return nil
	}
	return errTooFast
}

var errTooFast = &broker.Error{Kind: broker.RateLimited, Text: "too many frames; wait a moment and send it again"}
