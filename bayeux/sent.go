package bayeux

import (
	"sync"

	"waft/broker"
)

// sentList is what a client has been sent and has not shown to have: a queue of messages, each with a number that counts
// what the session was ever sent. It costs nothing while it is empty, and takes its memory from a pool, so that a session that
// gets an event now and then, or many all the time, allocates nothing.
//
// The subscriptions that a message matched are not kept: nobody asks for them on this door.
type sentList struct {
	head, tail *sentChunk // nil when empty
	at         int        // place of the oldest in head
	first      uint64     // number of the oldest
	next       uint64     // number that the next one gets
	bytes      int        // by Message.Size
}

// sentChunk fills a size class of the allocator.
type sentChunk struct {
	messages [31]*broker.Message
	next     *sentChunk
}

var sentChunks = sync.Pool{New: func() any { return new(sentChunk) }}

func (l *sentList) len() int { return int(l.next - l.first) }

func (l *sentList) push(m *broker.Message) {
	i := (l.at + l.len()) % len(sentChunk{}.messages)
	switch {
	case l.tail == nil:
		l.tail = sentChunks.Get().(*sentChunk)
		l.head = l.tail
	case i == 0:
		l.tail.next = sentChunks.Get().(*sentChunk)
		l.tail = l.tail.next
	}
	l.tail.messages[i] = m
	l.next++
	l.bytes += m.Size()
}

func (l *sentList) pop() *broker.Message {
	c := l.head
	m := c.messages[l.at]
	c.messages[l.at] = nil
	l.at++
	l.first++
	l.bytes -= m.Size()
	if l.at == len(c.messages) || l.first == l.next {
		l.head, l.at = c.next, 0
		if l.head == nil {
			l.tail = nil
		}
		c.next = nil
		sentChunks.Put(c)
	}
	return m
}

// popTo lets go of all whose number is below end, and tells how many those were.
func (l *sentList) popTo(end uint64) (n int) {
	for l.first < min(end, l.next) {
		l.pop()
		n++
	}
	return n
}

// popAll empties the list into deliveries, oldest first.
func (l *sentList) popAll() []broker.Delivery {
	ds := make([]broker.Delivery, 0, l.len())
	for l.first < l.next {
		ds = append(ds, broker.Delivery{Message: l.pop()})
	}
	return ds
}
