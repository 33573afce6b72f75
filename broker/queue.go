package broker

import "slices"

// queue is a session's bounded first-in first-out of deliveries. A single waiting delivery lives in the struct, so
// that the usual case (one in, one out) allocates nothing; a burst grows a slice, which is let go when it was big.
//
// One in, one out touches the first four fields and no others, which share a cache line with what else of a session a delivery touches.
type queue struct {
	count   int32
	head    int32    // where the others begin in rest, and one; 0: nothing behind pattern is in use
	message *Message // of the oldest, if count > 0
	pattern Pattern  // likewise; left behind when it goes

	also  []Pattern  // likewise
	bytes int        // of all that waits
	rest  []Delivery // the others, behind what has been taken
}

// keepCap is the largest backing array an empty queue keeps: about 1 KB, which sixteen in flight fit in.
const keepCap = 24

func (q *queue) len() int { return int(q.count) }

// size is the bytes of all that waits.
func (q *queue) size() int {
	switch {
	case q.head > 0:
		return q.bytes
	case q.count > 0:
		return q.message.Size()
	default:
		return 0
	}
}

// fits tells whether a message of size bytes may be queued behind others. An empty queue takes any message.
func (q *queue) fits(size, maxMessages, maxBytes int) bool {
	return int(q.count) < maxMessages && q.size()+size <= maxBytes
}

func (q *queue) push(d Delivery) {
	if q.count == 0 {
		q.setFirst(d)
		q.count = 1
	} else {
		q.pushBehind(d, d.Message.Size())
	}
}

// pushBehind is push for a message of that Size where there is another.
func (q *queue) pushBehind(d Delivery, size int) {
	if q.head == 0 {
		q.bytes, q.head = q.message.Size(), 1
	}
	q.bytes += size
	q.rest = append(q.rest, d)
	q.count++
}

func (q *queue) setFirst(d Delivery) {
	q.message, q.pattern = d.Message, d.Pattern
	switch {
	case q.head > 0:
		q.also = d.Also
	case d.Also != nil:
		q.also, q.bytes, q.head = d.Also, d.Message.Size(), 1
	}
}

// first is the oldest, if there is one.
func (q *queue) first() Delivery {
	d := Delivery{Message: q.message, Pattern: q.pattern}
	if q.head > 0 {
		d.Also = q.also
	}
	return d
}

func (q *queue) pop() Delivery {
	d := q.first()
	q.count--
	if q.count == 0 {
		q.reset()
		return d
	}
	q.bytes -= d.Message.Size()
	q.setFirst(q.rest[q.head-1])
	q.rest[q.head-1] = Delivery{}
	q.head++
	if at := int(q.head) - 1; at > 64 && at > len(q.rest)/2 { // a queue that never empties must not grow for ever
		q.rest = append(q.rest[:0], q.rest[at:]...)
		clear(q.rest[len(q.rest):cap(q.rest)])
		q.head = 1
	}
	return d
}

// drainWithin takes out what DrainWithin says.
func (q *queue) drainWithin(buf []Delivery, limit, size int) []Delivery {
	for first := true; limit > 0 && q.len() > 0; limit-- {
		if size -= q.message.Size(); size < 0 && !first {
			break
		}
		buf, first = append(buf, q.pop()), false
	}
	return buf
}

func (q *queue) drain(buf []Delivery) []Delivery {
	if q.count == 0 {
		return buf
	}
	buf = append(buf, q.first())
	if q.count > 1 {
		buf = append(buf, q.rest[q.head-1:]...)
	}
	q.reset()
	return buf
}

func (q *queue) pushFront(ds []Delivery) {
	all := slices.Concat(ds, q.drain(nil))
	for _, d := range all {
		q.push(d)
	}
}

func (q *queue) reset() {
	q.count, q.message = 0, nil
	if q.head > 0 {
		q.resetMore()
	}
}

func (q *queue) resetMore() {
	if cap(q.rest) <= keepCap {
		clear(q.rest)
		q.rest = q.rest[:0]
	} else {
		q.rest = nil
	}
	q.also, q.bytes, q.head = nil, 0, 0
}
