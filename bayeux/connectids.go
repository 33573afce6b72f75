package bayeux

import (
	"strconv"
	"strings"
)

// connectIDs is what is known of the ids of a session's connects, as numbers to the base 36, which Faye counts them by. Guarded by session.mu.
type connectIDs struct {
	last   uint64 // 0: it is no number
	rising bool   // it was higher than the one before
	lates  uint8  // how many times in a row a connect came that is from before the last
}

// repeats tells whether m is the last connect again, or one from before it, and takes note of it; mu is held.
func (s *session) repeats(m *message) (repeated, late bool) {
	n, err := strconv.ParseUint(strings.Trim(m.id, `"`), 36, 64)
	if err != nil {
		n = 0 // it is no number, or a longer one than Faye counts to, or there is none
	}
	if s.ids == nil {
		if n == 0 {
			return false, false
		}
		s.ids = new(connectIDs)
	}
	return s.ids.note(n)
}

func (c *connectIDs) note(n uint64) (repeated, late bool) {
	if n != 0 && n == c.last {
		if 0 < c.lates && c.lates < mostDoubts { // what was given up once may have been given up several times
			c.lates++
			return false, true
		}
		return c.rising, false
	}
	late = c.rising && 0 < n && n < c.last // or the client has begun to count anew, and will not mind
	if c.lates = 0; late {
		c.lates = 1
	}
	c.rising = 0 < c.last && c.last < n
	c.last = n
	return false, late
}
