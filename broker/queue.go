package broker

import "slices"

// queue is a session's bounded first-in first-out of deliveries. A single waiting delivery lives in the struct, so
// that the usual case (one in, one out) allocates nothing; a burst grows a slice, which is let go when it was big.
type queue struct {
	count int
	bytes int
	first Delivery // the oldest, if count > 0
	head  int
	rest  []Delivery // the others, from head on
}

// keepCap is the largest backing array an empty queue keeps: about 1 KB, which sixteen in flight fit in.
const keepCap = 24

func (q *queue) len() int { return q.count }

// fits tells whether a message of size bytes may still be queued. An empty queue takes any message.
func (q *queue) fits(size, maxMessages, maxBytes int) bool {
	return q.count == 0 || q.count < maxMessages && q.bytes+size <= maxBytes
}

func (q *queue) push(d Delivery) {
	if q.count == 0 {
		q.first = d
	} else {
		q.rest = append(q.rest, d)
	}
	q.count++
	q.bytes += d.Message.Size()
}

func (q *queue) pop() Delivery {
	d := q.first
	q.count--
	q.bytes -= d.Message.Size()
	if q.count == 0 {
		q.reset()
		return d
	}
	q.first = q.rest[q.head]
	q.rest[q.head] = Delivery{}
	q.head++
	if q.head > 64 && q.head > len(q.rest)/2 { // a queue that never empties must not grow for ever
		q.rest = append(q.rest[:0], q.rest[q.head:]...)
		clear(q.rest[len(q.rest):cap(q.rest)])
		q.head = 0
	}
	return d
}

// drainWithin takes out what DrainWithin says.
func (q *queue) drainWithin(buf []Delivery, limit, size int) []Delivery {
	for first := true; limit > 0 && q.len() > 0; limit-- {
		if size -= q.first.Message.Size(); size < 0 && !first {
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
	buf = append(buf, q.first)
	if q.count > 1 {
		buf = append(buf, q.rest[q.head:]...)
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
	q.count, q.bytes, q.first = 0, 0, Delivery{}
	switch {
	case len(q.rest) == 0: // one in, one out
	case cap(q.rest) <= keepCap:
		clear(q.rest)
		q.rest = q.rest[:0]
	default:
		q.rest = nil
	}
	q.head = 0
}
