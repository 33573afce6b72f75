package httppub

import (
	"net/netip"
	"sync"

	"waft/broker"
)

// held counts the requests that last, such as those that wait, all of them and by address. An address that has none is not in the table, so that
// this is bounded by the most there may be.
type held struct {
	// static
	what, instead string // "waiting requests", "; what to do"

	mu        sync.Mutex // guards the rest
	all       int
	byAddress map[netip.Prefix]int
}

// enter counts one more request from the address, or says why not; leave undoes it. The error is of kind RateLimited.
func (x *held) enter(from netip.Prefix, most, ofAddress int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.all >= most:
		return broker.Errorf(broker.RateLimited, "the server holds %d %s, which is the most it may hold%s", x.all, x.what, x.instead)
	case ofAddress > 0 && from.IsValid() && x.byAddress[from] >= ofAddress:
		return broker.Errorf(broker.RateLimited, "your address has %d %s, which is the most it may have%s", ofAddress, x.what, x.instead)
	}
	x.all++
	if from.IsValid() {
		if x.byAddress == nil {
			x.byAddress = map[netip.Prefix]int{}
		}
		x.byAddress[from]++
	}
	return nil
}

func (x *held) leave(from netip.Prefix) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all--
	if !from.IsValid() {
		return
	}
	if x.byAddress[from]--; x.byAddress[from] == 0 {
		delete(x.byAddress, from)
	}
}

func (x *held) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all
}
