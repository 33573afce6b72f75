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
	sessions, open int // now; open: requests, sockets and streams

	handshakes, messages broker.Tally
}

// maxAddresses is how many may be known that have nothing open.
const maxAddresses = 10_000

func (x *address) pinned() bool { return x.sessions > 0 || x.open > 0 }

func (x *address) atRest(now int64) bool {
	return !x.pinned() && x.handshakes.Idle(now) && x.messages.Idle(now)
}

// with calls f with what is known of a, under the table's lock. Without an address f is not called: nothing is known
// of such clients.
func (t *addresses) with(a netip.Addr, now int64, f func(*address)) {
	who := broker.Network(a)
	if !who.IsValid() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[netip.Prefix]*address{}
	}
	x := t.known[who]
	fresh := x == nil
	if fresh {
		x = &address{}
	}
	f(x)
	switch {
	case x.atRest(now):
		delete(t.known, who)
	case fresh && (len(t.known) < maxAddresses || t.makeRoom(now) || x.pinned()):
		t.known[who] = x
	}
}

// makeRoom forgets one of a few addresses, at rest if there is such a one, and not one that has something open.
func (t *addresses) makeRoom(now int64) bool {
	var victim netip.Prefix
	looked := 0
	for who, x := range t.known { // begins somewhere else each time
		if x.atRest(now) {
			delete(t.known, who)
			return true
		}
		if !x.pinned() {
			victim = who
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(t.known, victim)
	return victim.IsValid()
}

// enter counts something that a opens, if it has fewer than most (0: no limit); leave undoes it. Both are given the same field.
func (t *addresses) enter(a netip.Addr, now int64, most int, what func(*address) *int) (ok bool) {
	ok = true
	t.with(a, now, func(x *address) {
		n := what(x)
		if ok = most == 0 || *n < most; ok {
			*n++
		}
	})
	return ok
}

func (t *addresses) leave(a netip.Addr, now int64, what func(*address) *int) {
	t.with(a, now, func(x *address) { *what(x)-- })
}

func (x *address) openCount() *int    { return &x.open }
func (x *address) sessionCount() *int { return &x.sessions }
