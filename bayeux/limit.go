package bayeux

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waft/broker"
)

// Limits bounds what one address and one session may do. An IPv6 address stands for its network of 64 bits. What goes by the
// address is off unless asked for: a thousand people behind one router have one, and behind a proxy that
// Options.ClientAddress does not look through everybody has. What is measured by the second may come in bursts of five seconds' worth.
type Limits struct {
	AddressSessions    int // of one address at a time; 0: no limit
	AddressConnections int // requests under way, sockets and streams of one address; 0: no limit
	AddressHandshakes  int // a second; 0: no limit
	AddressMessages    int // a second; 0: no limit
	SessionMessages    int // a second; 0 means 1,000
	BadTokens          int // refused in a row, until further ones of the address are looked at once in five seconds; 0 means 20
}

// burst is how many seconds' worth may come at once.
const burst = 5

// limits is Limits made ready.
type limits struct {
	sessions, connections         int
	handshakes, messages, session broker.Rate
}

// SetLimits replaces Options.Limits. What is there already stays.
func (h *Handler) SetLimits(l Limits) error {
	if min(l.AddressSessions, l.AddressConnections, l.AddressHandshakes, l.AddressMessages, l.SessionMessages, l.BadTokens) < 0 {
		return broker.Errorf(broker.Invalid, "a Bayeux handler's limits must not be negative")
	}
	h.limits.Store(&limits{
		sessions: l.AddressSessions, connections: l.AddressConnections,
		handshakes: broker.PerSecond(l.AddressHandshakes, burst),
		messages:   broker.PerSecond(l.AddressMessages, burst),
		session:    broker.PerSecond(cmp.Or(l.SessionMessages, 1000), burst),
	})
	return h.damper.SetLimit(l.BadTokens)
}

// arrive lets a request in before anything of it is read, or answers it. Whoever is let in leaves with depart.
func (h *Handler) arrive(w http.ResponseWriter, from netip.Addr) bool {
	why, wait, ok := h.enter(&caller{address: from}, h.now())
	switch {
	case ok:
	case why == RefusedAddressConnections:
		h.tooMany(w, why, wait, "too many connections from this address")
	default:
		h.tooMany(w, why, wait, "too many messages from this address")
	}
	return ok
}

// enter counts a request in, or says why not, and for how long.
func (h *Handler) enter(from *caller, now int64) (why Refusal, wait time.Duration, ok bool) {
	l := h.limits.Load()
	if !h.addresses.enter(from, now, l.connections, (*address).openCount) {
		return RefusedAddressConnections, time.Second, false
	}
	if !l.messages.Unlimited() {
		h.addresses.withAgain(from, now, func(x *address) { wait = x.messages.Wait(l.messages, now) })
	}
	if wait > 0 {
		h.leaves(from, now)
	}
	return RefusedAddressMessages, wait, wait == 0
}

// stay counts what outlives its request: a socket, a stream.
func (h *Handler) stay(from netip.Addr) {
	h.addresses.enter(&caller{address: from}, h.now(), 0, (*address).openCount)
}

func (h *Handler) depart(from netip.Addr) { h.leaves(&caller{address: from}, h.now()) }

// leaves is depart for a caller.
func (h *Handler) leaves(from *caller, now int64) { h.addresses.leave(from, now, (*address).openCount) }

// tooMany answers a request for which it is too early. (RFC 6585 §4)
func (h *Handler) tooMany(w http.ResponseWriter, why Refusal, wait time.Duration, sentence string) {
	h.counters.refuse(why)
	seconds := 1 + int(wait/time.Second) + rand.N(5) //nolint:gosec // G404: it spreads clients and protects nothing
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	refuse(w, http.StatusTooManyRequests, sentence)
}

var (
	tooManyMessages   = fault{429, "", "Too many messages"}
	tooManyHandshakes = fault{429, "", "Too many handshakes"}
	tooManySessions   = fault{429, "", "Too many sessions"}
)

// mayHandshake tells whether the address has a handshake left, and what to say and to advise if not.
func (x *exchange) mayHandshake() (f fault, advice string) {
	rate, now, wait := x.h.limits.Load().handshakes, x.h.now(), time.Duration(0)
	if rate.Unlimited() {
		return fault{}, ""
	}
	x.h.addresses.with(x.peer.address, now, func(a *address) { wait = a.handshakes.Take(rate, now, 1) })
	if wait == 0 {
		return fault{}, ""
	}
	x.h.counters.refuse(RefusedAddressHandshakes)
	return tooManyHandshakes, x.later(max(wait, time.Second))
}

// overRate refuses a message of an address that sends too many. A disconnect is never refused: it makes room.
func (x *exchange) overRate(m *message) bool {
	rate := x.h.limits.Load().messages
	if rate.Unlimited() {
		return false
	}
	now, wait := x.now(), time.Duration(0)
	x.h.addresses.with(x.peer.address, now, func(a *address) { wait = a.messages.Take(rate, now, 1) })
	switch {
	case wait == 0 || m.channel == "/meta/disconnect":
		return false
	case m.channel == "/meta/connect":
		if s := x.h.session(m.clientID); s != nil {
			x.heardConnect(s, m)
		}
		x.noConnect(m, tooManyMessages, x.h.advice.pause(wait))
	case strings.HasPrefix(m.channel, "/meta/"):
		x.refuse(m, nil, tooManyMessages)
	default:
		x.refusePublish(m, nil, tooManyMessages)
	}
	x.h.counters.refuse(RefusedAddressMessages)
	return true
}

// overRate tells whether the session has sent more messages than it may, of which m is one.
func (s *session) overRate(m *message, now int64) bool {
	if s.messages.Take(s.h.limits.Load().session, now, 1) == 0 || m.channel == "/meta/disconnect" {
		return false
	}
	s.h.counters.refuse(RefusedSessionMessages)
	return true
}
