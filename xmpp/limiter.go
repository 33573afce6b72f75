package xmpp

import "time"

// limiter holds each sender, by bare JID, to a rate of stanzas: a bucket of burst tokens that fills at that rate. It keeps one
// flooder from the workers' time; the inboxes, which count what waits, keep him from their room. It belongs to the goroutine
// that reads the link.
//
// A full bucket is that of somebody who was never heard of, so it needs no place in the table. When there is none for a new
// sender, a bucket that is full by now is given up, or else any: then a sender begins anew with a full one, which is to his
// advantage and to nobody's harm.
type limiter struct {
	rate, burst float64 // tokens a second; tokens
	most        int     // senders
	buckets     map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time // when it had so many
}

func newLimiter(rate, burst, most int) *limiter {
	return &limiter{rate: float64(rate), burst: float64(burst), most: most, buckets: make(map[string]bucket)}
}

// level is how many tokens are in a bucket now.
func (l *limiter) level(b bucket, now time.Time) float64 {
	return min(l.burst, b.tokens+l.rate*now.Sub(b.at).Seconds())
}

// take takes a token of the sender's, and tells whether there was one.
func (l *limiter) take(sender string, now time.Time) bool {
	b, known := l.buckets[sender]
	tokens := l.burst
	if known {
		tokens = l.level(b, now)
	} else if len(l.buckets) >= l.most {
		l.makeRoom(now)
	}
	ok := tokens >= 1
	if ok {
		tokens--
	}
	l.buckets[sender] = bucket{tokens, now}
	return ok
}

// looksForRoom is how many buckets a sender without one may cost a look at.
const looksForRoom = 32

func (l *limiter) makeRoom(now time.Time) {
	looks, victim := 0, ""
	for sender, b := range l.buckets {
		victim = sender
		if l.level(b, now) >= l.burst {
			delete(l.buckets, sender) // and goes on: there may be many
			victim = ""
		}
		if looks++; looks == looksForRoom {
			break
		}
	}
	if len(l.buckets) >= l.most {
		delete(l.buckets, victim)
	}
}
