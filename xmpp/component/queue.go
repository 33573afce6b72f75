package component

import "sync"

// queue holds what waits for the writer: a list of chunks, each of which becomes one write. Stanzas are copied into the
// last chunk, so a burst of small ones costs one write and, chunks being used again, no allocation. A stanza may lie
// across chunks: they go out in order or the link dies with all of them.
type queue struct {
	limit int           // bytes; static
	wake  chan struct{} // holds a token when the writer should look; static

	mu      sync.Mutex
	up      bool
	chunks  []*chunk
	bytes   int  // in chunks and in the chunk being written
	stanzas int  // of which the last byte is in them
	starved bool // put returned ErrFull since the queue was last below half
	queued  uint64
	sent    uint64 // bytes put and written since the link came up
	free    []*chunk
}

type chunk struct {
	b       []byte
	stanzas int // whose last byte is here
}

const (
	chunkSize = 64 << 10
	maxFree   = 8 // chunks kept for use again
)

func newQueue(limit int) *queue { return &queue{limit: limit, wake: make(chan struct{}, 1)} }

// start opens the queue for a fresh link.
func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up, q.queued, q.sent, q.starved = true, 0, 0, false
}

// stop refuses further stanzas; what is queued stays for the writer.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up = false
}

// clear forgets everything and returns how many stanzas were lost.
func (q *queue) clear() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := q.stanzas
	for _, c := range q.chunks {
		q.recycle(c)
	}
	clear(q.chunks)
	q.chunks, q.bytes, q.stanzas, q.up = q.chunks[:0], 0, 0, false
	return lost
}

// put appends one stanza made of parts. With force it may go above the limit, which is for the few bytes of a ping.
func (q *queue) put(force bool, size int, parts ...[]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.up:
		return ErrDown
	case q.bytes+size > q.limit && q.bytes > 0 && !force:
		q.starved = true
		return ErrFull
	}
	var last *chunk
	if n := len(q.chunks); n > 0 {
		last = q.chunks[n-1]
	} else {
		last = q.grow()
	}
	for _, p := range parts {
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
	q.bytes += size
	q.queued += uint64(size)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
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
		c.b, c.stanzas = c.b[:0], 0
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
	q.sent += uint64(len(c.b))
	q.recycle(c)
	if q.starved && q.bytes <= q.limit/2 {
		q.starved = false
		return q.up
	}
	return false
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
