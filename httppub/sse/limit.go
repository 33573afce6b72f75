package sse

import "waft/broker"

// Limits bounds how many streams there may be. Those that are there already stay.
type Limits struct {
	Streams        int // of the realm, at a time; 0: no limit but the broker's
	AddressStreams int // of one client address; 0: no limit. An IPv6 address stands for its network of 64 bits
}

// SetLimits replaces Options.Limits. The error is of kind Invalid.
func (h *Handler) SetLimits(l Limits) error {
	if min(l.Streams, l.AddressStreams) < 0 {
		return broker.Errorf(broker.Invalid, "the limits of event streams must not be negative")
	}
	h.limits.Store(&l)
	return nil
}
