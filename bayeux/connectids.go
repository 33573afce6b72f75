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
	lates           uint8  // how many connects may yet be late
}

// standing is what its id tells about a connect.
type standing struct {
	repeated bool // it is the newest again
	late     bool // it is older than that
	sure     bool // the client is sure to count
}

// place tells how m stands to the connects before it, and takes note of it; mu is held.
func (s *session) place(m *message) standing {
	n, err := strconv.ParseUint(strings.Trim(m.id, `"`), 36, 64)
	if err != nil {
		n = 0 // it is no number, or a longer one than Faye counts to, or there is none
	}
	if s.ids == nil {
		if n == 0 {
			return standing{}
		}
		s.ids = &connectIDs{lates: latesAtFirst}
	}
	return s.ids.note(n)
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
