package outbox

import (
	"slices"

	"waft/broker"
)

// Source supplies a connection with bytes.
type Source interface {
	// Fill gives the bytes of what waits to be sent, ready for the wire, or nil. It may take a part (some 64 KiB at
	// most is sensible): it is called again until it gives nil, or sets Scratch.Dry. The bytes may be shared, and are not kept after
	// the next use of the scratch. It is called by one goroutine at a time, with the connection locked: it must not
	// block, and not call the Conn.
	Fill(sc *Scratch) []byte

	// Prefetch is called some time before Fill, maybe, by any goroutine: it loads what Fill will look at first, and does not lock. See
	// broker.Session.Prefetch.
	Prefetch()
}

// CloseWatcher is a Source that is told when its connection has been closed, by whomever and for whatever: who does not wait in a read
// has no other way to find out.
type CloseWatcher interface {
	Source
	// Closed is called once, when nothing can be read or written any more, with the connection locked: it must not block, and not call
	// the Conn. Ringing a parked socket is what it is for.
	Closed()
}

// Scratch is memory that the connections of a shard use in turn, so that an idle one keeps none.
type Scratch struct {
	Deliveries []broker.Delivery // for Session.Drain(sc.Deliveries[:0])
	Buf        []byte            // for frames that are made for one connection

	// Dry is for Fill to set when what it gives is all there is: then it is not called again to say nothing, which is nearly half the
	// work of a delivery that goes out alone. Whatever comes after that look must be announced by Conn.Ready.
	Dry bool

	writes, bytes uint64 // system calls and what they wrote, not yet in the shard's stats

	joins [4]joined // the latest: connections of a few protocols and forms may follow each other in any order
	turn  int       // which gives way next
}

// joined is what a framing made of some messages.
type joined struct {
	by    any // the framing
	key   []*broker.Message
	bytes []byte
	batch *Batch // nil: nobody has asked
}

// Batch is a list of messages that several sessions are sent together. It never changes.
type Batch struct {
	Messages []*broker.Message
	Size     int // by Message.Size
}

// Join gives the bytes that frame makes of ds, and remembers them: the next session with the very same messages
// waiting shares them, which under a burst is every session of a channel. frame appends to dst; by tells
// framings apart and must be comparable.
func (sc *Scratch) Join(by any, ds []broker.Delivery, frame func(dst []byte, ds []broker.Delivery) []byte) []byte {
	for i := range sc.joins {
		if j := &sc.joins[i]; j.same(ds) && j.by == by {
			return j.bytes
		}
	}
	j := &sc.joins[sc.turn]
	sc.turn = (sc.turn + 1) % len(sc.joins)
	j.by, j.key, j.batch = by, j.key[:0], nil
	for _, d := range ds {
		j.key = append(j.key, d.Message)
	}
	j.bytes = frame(j.bytes[:0], ds)
	return j.bytes
}

// Batch gives the messages of ds as a list that all share who have the very same, or nil for what nobody has joined lately: a list
// for one session alone, or of one message, is not made.
func (sc *Scratch) Batch(ds []broker.Delivery) *Batch {
	if len(ds) < 2 {
		return nil
	}
	for i := range sc.joins {
		j := &sc.joins[i]
		if !j.same(ds) {
			continue
		}
		if j.batch == nil {
			j.batch = &Batch{Messages: slices.Clone(j.key)}
			for _, m := range j.key {
				j.batch.Size += m.Size()
			}
		}
		return j.batch
	}
	return nil
}

func (j *joined) same(ds []broker.Delivery) bool {
	if len(j.key) != len(ds) || len(ds) == 0 {
		return false
	}
	for i, m := range j.key {
		if m != ds[i].Message {
			return false
		}
	}
	return true
}

// largeScratch is more than an idle shard keeps.
const largeScratch = 256 << 10

// forget lets go of messages, and of buffers that a burst made large.
func (sc *Scratch) forget() {
	clear(sc.Deliveries[:cap(sc.Deliveries)])
	sc.Deliveries = sc.Deliveries[:0]
	size := cap(sc.Buf) + 48*cap(sc.Deliveries)
	for i := range sc.joins {
		j := &sc.joins[i]
		clear(j.key[:cap(j.key)])
		j.by, j.key, j.batch = nil, j.key[:0], nil
		size += cap(j.bytes)
	}
	if size > largeScratch {
		*sc = Scratch{}
	}
}
