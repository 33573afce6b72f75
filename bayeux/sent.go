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
// is in it follows from where the next one begins. Of what was sent one at a time the last few are no entries yet, but in the session,
// which had to be fetched anyway: a session that gets one now and then never has a chunk.
//
// The subscriptions that a message matched are not kept: nobody asks for them on this door.
type sentList struct {
	// A delivery touches no more than this, and one in four a chunk, which is in no cache when thousands are written to in turn.
	count  uint32             // messages
	end    uint8              // place behind the newest entry in tail
	alone  uint8              // of latest in use
	size   int                // bytes of the messages, by Message.Size
	latest [3]*broker.Message // the newest, behind tail, of those that were sent one at a time

	tail  *sentChunk // nil when there is none; behind it, in a ring, comes the head
	first uint64     // number of the oldest message
	went  int        // bytes of all that the session was ever sent and that is no longer there
}

// sentChunk fills a size class of the allocator.
type sentChunk struct {
	entries [30]sentEntry
	first   uint64 // the list's next when it began
	came    int    // and the bytes of all that the session had been sent
	next    *sentChunk

	// of the head
	at   uint8 // place of the oldest entry
	skip int16 // messages of that entry's batch that are no longer there
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
	if l.alone > 0 {
		l.settle()
	}
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
	if int(l.alone) == len(l.latest) {
		l.settle()
	}
	l.latest[l.alone] = m
	l.alone++
	l.pushed(0, 1, m.Size())
}

// settle puts latest into chunks.
func (l *sentList) settle() {
	for i, m := range l.latest[:l.alone] {
		if l.full() {
			size := 0
			for _, behind := range l.latest[i:l.alone] {
				size += behind.Size()
			}
			l.grow(l.next()-uint64(int(l.alone)-i), l.went+l.size-size)
		}
		l.tail.entries[l.end].message = m
		l.end++
	}
	clear(l.latest[:])
	l.alone = 0
}

// room is where entries may be put, one at least.
func (l *sentList) room() []sentEntry {
	if l.full() {
		l.grow(l.next(), l.went+l.size)
	}
	return l.tail.entries[l.end:]
}

func (l *sentList) pushed(entries, messages, bytes int) {
	l.end += uint8(entries)
	l.count += uint32(messages)
	l.size += bytes
}

// full tells whether there is no room in a chunk.
func (l *sentList) full() bool { return l.tail == nil || int(l.end) == len(l.tail.entries) }

// grow makes a chunk, whose first message has that number, and those before it these bytes.
func (l *sentList) grow(first uint64, came int) {
	c := sentChunks.Get().(*sentChunk)
	c.first, c.came = first, came
	if l.tail == nil {
		c.next = c
	} else {
		c.next, l.tail.next = l.tail.next, c
	}
	l.tail, l.end = c, 0
}

// pop takes the oldest message.
func (l *sentList) pop() *broker.Message {
	l.settle()
	c := l.tail.next
	e := &c.entries[c.at]
	m := e.message
	if e.batch != nil {
		m = e.batch.Messages[c.skip]
		c.skip++
	}
	l.gone(l.first+1, l.went+m.Size())
	switch {
	case l.first == l.behindHead():
		l.shrink()
	case e.batch == nil || int(c.skip) == len(e.batch.Messages):
		*e = sentEntry{}
		c.at++
		c.skip = 0
	}
	return m
}

// behindHead is the number of the first message that is not in the head.
func (l *sentList) behindHead() uint64 {
	if head := l.tail.next; head != l.tail {
		return head.next.first
	}
	return l.next()
}

// gone moves the beginning of the list.
func (l *sentList) gone(first uint64, went int) {
	l.count -= uint32(first - l.first)
	l.size -= went - l.went
	l.first, l.went = first, went
}

// shrink lets go of the head, with what is left in it.
func (l *sentList) shrink() {
	head := l.tail.next
	if head == l.tail {
		l.gone(l.next(), l.went+l.size)
		l.tail = nil
	} else {
		l.gone(head.next.first, head.next.came)
		l.tail.next = head.next
	}
	*head = sentChunk{}
	sentChunks.Put(head)
}

// popTo lets go of all whose number is below end, and tells how many those were.
func (l *sentList) popTo(end uint64) (n int) {
	begin := l.first
	if l.tail == nil && end >= l.next() { // most often
		clear(l.latest[:l.alone])
		l.alone = 0
		l.gone(l.next(), l.went+l.size)
	}
	l.settle()
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
