package bayeux

import (
	"net/http"
	"net/netip"
	"sync"

	"waft/broker"
)

// clientAddress is whose request it is: what Options.ClientAddress says, else the other end of the connection.
func (h *Handler) clientAddress(r *http.Request) netip.Addr {
	if h.opts.ClientAddress != nil {
		return h.opts.ClientAddress(r)
	}
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // invalid where there is no network: in a test, on a pipe
	return at.Addr().Unmap()
}

// addresses knows what each address has open and what it did lately. Those that are at rest are not in the table, and it
// is bounded: when strangers from everywhere fill it, some are forgotten, which lets those off who were held back and
// holds back nobody.
type addresses struct {
	mu    sync.Mutex // guards all that is known
	known map[netip.Prefix]*address
}

type address struct {
	who    netip.Prefix
	listed bool // it is in the table

	sessions, open int // now; open: requests, sockets and streams

	handshakes, messages broker.Tally
}

// maxAddresses is how many may be known that have nothing open.
const maxAddresses = 10_000

func (x *address) pinned() bool { return x.sessions > 0 || x.open > 0 }

func (x *address) atRest(now int64) bool {
	return !x.pinned() && x.handshakes.Idle(now) && x.messages.Idle(now)
}

// caller is an address that comes time and again.
type caller struct {
	address netip.Addr
	known   *address // when it was here last; nil: it is looked for
}

// isOf says whose c is from now on.
func (c *caller) isOf(a netip.Addr) {
	if c.address != a {
		*c = caller{address: a}
	}
}

// with calls f with what is known of a, under the table's lock. Without an address f is not called: nothing is known
// of such clients.
func (t *addresses) with(a netip.Addr, now int64, f func(*address)) {
	t.withAgain(&caller{address: a}, now, f)
}

// withAgain is with, for one that may have been here before, which saves looking for it.
func (t *addresses) withAgain(c *caller, now int64, f func(*address)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.known == nil || !c.known.listed {
		if c.known = t.find(c.address); c.known == nil {
			return
		}
	}
	x := c.known
	f(x)
	switch {
	case x.listed && x.atRest(now):
		t.drop(x)
	case !x.listed && !x.atRest(now) && (len(t.known) < maxAddresses || t.makeRoom(now) || x.pinned()):
		x.listed = true
		t.known[x.who] = x
	}
}

// find gives what is known of a, or what is known of one that is not in the table; nil: it is no address.
func (t *addresses) find(a netip.Addr) *address {
	who := broker.Network(a)
	if !who.IsValid() {
		return nil
	}
	if t.known == nil {
		t.known = map[netip.Prefix]*address{}
	}
	if x := t.known[who]; x != nil {
		return x
	}
	return &address{who: who}
}

func (t *addresses) drop(x *address) {
	x.listed = false
	delete(t.known, x.who)
}

// makeRoom forgets one of a few addresses, at rest if there is such a one, and not one that has something open.
func (t *addresses) makeRoom(now int64) bool {
	var victim *address
	looked := 0
	for _, x := range t.known { // begins somewhere else each time
		if x.atRest(now) {
			t.drop(x)
			return true
		}
		if !x.pinned() {
			victim = x
		}
		if looked++; looked == 16 {
			break
		}
	}
	if victim != nil {
		t.drop(victim)
	}
	return victim != nil
}

// enter counts something that c opens, if it has fewer than most (0: no limit); leave undoes it. Both are given the same field.
func (t *addresses) enter(c *caller, now int64, most int, what func(*address) *int) (ok bool) {
	ok = true
	t.withAgain(c, now, func(x *address) {
		n := what(x)
		if ok = most == 0 || *n < most; ok {
			*n++
		}
	})
	return ok
}

func (t *addresses) leave(c *caller, now int64, what func(*address) *int) {
	t.withAgain(c, now, func(x *address) { *what(x)-- })
}

func (x *address) openCount() *int    { return &x.open }
func (x *address) sessionCount() *int { return &x.sessions }
