package disk

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Engine is one realm's part of a database.
type Engine struct {
	// static
	db    *DB
	realm string
	tails tails
	opts  EngineOptions
	relay func(*broker.Message) int

	gate   sync.RWMutex // read: a call is under way; write: Close
	closed atomic.Bool  // set with gate held for writing

	mu       sync.Mutex // guards channels and used, and their uses and place
	channels map[broker.Channel]*channel
	used     list.List // of *channel, most recently used first

	stored, count, bytes atomic.Int64 // channels, messages and their bytes on the disk
	volatile             atomic.Int64 // channels that keep nothing and are known
	evicted              atomic.Uint64
	forgotten            atomic.Uint64 // mark.go
}

var _ broker.Engine = (*Engine)(nil)

// Engine makes a realm's engine. There is one for each realm at a time. Its Close leaves the database open.
func (d *DB) Engine(realm string, o EngineOptions) (*Engine, error) {
	if o.MaxCached < 0 || o.MaxBytes < 0 || o.MaxKeys < 0 || o.MaxTail < 0 {
		return nil, broker.Errorf(broker.Invalid, "an engine's limits must not be negative")
	}
	o.MaxCached = cmp.Or(o.MaxCached, 100_000)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.MaxTail = cmp.Or(o.MaxTail, 32<<20)
	e := &Engine{db: d, realm: realm, opts: o, channels: map[broker.Channel]*channel{}, tails: tails{most: o.MaxTail}}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, errClosed
	case d.engines[realm] != nil:
		return nil, broker.Errorf(broker.Conflict, "the realm %s has an engine on this database", realm)
	}
	d.engines[realm] = e
	return e, nil
}

// Start implements broker.Engine. It counts what is stored.
func (e *Engine) Start(deliver func(*broker.Message) int) error {
	e.relay = deliver
	e.db.pebbleMu.RLock()
	defer e.db.pebbleMu.RUnlock()
	if err := e.readMark(); err != nil {
		return unavailable(err)
	}
	return e.tally()
}

// tally counts what is on the disk; pebbleMu is held.
func (e *Engine) tally() error {
	var channels, messages, bytes int64
	err := e.eachHead(nil, func(_ broker.Channel, h *head) bool {
		channels, messages, bytes = channels+1, messages+int64(h.count), bytes+h.bytes
		return true
	})
	if err != nil {
		return unavailable(err)
	}
	e.stored.Store(channels)
	e.count.Store(messages)
	e.bytes.Store(bytes)
	return nil
}

// eachHead reads the heads on the disk in the order of their channels; pebbleMu is held.
func (e *Engine) eachHead(from []byte, yield func(broker.Channel, *head) bool) error {
	if e.db.pebble == nil {
		return errBlown
	}
	prefix := inRealm(headKind, e.realm)
	if from == nil {
		from = prefix
	}
	it, err := e.db.pebble.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		h, err := decodeHead(it.Value())
		if err != nil {
			return err
		}
		if !yield(broker.Channel(it.Key()[len(prefix):]), &h) {
			break
		}
	}
	return it.Error()
}

// enter lets a call in until leave.
func (e *Engine) enter() error {
	e.gate.RLock()
	if e.closed.Load() {
		e.gate.RUnlock()
		return errClosed
	}
	return nil
}

func (e *Engine) leave() { e.gate.RUnlock() }

func (e *Engine) deliver(m *broker.Message) int { return e.relay(m) }

// catchUp delivers what is stored and was given up for lost.
func (e *Engine) catchUp(ch *channel) {
	if e.enter() != nil {
		return
	}
	defer e.leave()
	ch.deliverDue()
}

// acquire gives the channel's state, read from the disk if need be, until release.
func (e *Engine) acquire(c broker.Channel) (*channel, error) {
	e.mu.Lock()
	ch := e.channels[c]
	if ch == nil {
		ch = &channel{
			engine: e, name: c, headKey: headKey(e.realm, c),
			messages: channelKey(messageKind, e.realm, c), items: channelKey(itemKind, e.realm, c),
		}
		e.channels[c] = ch
		ch.place = e.used.PushFront(ch)
	} else {
		e.used.MoveToFront(ch.place)
	}
	ch.uses++
	e.mu.Unlock()
	e.db.pebbleMu.RLock()
	err := ch.load()
	e.db.pebbleMu.RUnlock()
	if err != nil {
		e.release(ch)
		return nil, unavailable(err)
	}
	return ch, nil
}

// pin keeps a channel, which somebody has acquired, until one release more: what is on the disk may be ahead of it.
func (e *Engine) pin(ch *channel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch.uses++
}

// release ends what acquire began. Channels that nothing is known of are not kept, nor more than the cache may have.
func (e *Engine) release(ch *channel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch.uses--
	if ch.uses == 0 {
		ch.mu.Lock()
		unknown := !ch.loaded || !ch.kept && ch.head.last == 0
		ch.mu.Unlock()
		if unknown {
			e.forget(ch)
		}
	}
	for place := e.used.Back(); len(e.channels) > e.opts.MaxCached && place != nil; {
		old := place.Value.(*channel)
		place = place.Prev()
		if old.uses > 0 {
			continue
		}
		old.mu.Lock()
		busy, lost := len(old.pending) > 0, !old.kept
		old.mu.Unlock()
		if !busy {
			e.forget(old)
			if lost {
				e.evicted.Add(1)
			}
		}
	}
}

// forget takes a channel out of memory; mu is held.
func (e *Engine) forget(ch *channel) {
	ch.mu.Lock()
	if !ch.kept && ch.head.last > 0 {
		e.volatile.Add(-1)
	}
	ch.mu.Unlock()
	e.tails.drop(&ch.tail)
	e.used.Remove(ch.place)
	delete(e.channels, ch.name)
}

// reload has every channel read again what the disk has; the repair calls it with pebbleMu held.
func (e *Engine) reload() error {
	e.mu.Lock()
	for _, ch := range e.channels {
		ch.mu.Lock()
		if ch.kept {
			ch.loaded = false
		}
		ch.mu.Unlock()
	}
	e.mu.Unlock()
	return e.tally()
}

// forgetIdle takes channels that keep nothing and were not published to for a window out of memory.
func (e *Engine) forgetIdle(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ch := range e.channels {
		if ch.uses > 0 {
			continue
		}
		ch.mu.Lock()
		idle := !ch.kept && ch.blank(now, e.db.opts.Window)
		ch.mu.Unlock()
		if idle {
			e.forget(ch)
		}
	}
}

// Stats implements broker.Engine.
func (e *Engine) Stats() broker.EngineStats {
	return broker.EngineStats{
		Channels: int(e.stored.Load() + e.volatile.Load()), Messages: int(e.count.Load()), Bytes: e.bytes.Load(), Evicted: e.evicted.Load(),
		Mark: e.db.salt.Load() + e.forgotten.Load(),
	}
}

// Close implements broker.Engine.
func (e *Engine) Close() error {
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.closed.Swap(true) {
		return nil
	}
	e.db.mu.Lock()
	defer e.db.mu.Unlock()
	if e.db.engines[e.realm] == e {
		delete(e.db.engines, e.realm)
	}
	return nil
}
