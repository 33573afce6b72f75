package xmpp

import (
	"time"

	"waft/broker"
)

// limiter holds each sender, by bare JID, to a rate of stanzas. It keeps one flooder from the workers' time; the inboxes, which count
// what waits, keep him from their room. It belongs to the goroutine that reads the link.
type limiter struct {
	rate    broker.Rate
	most    int // senders
	began   time.Time
	tallies broker.Tallies[string]
}

// newLimiter lets each sender have something once in an interval, and a burst at once.
func newLimiter(every time.Duration, burst, most int) *limiter {
	return &limiter{rate: broker.NewRate(max(every, 1), burst), most: most, began: time.Now()}
}

// take counts a stanza of the sender's, and tells whether he may have it.
func (l *limiter) take(sender string, now time.Time) bool {
	at := int64(now.Sub(l.began))
	return l.tallies.Of(sender, l.most, at).Take(l.rate, at, 1) == 0
}
