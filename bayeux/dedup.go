package bayeux

import (
	"hash/maphash"
	"sync"
	"time"
)

// window remembers what was published lately, so that a message which a client sends again because the reply got lost
// (Faye does so until it has one) is acknowledged again and not delivered again. It is one for all sessions and bounded,
// so that publishing costs a session nothing and a flood shortens the window instead of filling the memory.
//
// A message is known by its session, id, channel and data: ids begin anew with every session, and one client begins them
// anew with every transport.
type window struct {
	seed   maphash.Seed
	length time.Duration

	mu    sync.Mutex // guards the rest
	known map[uint64]struct{}
	ring  []sighting // in order of time, from head on, count of them
	head  int
	count int
}

type sighting struct {
	sum uint64
	at  int64 // nanoseconds on the handler's clock
}

// maxWindow is how many publications are remembered.
const maxWindow = 1 << 16

func (w *window) init(length time.Duration) {
	w.seed, w.length, w.known = maphash.MakeSeed(), length, map[uint64]struct{}{}
}

func (w *window) sum(s *session, m *message) uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, part := range [...]string{s.id(), m.id, m.channel, m.data} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// has tells whether sum was added within the window.
func (w *window) has(sum uint64, now int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire(now)
	_, ok := w.known[sum]
	return ok
}

func (w *window) add(sum uint64, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.known[sum]; ok {
		return
	}
	if w.count == maxWindow {
		w.drop()
	}
	if w.count == len(w.ring) {
		w.grow()
	}
	w.known[sum] = struct{}{}
	w.ring[(w.head+w.count)%len(w.ring)] = sighting{sum, now}
	w.count++
}

func (w *window) expire(now int64) {
	for w.count > 0 && now-w.ring[w.head].at > int64(w.length) {
		w.drop()
	}
}

func (w *window) drop() {
	delete(w.known, w.ring[w.head].sum)
	w.head = (w.head + 1) % len(w.ring)
	w.count--
}

func (w *window) grow() {
	ring := make([]sighting, min(max(64, 2*len(w.ring)), maxWindow))
	for i := range w.count {
		ring[i] = w.ring[(w.head+i)%len(w.ring)]
	}
	w.ring, w.head = ring, 0
}
