package bayeux

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"waft/broker"
)

// storm slows down clients that cannot keep a session. A client told 401 handshakes at once, which is right after a
// restart; one that is told so again and again (a balancer sends each request elsewhere, a cookie gets lost) does it a
// hundred times a second unless the advice grows. Each address has a score that grows with every refusal and
// halves every ten seconds. The table is bounded.
type storm struct {
	mu     sync.Mutex
	scores map[netip.Prefix]score
}

type score struct {
	value float64
	at    int64 // nanoseconds on the handler's clock
}

const (
	stormHalfLife = 10 * time.Second
	stormFree     = 5                // refusals that cost nothing
	stormMost     = 30 * time.Second // the longest interval
	stormPeers    = 10_000           // addresses remembered
)

// raise counts one refusal for address and gives the least interval its client should be told: 0 as long as it is calm.
func (t *storm) raise(address netip.Addr, now int64) time.Duration {
	who := broker.Network(address) // those without one are in it together
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scores == nil {
		t.scores = map[netip.Prefix]score{}
	}
	s, known := t.scores[who]
	if !known && len(t.scores) >= stormPeers {
		t.makeRoom(now)
	}
	s.value, s.at = s.after(now)+1, now
	t.scores[who] = s
	if s.value <= stormFree {
		return 0
	}
	return min(time.Duration(s.value/stormFree*float64(time.Second)), stormMost)
}

// after is what is left of the score at now.
func (s score) after(now int64) float64 {
	return s.value * math.Exp2(-float64(now-s.at)/float64(stormHalfLife))
}

// makeRoom forgets the calmest of a few. To look at all of them for each new address would be a storm of its own.
func (t *storm) makeRoom(now int64) {
	var calmest netip.Prefix
	least, looked := math.Inf(1), 0
	for who, s := range t.scores { // begins somewhere else each time
		if v := s.after(now); v < least {
			calmest, least = who, v
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(t.scores, calmest)
}

// later is the advice for a client that is refused for now: not before least has passed, and later each time it happens.
func (x *exchange) later(least time.Duration) string {
	least = max(least, x.h.storm.raise(x.peer.address, x.h.now()))
	return x.h.advice.handshake(least, 2*least+3*time.Second)
}

// again is the advice for a client whose session is not known: soon, and later each time it happens.
func (x *exchange) again() string {
	least := x.h.storm.raise(x.peer.address, x.h.now())
	return x.h.advice.handshake(least, least+max(least, time.Second))
}
