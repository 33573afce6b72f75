package disk

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
)

// channel is the state of one channel in memory: of those that keep history a copy of what is on the disk, of the others all
// there is.
type channel struct {
	// static
	engine   *Engine
	name     broker.Channel
	headKey  []byte
	messages []byte // prefix of the messages' keys
	items    []byte // prefix of the items' keys

	uses  int           // guarded by engine.mu; while somebody works with it, it stays
	place *list.Element // in engine.used, likewise

	littered atomic.Bool // it waits for the sweeper

	turn sync.Mutex // the right to deliver; outside mu
	view head       // as of what has been delivered; guarded by turn

	oldest oldest // recent.go; guarded by turn
	tail   tail   // guarded by engine.tails

	mu      sync.Mutex // guards the rest
	loaded  bool
	kept    bool      // it has history on the disk, or is about to: the committer owns its head
	head    head      // as of what is stored
	pending []pending // stored and not delivered yet
	keys    keyWindow // of publishes that were not kept
	touched time.Time // when the last such publish was
}

// pending is a delivery that waits for its turn.
type pending struct {
	message   *broker.Message // nil: only the view changes
	removed   uint64          // offset of a message that is no longer kept; 0: none
	receivers *int
	head      head
}

// load reads the channel's head if that has not been done; pebbleMu is held for reading.
func (ch *channel) load() error {
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.loaded {
		return nil
	}
	b, err := ch.engine.db.get(ch.headKey)
	if err != nil {
		return err
	}
	if b == nil {
		ch.head, ch.kept = head{birth: rand.Uint64()}, false
	} else if ch.head, err = decodeHead(b); err != nil {
		return err
	} else {
		ch.kept = true
	}
	ch.view, ch.loaded, ch.oldest = ch.head, true, oldest{}
	ch.engine.tails.reset(&ch.tail, ch.head.last)
	return nil
}

// stored takes over what a commit made of the head. The ops have set head, one after the other.
func (ch *channel) stored(w *work) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !w.modified {
		ch.kept = w.wasKept
		return
	}
	ch.kept = !w.vacate
	e := ch.engine
	known := func(h *head) int64 { return int64(min(h.last, 1)) }
	switch {
	case !w.wasKept && ch.kept:
		e.stored.Add(1)
		e.volatile.Add(-known(&w.before))
	case w.wasKept && !ch.kept:
		e.stored.Add(-1)
		e.volatile.Add(known(&w.head))
		ch.touched = time.Now()
	}
	e.count.Add(int64(w.count) - int64(w.before.count))
	e.bytes.Add(w.bytes - w.before.bytes)
}

// advance notes what an op made of the head, and what is to be delivered for it; for op.after.
func (ch *channel) advance(p pending) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.head = p.head
	ch.pending = append(ch.pending, p)
}

// drain delivers what is stored, in order; turn is held.
func (ch *channel) drain() {
	for {
		ch.mu.Lock()
		list := ch.pending
		ch.pending = nil
		ch.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			ch.view = p.head
			ch.engine.tails.apply(&ch.tail, &p)
			if p.message != nil {
				n := ch.engine.deliver(p.message)
				if p.receivers != nil {
					*p.receivers = n
				}
			}
		}
	}
}

// epoch is that of the channel's positions now.
func (ch *channel) epoch(h *head) uint64 { return h.birth ^ ch.engine.db.salt.Load() }

func (ch *channel) position(h *head, offset uint64) broker.Position {
	return broker.Position{Epoch: ch.epoch(h), Offset: offset}
}

// blank tells whether forgetting the channel loses nothing; mu is held.
func (ch *channel) blank(now time.Time, window time.Duration) bool {
	ch.keys.expire(now)
	return len(ch.pending) == 0 && (!ch.loaded || ch.kept || ch.head.last == 0 || now.Sub(ch.touched) > window)
}

// keyWindow remembers the receipts of recent idempotency keys, oldest first.
type keyWindow struct {
	byKey map[string]broker.Receipt
	order []keyEntry
}

type keyEntry struct {
	key     string
	expires time.Time
}

func (w *keyWindow) add(key string, r broker.Receipt, now time.Time, window time.Duration, most int) {
	if w.byKey == nil {
		w.byKey = map[string]broker.Receipt{}
	}
	if len(w.order) >= most {
		w.forget(len(w.order) - most + 1)
	}
	w.byKey[key] = r
	w.order = append(w.order, keyEntry{key, now.Add(window)})
}

func (w *keyWindow) expire(now time.Time) {
	n := slices.IndexFunc(w.order, func(e keyEntry) bool { return now.Before(e.expires) })
	if n < 0 {
		n = len(w.order)
	}
	w.forget(n)
}

func (w *keyWindow) forget(n int) {
	for _, e := range w.order[:n] {
		delete(w.byKey, e.key)
	}
	if w.order = w.order[n:]; len(w.order) == 0 {
		*w = keyWindow{}
	}
}
