package bayeux

import (
	"strconv"
	"strings"
)

// Clients that count (Faye, CometD) count all that they send, on whatever connection. So a connect with an id lower than the highest is one that the
// client gave up, and that was read behind its next. There may be several, in any order, and they come again. But nobody says that he counts. Others give
// all their connects one id, or one for each transport, or any, or count anew: on each connection, or in a page that is loaded again and keeps its session.
//
// So a client is believed as far as its ids have borne it out. Each id that rises earns it one connect that may be late, and each that is late costs one; it
// has some to begin with, of use from its first rise on. When none is left, a lower id is where the client counts from now on; one below all that it had
// is that at once. So whoever counts loses nothing by a connect that is late, unless it gives up many in a row. Of whoever does not, no more are taken for
// late than rose, and those few. It matters more that they are bounded than that the guess is right, for a wrong one costs little: an empty answer at once,
// and events that come twice. On a socket a connect is held and has the session's events, whatever its id.
//
// It would cost more if a poll left the session's events to a socket, and the client waited for them in vain. That is only done if the client is sure to
// count: its ids have risen twice, and then more often than they fell. One that changes between transports with ids of their own does not get there, and one
// that counted until then gets some empty answers before its polls have the events.

// A message over a new socket can overtake a poll as well: Faye's client sends a poll while its socket opens, and at once over that what comes next. The poll
// has a lower id than the message that made the socket the session's endpoint, and is the client's newest connect all the same. If it had the events, what
// had just been sent over the socket would come again, and the socket would be closed. So it is answered at once, with nothing. It costs a client that does
// not count one empty answer when it leaves its socket, for that is done once a socket, and only where the socket was not begun with a connect: then the
// poll had been given up.

// How many connects may be late.
const (
	latesAtFirst = mostDoubts / 2
	latesIfSure  = latesAtFirst + 2
	mostLates    = mostDoubts
)

// connectIDs is what is known of the ids of a session's connects, as numbers to the base 36, which Faye counts them by; decimal ones rise by it as well.
// Guarded by session.mu.
type connectIDs struct {
	highest, lowest uint64 // since the client began to count, which it does if they differ; 0: they are no numbers
	socket          uint64 // of what made a socket the endpoint; 0: that was a connect, or no number, or a poll has been compared with it
	lates           uint8  // how many connects may yet be late
}

// standing is what its id tells about a connect.
type standing struct {
	repeated  bool // it is the newest again
	late      bool // it is older than that
	overtaken bool // it is a poll from before the socket that is the endpoint
	sure      bool // the client is sure to count
}

// place tells how m stands to the connects before it, and takes note of it; mu is held.
func (s *session) place(m *message, polls bool) standing {
	n := idNumber(m.id)
	ids := s.counting(n)
	if ids == nil {
		return standing{}
	}
	is := ids.note(n)
	if _, listens := s.endpoint.(*socket); listens && polls {
		is.overtaken = 0 < n && n < ids.socket
		ids.socket = 0
	}
	return is
}

// moves takes note of the message with which the client moves to a socket; mu is held.
func (s *session) moves(m *message) {
	var n uint64
	if m.channel != "/meta/connect" { // nobody sends two of them at a time
		n = idNumber(m.id)
	}
	if ids := s.counting(n); ids != nil {
		ids.socket = n
	}
}

// counting is what is known of the ids, of which n is one. It is nil while none has been a number.
func (s *session) counting(n uint64) *connectIDs {
	if s.ids == nil && n != 0 {
		s.ids = &connectIDs{lates: latesAtFirst}
	}
	return s.ids
}

// idNumber reads an id; 0: it is no number, or a longer one than Faye counts to, or there is none.
func idNumber(id string) uint64 {
	n, err := strconv.ParseUint(strings.Trim(id, `"`), 36, 64)
	if err != nil {
		return 0
	}
	return n
}

func (c *connectIDs) note(n uint64) standing {
	sure := c.lates >= latesIfSure
	switch {
	case n != 0 && n == c.highest:
		return standing{repeated: c.lowest < c.highest, sure: sure}
	case c.lowest <= n && n < c.highest && c.lates > 0:
		c.lates--
		return standing{late: true, sure: sure}
	case 0 < c.highest && c.highest < n:
		c.highest, c.lates = n, min(c.lates+1, mostLates)
	default:
		c.highest, c.lowest = n, n
	}
	return standing{}
}
