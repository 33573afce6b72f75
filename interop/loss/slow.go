package loss

import "time"

// Slow is a time in which nothing can be stored quickly. Its fields are guarded by the ledger's mutex.
type Slow struct {
	ledger   *Ledger
	from, to time.Time // to is zero while it goes on
	least    time.Duration
	answered int
}

// Slow notes that from now until the end of what it gives nothing can be stored in less than this time: an answer that comes
// sooner does not say that the message is stored.
func (l *Ledger) Slow(least time.Duration) *Slow {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Slow{ledger: l, from: time.Now(), least: least}
	l.slow = append(l.slow, s)
	return s
}

// End notes that from now on it may be quick again.
func (s *Slow) End() {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.to = time.Now()
}

// Answered is how many messages were sent and acknowledged in that time: those that can be judged by it.
func (s *Slow) Answered() int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.answered
}

// holds tells whether all of a publish, from its sending to its answer, was in that time.
func (s *Slow) holds(e *entry) bool {
	return !e.began.Before(s.from) && (s.to.IsZero() || !e.at.After(s.to))
}

// answeredSlowly counts a message that has just been acknowledged.
func (l *Ledger) answeredSlowly(e *entry) {
	if n := len(l.slow); n > 0 && l.slow[n-1].holds(e) {
		l.slow[n-1].answered++
	}
}

// judgeEarly looks at one acknowledged message.
func (l *Ledger) judgeEarly(p *Published, k Key, e *entry) {
	for _, s := range l.slow {
		if !s.holds(e) {
			continue
		}
		p.Slowly++
		if took := e.at.Sub(e.began); took < s.least {
			p.find(k, took, s.least)
		}
		return
	}
}
