package sse

import (
	"net/netip"

	"waft/broker"
)

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

// enter counts a stream that is about to begin; leave undoes it.
func (h *Handler) enter(from netip.Addr) error {
	l, who := h.limits.Load(), broker.Network(from)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return errDraining
	case l.Streams > 0 && h.entered >= l.Streams:
		return errStreams
	case l.AddressStreams > 0 && who.IsValid() && h.addresses[who] >= l.AddressStreams:
		return errAddressStreams
	}
	h.entered++
	if who.IsValid() {
		h.addresses[who]++
	}
	return nil
}

func (h *Handler) leave(from netip.Addr) {
	who := broker.Network(from)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entered--
	if who.IsValid() {
		if h.addresses[who]--; h.addresses[who] == 0 {
			delete(h.addresses, who)
		}
	}
	if h.idle != nil && h.entered == 0 {
		close(h.idle)
		h.idle = nil
	}
}

var (
	errDraining       = &broker.Error{Kind: broker.Closed, Text: "the server is stopping; try again soon"}
	errStreams        = &broker.Error{Kind: broker.RateLimited, Text: "there are as many event streams as there may be; try again later"}
	errAddressStreams = &broker.Error{Kind: broker.RateLimited, Text: "this address has as many event streams as it may have; close one, or try again later"}
)
