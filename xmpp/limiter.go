package xmpp

import (
	"time"

	"waft/broker"
)

// limiter holds each sender, by bare JID, to a rate of stanzas. It keeps one flooder from the workers' time; the inboxes, which count
// what waits, keep him from their room. It belongs to the goroutine that reads the link.
//
// Who has sent nothing for a while is as good as somebody who was never heard of, and needs no place in the table. When there is none for
// a new sender, such a one is given up, or else any: then a sender begins anew, which is to his advantage and to nobody's harm.
type limiter struct {
	rate    broker.Rate
	most    int // senders
	began   time.Time
	tallies map[string]*broker.Tally
}

// newLimiter lets each sender have something once in an interval, and a burst at once.
func newLimiter(every time.Duration, burst, most int) *limiter {
	return &limiter{rate: broker.NewRate(max(every, 1), burst), most: most, began: time.Now(), tallies: make(map[string]*broker.Tally)}
}

// take counts a stanza of the sender's, and tells whether he may have it.
func (l *limiter) take(sender string, now time.Time) bool {
	at := int64(now.Sub(l.began))
	t := l.tallies[sender]
	if t == nil {
		if len(l.tallies) >= l.most {
			l.makeRoom(at)
		}
		t = new(broker.Tally)
		l.tallies[sender] = t
	}
	return t.Take(l.rate, at, 1) == 0
}

// looksForRoom is how many others a new sender may cost a look at.
const looksForRoom = 32

func (l *limiter) makeRoom(at int64) {
	looks, victim := 0, ""
	for sender, t := range l.tallies {
		victim = sender
		if t.Idle(at) {
			delete(l.tallies, sender) // and goes on: there may be many
			victim = ""
		}
		if looks++; looks == looksForRoom {
			break
		}
	}
	if len(l.tallies) >= l.most {
		delete(l.tallies, victim)
	}
}
