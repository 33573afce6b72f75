package component

import (
	"slices"
	"time"
)

// XEP-0114 has no acknowledgements, but a server reads a stream in order: when it answers a ping, it has read what came
// before. The window is the stanzas that were to be kept (Link.SendKept) and have not been fenced in by such an answer. When the
// link dies they are written again on the next one, in their order, before anything else. It is bounded in stanzas, and in
// bytes by MaxOutbound; while it is full nothing more is taken that is to be kept.
//
// That the server has read a stanza is not that its recipient has it: what the server does with it is its own affair.
//
// A server that never answers (a host that is not its own, ping switched off) must not stop everything. After some time
// nothing is kept any more until the next link.
type window struct {
	most, every int // stanzas; between two pings. Static; 0: nothing is kept

	// Guarded by queue.mu.
	closed  []*stretch // with a ping behind each, oldest first
	open    *stretch   // nil: empty
	free    []*stretch
	stanzas int // in all of them
	bytes   int
	off     bool // the server does not answer: nothing is kept until the next link
	later   *time.Timer
	overdue *time.Timer
}

// stretch is the stanzas between two pings.
type stretch struct {
	b     []byte
	sizes []int
	ping  string // the id of the ping behind it
	at    uint64 // the queue's position behind that
}

// fenceDelay is how long the last stanzas of a burst wait for a ping.
const fenceDelay = 100 * time.Millisecond

// fenceEvery is how many stanzas stand between two pings when there is no hurry.
const fenceEvery = 100

func newWindow(most int) window {
	return window{most: most, every: max(1, min(most/10, fenceEvery))}
}

func (w *window) keeps() bool { return w.most > 0 && !w.off }

// full tells whether a stanza has to wait; one alone never does.
func (w *window) full(size, limit int) bool {
	return w.keeps() && w.stanzas > 0 && (w.stanzas >= w.most || w.bytes+size > limit)
}

// roomy tells whether it is half empty again.
func (w *window) roomy(limit int) bool {
	return !w.keeps() || w.stanzas <= w.most/2 && w.bytes <= limit/2
}

func (w *window) add(parts [][]byte, size int) {
	if n := len(w.free); w.open == nil && n > 0 {
		w.open, w.free = w.free[n-1], w.free[:n-1]
	} else if w.open == nil {
		w.open = new(stretch)
	}
	for _, p := range parts {
		w.open.b = append(w.open.b, p...)
	}
	w.open.sizes = append(w.open.sizes, size)
	w.stanzas++
	w.bytes += size
}

// prove takes off what came before the ping with this id, and tells whether there is such a ping.
func (w *window) prove(id string) bool {
	for i, s := range w.closed {
		if s.ping != id {
			continue
		}
		for _, done := range w.closed[:i+1] {
			w.stanzas -= len(done.sizes)
			w.bytes -= len(done.b)
			if len(w.free) < maxFree && cap(done.b) <= 2*chunkSize {
				done.b, done.sizes = done.b[:0], done.sizes[:0]
				w.free = append(w.free, done)
			}
		}
		w.closed = slices.Delete(w.closed, 0, i+1)
		return true
	}
	return false
}

// empty takes everything out and gives it.
func (w *window) empty() []*stretch {
	all := w.closed
	if w.open != nil {
		all = append(all, w.open)
	}
	w.closed, w.open, w.stanzas, w.bytes = nil, nil, 0, 0
	return all
}

// rest stops the timers.
func (w *window) rest() {
	for _, t := range []*time.Timer{w.later, w.overdue} {
		if t != nil {
			t.Stop()
		}
	}
}

// keep notes a stanza that has just been queued, and sees to its ping. mu is held.
func (q *queue) keep(parts [][]byte, size int) {
	w := &q.window
	w.add(parts, size)
	switch n := len(w.open.sizes); {
	case n >= w.every:
		q.fence()
	case n == 1 && w.later == nil:
		w.later = time.AfterFunc(fenceDelay, q.fenceLate)
	case n == 1:
		w.later.Reset(fenceDelay)
	}
}

// fenceLate is the timer's.
func (q *queue) fenceLate() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.up && q.window.open != nil {
		q.fence()
		q.ring()
	}
}

// fence puts a ping behind what is open. mu is held.
func (q *queue) fence() {
	w := &q.window
	id, ping := q.newPing()
	q.push(ping)
	q.chunks[len(q.chunks)-1].kept++ // no loss of it is a loss
	q.kept++
	w.open.ping, w.open.at = id, q.queued
	w.closed, w.open = append(w.closed, w.open), nil
	if len(w.closed) == 1 {
		q.expect()
	}
}

// expect waits for the answer to the oldest ping. mu is held.
func (q *queue) expect() {
	w := &q.window
	switch {
	case len(w.closed) == 0:
		if w.overdue != nil {
			w.overdue.Stop()
		}
	case w.overdue == nil:
		w.overdue = time.AfterFunc(q.patience, q.late)
	default:
		w.overdue.Reset(q.patience)
	}
}

// late is the timer's: the oldest ping has had no answer, maybe because it has not left yet.
func (q *queue) late() {
	q.mu.Lock()
	w := &q.window
	if !q.up || len(w.closed) == 0 {
		q.mu.Unlock()
		return
	}
	if q.sent < w.closed[0].at {
		q.expect()
		q.mu.Unlock()
		return
	}
	w.off = true
	w.empty()
	writable := q.writable()
	q.mu.Unlock()
	q.gaveUp(writable)
}

// proven hands in the answer to a ping. ours tells that it is one of the fence's; writable, that producers that met ErrFull
// should be told.
func (q *queue) proven(id string) (ours, writable bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ours = q.window.prove(id); ours {
		q.expect()
		writable = q.writable()
	}
	return ours, writable
}

// provenAll: the server has said goodbye after ours, so it has read everything.
func (q *queue) provenAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.window.empty()
}

// abandon forgets what is kept and returns how many stanzas that were.
func (q *queue) abandon() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.window.stanzas
	q.window.empty()
	return n
}

// resend queues what the last link was not proven to have read; mu is held.
func (q *queue) resend() (n int) {
	q.window.off = false
	for _, s := range q.window.empty() {
		b := s.b
		for _, size := range s.sizes {
			stanza := [][]byte{b[:size]}
			b = b[size:]
			q.push(stanza...)
			q.chunks[len(q.chunks)-1].kept++
			q.kept++
			q.keep(stanza, size)
			n++
		}
	}
	if q.window.open != nil {
		q.fence() // at once: they have been in doubt for long enough
	}
	return n
}

func (q *queue) unproven() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.window.stanzas
}
