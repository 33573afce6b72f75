package bayeux

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Advice goes on handshake and connect replies and on no other: "reconnect":"handshake" on a subscribe reply
// stops CometD's JavaScript client for good. It is always complete, because clients merge it field by field and it is
// sticky, and its numbers are integers. (Bayeux 1.0, "advice")

// adviceTexts are those that never change.
type adviceTexts struct {
	timeout int64  // milliseconds
	retry   string // all is well: connect again
	calm    string // connect again, but not at once: two clients with one clientId would push each other out at full speed
	none    string // do not come back
	stream  string // your events come on the stream: connect now and then, for a sign of life
}

func newAdvice(interval, timeout time.Duration) adviceTexts {
	a := adviceTexts{timeout: timeout.Milliseconds()}
	a.retry = a.text("retry", interval)
	a.calm = a.text("retry", max(interval, time.Second))
	a.none = a.text("none", 0)
	a.stream = fmt.Sprintf(`{"reconnect":"retry","interval":%d,"timeout":0}`, max(interval, timeout).Milliseconds())
	return a
}

func (a *adviceTexts) text(reconnect string, interval time.Duration) string {
	return fmt.Sprintf(`{"reconnect":%q,"interval":%d,"timeout":%d}`, reconnect, interval.Milliseconds(), a.timeout)
}

// handshake sends a client back to the beginning, somewhere between from and to, so that a thousand of them do not
// come at once. A Faye client that is told no interval comes back 70 times a second.
func (a *adviceTexts) handshake(from, to time.Duration) string {
	return a.text("handshake", from+rand.N(to-from+1)) //nolint:gosec // G404: it spreads clients and protects nothing
}

// pause is what a client is told that has a session and goes too fast.
func (a *adviceTexts) pause(least time.Duration) string {
	return a.text("retry", max(least, time.Second)+rand.N(time.Second)) //nolint:gosec // G404: as above
}

// later is what a client is told that is refused for now: not before a second has passed.
func (a *adviceTexts) later() string { return a.handshake(time.Second, 5*time.Second) }
