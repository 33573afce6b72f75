package bayeux

import (
	"bytes"
	"net/netip"
	"sync"
)

// A proxy sends the requests of its clients over few connections, each on any of them. So what follows a poll there is the poll of somebody else, and its
// head is another, with that client's address and cookies. tenants knows such heads by their marks, and what came of them: whichever connection of the proxy
// they come on next, it comes to the same. Connections that have one client are not in the table.
type tenants struct {
	mu    sync.RWMutex
	known map[tenancy]*tenant
}

// tenancy is where a head came from.
type tenancy struct {
	sum    uint64
	remote netip.Addr // the proxy's; invalid if it has none
	local  netip.AddrPort
	back   *handback
}

// tenant is what is known of a poll.
type tenant struct {
	mark    mark
	kind    *kind
	address netip.Addr
}

const maxTenants = 16 << 10

func (c *heldPoll) tenancy(sum uint64) tenancy {
	return tenancy{sum, c.remote.Addr(), c.kind.local, c.back}
}

// add takes c's poll into the table.
func (t *tenants) add(c *heldPoll) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxTenants { // all anew: those in use are soon back
		t.known = map[tenancy]*tenant{}
	}
	t.known[c.tenancy(c.mark.sum)] = &tenant{c.mark, c.kind, c.address}
}

// tenant tells whether the request in raw is like one that is known, whose client c is from now on.
func (c *heldPoll) tenant(raw []byte) bool {
	h := c.back.h
	head := bytes.Index(raw, endOfHead) + len(endOfHead)
	if head < len(endOfHead) {
		return false
	}
	m := markOf(raw[:head], len(raw)-head)
	h.tenants.mu.RLock()
	t := h.tenants.known[c.tenancy(m.sum)]
	h.tenants.mu.RUnlock()
	if t == nil || t.mark != m {
		return false
	}
	c.mark, c.kind = m, t.kind
	c.isOf(t.address)
	return true
}
