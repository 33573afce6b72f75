package bayeux

import (
	"sync"

	"waft/broker"
	"waft/broker/outbox"
)

// sentList is what a client has been sent and has not shown to have: a queue of messages, each with a number that counts
// what the session was ever sent. It costs nothing while it is empty, and takes its memory from a pool, so that a session that
// gets an event now and then, or many all the time, allocates nothing.
//
// Every delivery to a socket passes through it, on top of a price of some 200 ns when several go out together. So what many sessions
// were sent together is one entry, of a batch that they share; and what is proven is let go of by the chunk, without a look at
// the messages, which nobody may have touched for a second. A chunk is written to once for an entry and once when it begins: how much
// is in it follows from where the next one begins.
//
// The subscriptions that a message matched are not kept: nobody asks for them on this door.
type sentList struct {
	// A delivery touches no more than this.
	tail  *sentChunk // nil when empty
	count uint32     // messages
	end   uint8      // place behind the newest entry in tail
	at    uint8      // place of the oldest entry in head
	skip  int16      // messages of that entry's batch that are no longer there
	size  int        // bytes of the messages, by Message.Size

	head  *sentChunk // nil when empty
	first uint64     // number of the oldest message
	went  int        // bytes of all that the session was ever sent and that is no longer there
}

// sentChunk fills a size class of the allocator.
type sentChunk struct {
	entries [30]sentEntry
	first   uint64 // the list's next when it began
	came    int    // and the bytes of all that the session had been sent
	next    *sentChunk
}

// sentEntry is one of the two.
type sentEntry struct {
	message *broker.Message
	batch   *outbox.Batch
}

var sentChunks = sync.Pool{New: func() any { return new(sentChunk) }}

func (l *sentList) len() int { return int(l.count) }

// next is the number that the next message gets.
func (l *sentList) next() uint64 { return l.first + uint64(l.count) }

// push appends the messages of ds, of which batch may be the list.
func (l *sentList) push(ds []broker.Delivery, batch *outbox.Batch) {
	if batch != nil {
		l.room()[0].batch = batch
		l.pushed(1, len(batch.Messages), batch.Size)
		return
	}
	for len(ds) > 0 {
		room := l.room()
		n, bytes := min(len(ds), len(room)), 0
		for i := range n {
			m := ds[i].Message
			room[i].message = m
			bytes += m.Size()
		}
		l.pushed(n, n, bytes)
		ds = ds[n:]
	}
}

// pushOnly is push for one message.
func (l *sentList) pushOnly(m *broker.Message) {
	if l.tail == nil || int(l.end) == len(l.tail.entries) {
		l.grow()
	}
	l.tail.entries[l.end].message = m
	l.pushed(1, 1, m.Size())
}

// room is where entries may be put, one at least.
func (l *sentList) room() []sentEntry {
	if l.tail == nil || int(l.end) == len(l.tail.entries) {
		l.grow()
	}
	return l.tail.entries[l.end:]
}

func (l *sentList) pushed(entries, messages, bytes int) {
	l.end += uint8(entries)
	l.count += uint32(messages)
	l.size += bytes
}

func (l *sentList) grow() {
	c := sentChunks.Get().(*sentChunk)
	c.first, c.came = l.next(), l.went+l.size
	if l.tail == nil {
		l.head, l.at = c, 0
	} else {
		l.tail.next = c
	}
	l.tail, l.end = c, 0
}

// pop takes the oldest message.
func (l *sentList) pop() *broker.Message {
	c := l.head
	e := &c.entries[l.at]
	m := e.message
	if e.batch != nil {
		m = e.batch.Messages[l.skip]
		l.skip++
	}
	l.gone(l.first+1, l.went+m.Size())
	switch {
	case l.first == l.behindHead():
		l.shrink()
	case e.batch == nil || int(l.skip) == len(e.batch.Messages):
		*e = sentEntry{}
		l.at++
		l.skip = 0
	}
	return m
}

// behindHead is the number of the first message that is not in head.
func (l *sentList) behindHead() uint64 {
	if l.head == l.tail {
		return l.next()
	}
	return l.head.next.first
}

// gone moves the beginning of the list.
func (l *sentList) gone(first uint64, went int) {
	l.count -= uint32(first - l.first)
	l.size -= went - l.went
	l.first, l.went = first, went
}

// shrink lets go of head, with what is left in it.
func (l *sentList) shrink() {
	c := l.head
	if c.next != nil {
		l.gone(c.next.first, c.next.came)
	} else {
		l.gone(l.next(), l.went+l.size)
	}
	l.head, l.at, l.skip = c.next, 0, 0
	if l.head == nil {
		l.tail = nil
	}
	*c = sentChunk{}
	sentChunks.Put(c)
}

// popTo lets go of all whose number is below end, and tells how many those were.
func (l *sentList) popTo(end uint64) (n int) {
	begin := l.first
	for end = min(end, l.next()); l.first < end; {
		if l.behindHead() <= end {
			l.shrink()
		} else {
			l.pop()
		}
	}
	return int(l.first - begin)
}

// popAll empties the list into deliveries, oldest first.
func (l *sentList) popAll() []broker.Delivery {
	ds := make([]broker.Delivery, 0, l.len())
	for l.count > 0 {
		ds = append(ds, broker.Delivery{Message: l.pop()})
	}
	return ds
}
