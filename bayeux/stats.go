package bayeux

import "sync/atomic"

// Refusal names a reason for which something was refused or broken off. It is a metric label.
type Refusal uint8

const (
	RefusedOrigin     Refusal = iota // a page of an origin that is not listed, or that does not say of which it is
	RefusedMalformed                 // not Bayeux, or not spoken here: no JSON, a wrong method, a binary frame, JSONP that is off
	RefusedTooLarge                  // a body, a frame or a batch above its limit
	RefusedCredential                // a token that did not verify
	RefusedClient                    // a message or a stream with a clientId that is not, or no longer, known
	RefusedOverload                  // a handshake for which there was no room
	RefusedDraining                  // a handshake or a socket while the server stops
	RefusedSilent                    // a socket that answered no ping, or a stream whose client sent no message for long
	RefusedIdle                      // a socket that stayed open without a session
	RefusedUnread                    // a socket that sends and does not read the replies

	RefusedExpired            // a token that has expired
	RefusedUnlooked           // a token of an address that had sent too many bad ones
	RefusedAddressConnections // a request of an address that has too many connections
	RefusedAddressSessions    // a handshake of an address that has too many sessions
	RefusedAddressHandshakes  // a handshake of an address that makes too many
	RefusedAddressMessages    // a message, or a whole request, of an address that sends too many
	RefusedSessionMessages    // a message of a session that sends too many
	RefusedInactive           // a session whose client sent nothing but connects for long
	refusals
)

var refusalNames = [refusals]string{
	RefusedOrigin: "origin", RefusedMalformed: "malformed", RefusedTooLarge: "too_large", RefusedCredential: "credential",
	RefusedClient: "unknown_client", RefusedOverload: "overload", RefusedDraining: "draining", RefusedSilent: "silent_socket",
	RefusedIdle: "idle_socket", RefusedUnread: "unread_replies", RefusedInactive: "inactive",
	RefusedExpired: "credential_expired", RefusedUnlooked: "credential_damped",
	RefusedAddressConnections: "address_connections", RefusedAddressSessions: "address_sessions",
	RefusedAddressHandshakes: "address_handshakes", RefusedAddressMessages: "address_messages",
	RefusedSessionMessages: "session_messages",
}

// String is the reason's metric label.
func (r Refusal) String() string { return refusalNames[r] }

// Stats is a snapshot of what the door did. The counters only grow; the gauges say what is now.
type Stats struct {
	// Counters.
	Requests   uint64 // posted bodies, queries and frames
	Messages   uint64 // Bayeux messages in them
	Handshakes uint64 // that made a session
	Connects   uint64 // answered for a living session
	Published  uint64 // accepted
	Duplicates uint64 // publishes that had been accepted before
	Superseded uint64 // connects that gave way to a newer one, sockets that gave way to a newer endpoint
	Lapsed     uint64 // sessions sent back to the handshake because what granted them something had ended
	Returned   uint64 // events queued again: a response could not be written, or the client had not shown that it has them

	Assumed map[Assumption]uint64 // events taken for received that nobody had confirmed
	Refused map[Refusal]uint64

	Compressed       uint64 // events that were compressed: once each, however many sockets got them
	CompressedInput  uint64 // bytes of them
	CompressedOutput uint64 // bytes that became of those

	// Gauges.
	Sessions int
	Sockets  int
	Streams  int // open EventSources
	Polls    int // connects held, or being answered, over HTTP
}

type counters struct {
	requests, messages, handshakes, connects, published, duplicates, superseded, returned, lapsed atomic.Uint64

	packed, packedInput, packedOutput atomic.Uint64

	refused [refusals]atomic.Uint64
	assumed [assumptions]atomic.Uint64
}

func (c *counters) refuse(r Refusal) { c.refused[r].Add(1) }

// Stats counts.
func (h *Handler) Stats() Stats {
	c := &h.counters
	s := Stats{
		Requests: c.requests.Load(), Messages: c.messages.Load(), Handshakes: c.handshakes.Load(), Connects: c.connects.Load(),
		Published: c.published.Load(), Duplicates: c.duplicates.Load(), Superseded: c.superseded.Load(), Returned: c.returned.Load(), Lapsed: c.lapsed.Load(),
	}
	s.Compressed, s.CompressedInput, s.CompressedOutput = c.packed.Load(), c.packedInput.Load(), c.packedOutput.Load()
	s.Refused = make(map[Refusal]uint64, refusals)
	for r := range refusals {
		s.Refused[r] = c.refused[r].Load()
	}
	s.Assumed = make(map[Assumption]uint64, assumptions)
	for a := range assumptions {
		s.Assumed[a] = c.assumed[a].Load()
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	s.Sessions, s.Sockets, s.Streams, s.Polls = len(h.sessions), len(h.sockets), len(h.streams), int(h.polls.Load())
	return s
}
