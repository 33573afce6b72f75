package broker

import (
	"sync/atomic"
	"time"
)

// Rate is how often something may happen: once in every interval in the long run, and after a quiet time a burst at once.
// The zero Rate sets no limit. It is a value to share; who is held to it has a Tally.
type Rate struct {
	every time.Duration
	burst int
}

// NewRate makes a Rate; interval 0 sets no limit, and a burst is at least one.
func NewRate(every time.Duration, burst int) Rate { return Rate{max(every, 0), max(burst, 1)} }

// PerSecond is n in a second, and after a quiet time so many seconds' worth at once; n 0 sets no limit.
func PerSecond(n, seconds int) Rate {
	if n <= 0 {
		return Rate{}
	}
	return NewRate(max(time.Second/time.Duration(n), 1), n*seconds)
}

// Unlimited tells whether r sets no limit.
func (r Rate) Unlimited() bool { return r.every == 0 }

// Burst is how much may happen at once after a quiet time.
func (r Rate) Burst() int { return r.burst }

// Tally is what somebody has used of a Rate; the zero Tally is nothing. It is one number, so that every session can have
// one: the time at which all that was taken is earned again. (The generic cell rate algorithm, ITU-T I.371.)
type Tally struct{ earned atomic.Int64 }

// Take uses n at a time, all or nothing. Times are nanoseconds since any fixed moment that lies before the first. 0 says that it was
// taken, more how long until it could be; n beyond the burst never can.
func (t *Tally) Take(r Rate, now int64, n int) (wait time.Duration) {
	if r.Unlimited() {
		return 0
	}
	for {
		old := t.earned.Load()
		next := max(old, now) + int64(n)*int64(r.every)
		if over := next - now - int64(r.burst)*int64(r.every); over > 0 {
			return time.Duration(over)
		}
		if t.earned.CompareAndSwap(old, next) {
			return 0
		}
	}
}

// Return gives back n that were just taken, and then not used.
func (t *Tally) Return(r Rate, n int) { t.earned.Add(-int64(n) * int64(r.every)) }

// Wait is how long until Take would take one; nothing is taken.
func (t *Tally) Wait(r Rate, now int64) time.Duration {
	return max(time.Duration(max(t.earned.Load(), now)-now-int64(r.burst-1)*int64(r.every)), 0)
}

// Idle tells whether t is as good as a new one.
func (t *Tally) Idle(now int64) bool { return t.earned.Load() <= now }
