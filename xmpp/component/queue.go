package component

import (
	"sync"
	"time"
)

// queue holds what waits for the writer: a list of chunks, each of which becomes one write. Stanzas are copied into the
// last chunk, so a burst of small ones costs one write and, chunks being used again, no allocation. A stanza may lie
// across chunks: they go out in order or the link dies with all of them.
type queue struct {
	// Static.
	limit    int           // bytes
	wake     chan struct{} // holds a token when the writer should look
	newPing  func() (id string, ping []byte)
	patience time.Duration       // with the answer to a ping that has left
	gaveUp   func(writable bool) // called when that has ended

	mu      sync.Mutex
	up      bool
	chunks  []*chunk
	bytes   int  // in chunks and in the chunk being written
	stanzas int  // of which the last byte is in them
	kept    int  // of these, those that are no loss when the link dies
	starved bool // put returned ErrFull since the queue was last below half
	queued  uint64
	sent    uint64 // bytes put and written since the link came up
	free    []*chunk
	window  window
}

type chunk struct {
	b       []byte
	stanzas int // whose last byte is here
	kept    int // of these, those that are no loss when the link dies
}

const (
	chunkSize = 64 << 10
	maxFree   = 8 // chunks kept for use again
)

// newQueue makes one of so many bytes that keeps so many stanzas.
func newQueue(limit, keep int) *queue {
	return &queue{limit: limit, wake: make(chan struct{}, 1), window: newWindow(keep)}
}

// start opens the queue for a fresh link, and gives it what the last one may not have delivered: so many stanzas.
func (q *queue) start() (resent int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up, q.queued, q.sent, q.starved = true, 0, 0, false
	if resent = q.resend(); resent > 0 {
		q.ring()
	}
	return resent
}

// stop refuses further stanzas; what is queued stays for the writer.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up = false
	q.window.rest()
}

// clear forgets everything but the window and returns how many stanzas were lost.
func (q *queue) clear() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := q.stanzas - q.kept
	for _, c := range q.chunks {
		q.recycle(c)
	}
	clear(q.chunks)
	q.chunks, q.bytes, q.stanzas, q.kept, q.up = q.chunks[:0], 0, 0, 0, false
	q.window.rest()
	return lost
}

// how says what becomes of a stanza.
type how uint8

const (
	plain  how = iota // lost when the link dies
	keep              // written again on the next link, unless it is proven to have been read
	forced            // goes above the limit, which is for the few bytes of a ping
)

// put appends one stanza made of parts.
func (q *queue) put(as how, size int, parts ...[]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.up:
		return ErrDown
	case as != forced && q.bytes+size > q.limit && q.bytes > 0, as == keep && q.window.full(size, q.limit):
		q.starved = true
		return ErrFull
	}
	q.push(parts...)
	if as == keep && q.window.keeps() {
		q.chunks[len(q.chunks)-1].kept++
		q.kept++
		q.keep(parts, size)
	}
	q.ring()
	return nil
}

// push copies one stanza into the chunks; mu is held.
func (q *queue) push(parts ...[]byte) {
	var last *chunk
	if n := len(q.chunks); n > 0 {
		last = q.chunks[n-1]
	} else {
		last = q.grow()
	}
	for _, p := range parts {
		q.bytes += len(p)
		q.queued += uint64(len(p))
		for len(p) > 0 {
			if len(last.b) == chunkSize {
				last = q.grow()
			}
			n := min(len(p), chunkSize-len(last.b))
			last.b, p = append(last.b, p[:n]...), p[n:]
		}
	}
	last.stanzas++
	q.stanzas++
}

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) grow() *chunk {
	var c *chunk
	if n := len(q.free); n > 0 {
		c, q.free = q.free[n-1], q.free[:n-1]
	} else {
		c = &chunk{b: make([]byte, 0, chunkSize)}
	}
	q.chunks = append(q.chunks, c)
	return c
}

func (q *queue) recycle(c *chunk) {
	if len(q.free) < maxFree {
		c.b, c.stanzas, c.kept = c.b[:0], 0, 0
		q.free = append(q.free, c)
	}
}

// take hands the oldest chunk to the writer, or nil.
func (q *queue) take() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.chunks) == 0 {
		return nil
	}
	c := q.chunks[0]
	n := copy(q.chunks, q.chunks[1:])
	q.chunks[n] = nil
	q.chunks = q.chunks[:n]
	return c
}

// written accounts for a chunk that take gave and reports whether producers that met ErrFull should be told.
func (q *queue) written(c *chunk) (writable bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(c.b)
	q.stanzas -= c.stanzas
	q.kept -= c.kept
	q.sent += uint64(len(c.b))
	q.recycle(c)
	return q.writable()
}

// writable tells, once, that there is room again for those who were refused; mu is held.
func (q *queue) writable() bool {
	if !q.starved || q.bytes > q.limit/2 || !q.window.roomy(q.limit) {
		return false
	}
	q.starved = false
	return q.up
}

// put position: everything queued so far has been written once sentUpTo(position) is true.
func (q *queue) position() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queued
}

func (q *queue) sentUpTo(position uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sent >= position
}

func (q *queue) state() (up bool, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.up, q.bytes
}
