package httppub

import (
	"cmp"
	"net/http"
	"net/netip"
	"time"

	"waft/broker"
)

// ReaderLimits bounds what a Reader answers. What is held already stays.
type ReaderLimits struct {
	MaxPage      int           // most entries of an answer; 0 means 1,000. Who names no limit gets 100
	MaxPageBytes int           // of an answer's messages, but for the last; 0 means 1 MiB
	PageAge      time.Duration // how long caches may keep a page that nothing is added to; 0 means 1 minute, negative: not at all
	MaxWait      time.Duration // how long a request is held, however long it wants to wait; 0 means 55 seconds
	MaxHeld      int           // requests held at a time; 0 means 10,000
	AddressHeld  int           // of them from one address; 0 means no limit
}

// SetLimits replaces ReaderOptions.Limits. The error is of kind Invalid.
func (h *Reader) SetLimits(l ReaderLimits) error {
	if min(l.MaxPage, l.MaxPageBytes, l.MaxHeld, l.AddressHeld) < 0 || l.MaxWait < 0 {
		return broker.Errorf(broker.Invalid, "the limits of an HTTP reader must not be negative")
	}
	l.MaxPage = cmp.Or(l.MaxPage, 1_000)
	l.MaxPageBytes = cmp.Or(l.MaxPageBytes, 1<<20)
	l.PageAge = cmp.Or(l.PageAge, time.Minute)
	l.MaxWait = cmp.Or(l.MaxWait, 55*time.Second)
	l.MaxHeld = cmp.Or(l.MaxHeld, 10_000)
	h.limits.Store(&l)
	return nil
}

// clientAddress is whose request it is: what of says, else the other end of the connection. It is not valid where there is no network,
// in a test or on a pipe.
func clientAddress(r *http.Request, of func(*http.Request) netip.Addr) netip.Addr {
	if of != nil {
		return of(r)
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap()
}
