package bayeux

import (
	"sync"

	"waft/broker"
)

// sentList is what a client has been sent and has not shown to have: a queue of messages, each with a number that counts
// what the session was ever sent. It costs nothing while it is empty, and takes its memory from a pool, so that a session that
// gets an event now and then, or many all the time, allocates nothing.
//
// Every delivery to a socket passes through it, on top of a price of some 200 ns when several go out together. So what is
// proven is let go of by the chunk, without a look at the messages, which nobody else may have touched for a second.
//
// The subscriptions that a message matched are not kept: nobody asks for them on this door.
type sentList struct {
	head, tail *sentChunk // nil when empty
	at         int        // place of the oldest in head
	end        int        // place behind the newest in tail
	first      uint64     // number of the oldest
	next       uint64     // number that the next one gets
	bytes      int        // by Message.Size
}

// sentChunk fills a size class of the allocator.
type sentChunk struct {
	messages [30]*broker.Message
	bytes    int // of those that are in it
	next     *sentChunk
}

var sentChunks = sync.Pool{New: func() any { return new(sentChunk) }}

func (l *sentList) len() int { return int(l.next - l.first) }

func (l *sentList) push(ds []broker.Delivery) {
	l.next += uint64(len(ds))
	for len(ds) > 0 {
		if l.tail == nil || l.end == len(l.tail.messages) {
			l.grow()
		}
		c := l.tail
		free := c.messages[l.end:]
		n, bytes := min(len(ds), len(free)), 0
		for i := range ds[:n] {
			m := ds[i].Message
			free[i] = m
			bytes += m.Size()
		}
		c.bytes += bytes
		l.bytes += bytes
		l.end += n
		ds = ds[n:]
	}
}

func (l *sentList) grow() {
	c := sentChunks.Get().(*sentChunk)
	if l.tail == nil {
		l.head, l.at = c, 0
	} else {
		l.tail.next = c
	}
	l.tail, l.end = c, 0
}

func (l *sentList) pop() *broker.Message {
	c := l.head
	m := c.messages[l.at]
	c.messages[l.at] = nil
	c.bytes -= m.Size()
	l.bytes -= m.Size()
	l.at++
	l.first++
	if l.at == l.inHead() {
		l.shrink()
	}
	return m
}

// inHead is the place behind the newest in head.
func (l *sentList) inHead() int {
	if l.head == l.tail {
		return l.end
	}
	return len(l.head.messages)
}

// shrink lets go of head, none of whose messages is left.
func (l *sentList) shrink() {
	c := l.head
	l.head, l.at = c.next, 0
	if l.head == nil {
		l.tail = nil
	}
	c.next = nil
	sentChunks.Put(c)
}

// popTo lets go of all whose number is below end, and tells how many those were.
func (l *sentList) popTo(end uint64) (n int) {
	end = min(end, l.next)
	begin := l.first
	for l.first < end {
		c, rest := l.head, l.inHead()-l.at
		if l.first+uint64(rest) > end {
			l.pop()
			continue
		}
		clear(c.messages[l.at : l.at+rest])
		l.bytes -= c.bytes
		c.bytes = 0
		l.first += uint64(rest)
		l.shrink()
	}
	return int(l.first - begin)
}

// popAll empties the list into deliveries, oldest first.
func (l *sentList) popAll() []broker.Delivery {
	ds := make([]broker.Delivery, 0, l.len())
	for l.first < l.next {
		ds = append(ds, broker.Delivery{Message: l.pop()})
	}
	return ds
}
