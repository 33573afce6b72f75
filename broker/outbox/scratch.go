package outbox

import (
	"slices"

	"waft/broker"
)

// Source supplies a connection with bytes.
type Source interface {
	// Fill gives the bytes of what waits to be sent, ready for the wire, or nil. It may take a part (some 64 KiB at
	// most is sensible): it is called again until it gives nil. The bytes may be shared, and are not kept after
	// the next use of the scratch. It is called by one goroutine at a time, with the connection locked: it must not
	// block, and not call the Conn.
	Fill(sc *Scratch) []byte
}

// Scratch is memory that the connections of a shard use in turn, so that an idle one keeps none.
type Scratch struct {
	Deliveries []broker.Delivery // for Session.Drain(sc.Deliveries[:0])
	Buf        []byte            // for frames that are made for one connection

	by     any // who made joined
	key    []*broker.Message
	joined []byte
}

// Join gives the bytes that frame makes of ds, and remembers them: the next session with the very same messages
// waiting shares them, which under a burst is every session of a channel. frame appends to dst; by tells
// framings apart and must be comparable.
func (sc *Scratch) Join(by any, ds []broker.Delivery, frame func(dst []byte, ds []broker.Delivery) []byte) []byte {
	if sc.by == by && sc.same(ds) {
		return sc.joined
	}
	sc.by, sc.key = by, sc.key[:0]
	for _, d := range ds {
		sc.key = append(sc.key, d.Message)
	}
	sc.joined = frame(sc.joined[:0], ds)
	return sc.joined
}

func (sc *Scratch) same(ds []broker.Delivery) bool {
	return slices.EqualFunc(sc.key, ds, func(m *broker.Message, d broker.Delivery) bool { return m == d.Message })
}

// largeScratch is more than an idle shard keeps.
const largeScratch = 256 << 10

// forget lets go of messages, and of buffers that a burst made large.
func (sc *Scratch) forget() {
	clear(sc.key[:cap(sc.key)])
	clear(sc.Deliveries[:cap(sc.Deliveries)])
	sc.by, sc.key, sc.Deliveries = nil, sc.key[:0], sc.Deliveries[:0]
	if cap(sc.joined)+cap(sc.Buf)+48*cap(sc.Deliveries) > largeScratch {
		*sc = Scratch{}
	}
}
