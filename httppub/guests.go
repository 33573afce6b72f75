package httppub

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"waft/broker"
)

// Guests counts who stays in a door below this package: streams, sockets, and requests that may become one. An address that has none is not
// in the table. The zero Guests is empty and open.
type Guests struct {
	mu        sync.Mutex // guards the rest; nothing is called while it is held
	closing   bool
	all       int
	addresses map[netip.Prefix]int
	idle      chan struct{} // closed when all falls to 0, if Wait waits
}

// Enter counts one more from the address: fewer than most must be there, and fewer than ofAddress from there; 0 sets no limit. An IPv6 address
// stands for its network of 64 bits (RFC 6177), and no address at all for nobody's. Who is let in leaves with Leave. Errors: ErrFull, ErrAddressFull, ErrClosing.
func (g *Guests) Enter(from netip.Addr, most, ofAddress int) error {
	who := broker.Network(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closing:
		return ErrClosing
	case most > 0 && g.all >= most:
		return ErrFull
	case ofAddress > 0 && who.IsValid() && g.addresses[who] >= ofAddress:
		return ErrAddressFull
	}
	g.all++
	if who.IsValid() {
		if g.addresses == nil {
			g.addresses = map[netip.Prefix]int{}
		}
		g.addresses[who]++
	}
	return nil
}

// Leave undoes an Enter.
func (g *Guests) Leave(from netip.Addr) {
	who := broker.Network(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if who.IsValid() {
		if g.addresses[who]--; g.addresses[who] == 0 {
			delete(g.addresses, who)
		}
	}
	if g.idle != nil && g.all == 0 {
		close(g.idle)
		g.idle = nil
	}
}

// Count tells how many are in, and from how many addresses.
func (g *Guests) Count() (all, addresses int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all, len(g.addresses)
}

// Close lets nobody in any more.
func (g *Guests) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// IsClosing tells whether Close was called.
func (g *Guests) IsClosing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closing
}

// Wait blocks until nobody is left, or ctx ends.
func (g *Guests) Wait(ctx context.Context) error {
	g.mu.Lock()
	if g.all == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drainTick is how often the next few are sent away.
const drainTick = 20 * time.Millisecond

// Drain calls end for each of them, spread over most of ctx's time (without a deadline, two seconds), or at fifty a second if that is faster,
// so that clients do not arrive elsewhere all at once.
func Drain[T any](ctx context.Context, all []T, end func(T)) {
	budget := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline) * 4 / 5
	}
	ticks := max(int(budget/drainTick), 1)
	some := max((len(all)+ticks-1)/ticks, 1)
	pause := time.NewTicker(drainTick)
	defer pause.Stop()
	for i, x := range all {
		end(x)
		if i%some == some-1 && i < len(all)-1 {
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	}
}
