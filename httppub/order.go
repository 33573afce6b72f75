package httppub

import (
	"hash/maphash"
	"sync"
	"time"

	"waft/broker"
)

// order makes items wait for the ones that they follow (EPCP: prev-id). An item that names one which has not been published waits
// until it is; but no longer than Hold, and when too many wait, those of that channel go as they came.
//
// A channel of which nothing is known, because no item with an id was published to it for a while, has no order yet: the first
// item goes at once, whatever it follows. Known are the last few ids of a channel, in a table of two ages: what is used is young, and when the
// young are too many or the time is up they become old and the old are forgotten.
type order struct {
	// static
	opts     *IntakeOptions
	counters *intakeCounters
	seed     maphash.Seed
	running  sync.WaitGroup // releases

	mu         sync.Mutex // guards the rest. It is not held while anything is published
	young, old map[broker.Channel]*queue
	turned     time.Time // when the old were young
	held       int       // items that wait, or are on their way to the broker
	bytes      int       // of them
	closed     bool
}

// queue is a channel's. The order's lock guards it.
type queue struct {
	channel   broker.Channel
	seen      [16]uint64 // hashes of the last ids, anywhere
	next      int        // place in seen
	waiting   []*ticket  // in the order in which they came
	due       []*ticket  // whose turn has come
	releasing bool       // a goroutine takes them
	timer     *time.Timer
}

// rememberOrder is the age at which the young are old.
const rememberOrder = 10 * time.Minute

func (o *order) init(opts *IntakeOptions, counters *intakeCounters) {
	o.opts, o.counters, o.seed, o.turned = opts, counters, maphash.MakeSeed(), time.Now()
	o.young = map[broker.Channel]*queue{}
}

func (o *order) hash(id string) uint64 { return max(maphash.String(o.seed, id), 1) }

// find gives what is known of the channel, or nil. mu is held.
func (o *order) find(c broker.Channel) *queue {
	if q := o.young[c]; q != nil {
		return q
	}
	q := o.old[c]
	if q != nil {
		delete(o.old, c)
		o.young[c] = q
	}
	return q
}

// turn lets the young become old, if it is time. Queues in use stay. mu is held.
func (o *order) turn() {
	now := time.Now()
	if len(o.young) < max(o.opts.OrderedChannels/2, 1) && now.Sub(o.turned) < rememberOrder {
		return
	}
	forgotten := o.old
	o.old, o.young, o.turned = o.young, map[broker.Channel]*queue{}, now
	for c, q := range forgotten {
		if q.busy() {
			o.young[c] = q
		}
	}
}

func (q *queue) busy() bool { return len(q.waiting) > 0 || q.releasing }

func (q *queue) has(hash uint64) bool {
	for _, h := range q.seen {
		if h == hash {
			return true
		}
	}
	return false
}

func (q *queue) add(hash uint64) {
	q.seen[q.next%len(q.seen)] = hash
	q.next++
}

// hold takes t if it has to wait for the item that it follows. Of full it says that there was no room: then t is on its way, and whoever
// brought it waits for it. With ok false t may be published now.
func (o *order) hold(c broker.Channel, prev string, t *ticket) (full, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.opts.Hold < 0 || o.closed {
		return false, false
	}
	q := o.find(c)
	t.prev = o.hash(prev)
	// Who repeats what is there does not wait again for what has been forgotten.
	if q == nil || q.has(t.prev) || t.id != "" && q.has(o.hash(t.id)) {
		return false, false
	}
	t.done = make(chan struct{})
	t.deadline = time.Now().Add(o.opts.Hold)
	full = len(q.waiting) >= o.opts.MaxChannelHeld || o.held >= o.opts.MaxHeld || o.bytes+t.size > o.opts.MaxHeldBytes
	o.held++
	o.bytes += t.size
	o.counters.held.Add(1)
	q.waiting = append(q.waiting, t)
	if full {
		o.giveUp(q, len(q.waiting), overfull)
	} else if len(q.waiting) == 1 {
		o.wind(q)
	}
	return full, true
}

// published notes that an item is there, and releases what waited for it.
func (o *order) published(c broker.Channel, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.opts.Hold < 0 || o.closed {
		return
	}
	q := o.find(c)
	if q == nil {
		o.turn()
		q = &queue{channel: c}
		o.young[c] = q
	}
	o.note(q, o.hash(id))
}

// note is published; mu is held.
func (o *order) note(q *queue, hash uint64) {
	if !q.has(hash) {
		q.add(hash)
	}
	kept := q.waiting[:0]
	for _, t := range q.waiting {
		if t.prev == hash {
			q.due = append(q.due, t)
			o.counters.released[followed].Add(1)
		} else {
			kept = append(kept, t)
		}
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
	o.start(q)
}
