package bench

import (
	"context"
	"sync"
	"time"
)

// flight is the messages that are on their way: published, but not answered, or not with all their subscribers.
type flight struct {
	patience time.Duration // after which a message is no longer waited for
	permits  []chan struct{}

	mu        sync.Mutex
	messages  map[messageKey]*flying
	arrived   time.Time     // the last completion
	changed   chan struct{} // closed, and made anew, by every completion
	completed uint64
	given     uint64 // up: not complete within patience
	refused   uint64
	why       string // the first was refused
	perRefuse func(messageKey) uint64
	unheard   uint64 // deliveries that refused messages would have been
	answers   latencies
	last      latencies // until the last subscriber had it
	fatal     error     // there will be no further answers
}

type messageKey struct {
	publisher int
	index     uint64
}

type flying struct {
	waits int       // for its answer, and one for each worker
	at    time.Time // it was meant to be sent
	sent  time.Time
	last  int64 // microseconds, of the slowest worker
}

// newFlight is for publishers with window messages under way each at most; 0: no limit.
func newFlight(publishers, window int, patience time.Duration, deliveries func(messageKey) uint64) *flight {
	f := &flight{
		patience: patience, messages: map[messageKey]*flying{}, changed: make(chan struct{}),
		perRefuse: deliveries, answers: newLatencies(), last: newLatencies(),
	}
	for range publishers {
		permits := make(chan struct{}, max(window, 1))
		for range window {
			permits <- struct{}{}
		}
		f.permits = append(f.permits, permits)
	}
	return f
}

// begin is called before a message is sent; workers is how many of them have subscribers of it. It fails when there will be no
// answer.
func (f *flight) begin(k messageKey, at time.Time, workers int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal != nil {
		return f.fatal
	}
	f.messages[k] = &flying{waits: workers + 1, at: at, sent: time.Now()}
	return nil
}

// answer is the server's to a publish. A message that was refused goes nowhere.
func (f *flight) answer(k messageKey, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.messages[k]
	if m == nil {
		return
	}
	if err == nil {
		f.answers.record(time.Since(m.at))
		f.less(k, m)
		return
	}
	if f.refused++; f.why == "" {
		f.why = err.Error()
	}
	f.unheard += f.perRefuse(k)
	m.last = 0
	f.complete(k)
}

// done is a worker's word that all its subscribers have a message.
func (f *flight) done(d done) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := messageKey{d.Publisher, d.Index}
	m := f.messages[k]
	if m == nil {
		return // given up, or of a warm-up
	}
	m.last = max(m.last, d.Micros)
	f.less(k, m)
}

// less is called when there is one thing less to wait for.
func (f *flight) less(k messageKey, m *flying) {
	if m.waits--; m.waits > 0 {
		return
	}
	if m.last > 0 {
		f.last.record(time.Duration(m.last) * time.Microsecond)
	}
	f.completed++
	f.complete(k)
}

// complete takes a message out, and lets its publisher send another.
func (f *flight) complete(k messageKey) {
	delete(f.messages, k)
	f.arrived = time.Now()
	close(f.changed)
	f.changed = make(chan struct{})
	select {
	case f.permits[k.publisher] <- struct{}{}:
	default: // an open loop asks for none
	}
}

// fail ends what waits for answers.
func (f *flight) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fatal == nil {
		f.fatal = err
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// giveUp takes messages out that nobody should wait for any longer.
func (f *flight) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, m := range f.messages {
		if time.Since(m.sent) >= f.patience {
			arrived := f.arrived
			f.complete(k)
			f.arrived = arrived
			f.given++
		}
	}
}

// watch gives up what takes too long, until ctx ends.
func (f *flight) watch(ctx context.Context) {
	t := time.NewTicker(max(f.patience/10, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			f.giveUp()
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until nothing is on its way.
func (f *flight) drain(ctx context.Context) error {
	for {
		f.mu.Lock()
		n, changed, fatal := len(f.messages), f.changed, f.fatal
		f.mu.Unlock()
		if fatal != nil {
			return fatal
		}
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counts is how messages have fared since the last reset.
type counts struct {
	completed, given, refused, unheard uint64
	under                              int // way
	why                                string
}

func (f *flight) counts() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return counts{f.completed, f.given, f.refused, f.unheard, len(f.messages), f.why}
}

// reset begins to count anew.
func (f *flight) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.completed, f.given, f.refused, f.unheard, f.why = 0, 0, 0, 0, ""
	f.answers.reset()
	f.last.reset()
}
