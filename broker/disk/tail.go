package disk

import (
	"cmp"
	"container/list"
	"slices"
	"sync"

	"waft/broker"
)

// tails is what one realm has in memory of its channels' newest messages: what readers who come back ask for, thousands of them at
// a time when a network or a process fails. A message in it is the one that was delivered, so that its wire forms are there too.
//
// Of a channel it has all that is kept of a range of offsets that ends with the newest delivered one, or nothing. Publishing puts
// messages in, and so does reading them from the disk; limits, removal and replacement take them out with the delivery that tells
// of it. The channels that were used least recently lose theirs when it is full.
type tails struct {
	most int64 // bytes, by Message.Size

	mu    sync.Mutex // guards the rest, and every channel's tail; innermost
	used  list.List  // of *tail with messages, most recently used first
	bytes int64
}

// tail is one channel's: everything that is kept of the offsets behind from, up to last.
type tail struct {
	from, last, lost uint64
	messages         []*broker.Message // oldest first. Readers have parts of it: it is cut, appended to and replaced, never changed
	spare            int               // messages cut off that the array still holds
	bytes            int64
	changes          uint64        // counts what makes invalid what has been read from the disk: removals, and new beginnings
	place            *list.Element // in tails.used; nil: it has no messages
}

// share is the part of the memory that one channel may have: a quarter.
func (c *tails) share() int64 { return c.most / 4 }

func (c *tails) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// reset begins with nothing: what is kept up to last is on the disk.
func (c *tails) reset(t *tail, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty(t)
	t.from, t.last, t.lost = last, last, 0
	t.changes++
}

// empty takes the messages out; mu is held.
func (c *tails) empty(t *tail) {
	c.bytes -= t.bytes
	t.messages, t.spare, t.bytes, t.from = nil, 0, 0, t.last
	if t.place != nil {
		c.used.Remove(t.place)
		t.place = nil
	}
}

// drop forgets a channel's tail.
func (c *tails) drop(t *tail) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty(t)
}

// apply takes over a delivery; the channel's turn is held.
func (c *tails) apply(t *tail, p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.head.last < t.last { // the channel was forgotten, and begins anew
		c.empty(t)
		t.from, t.changes = 0, t.changes+1
	}
	if p.removed != 0 {
		c.remove(t, p.removed)
	}
	t.last, t.lost = p.head.last, p.head.lost
	if m := p.message; m != nil && !m.Retracted && t.lost < t.last {
		t.messages = append(t.messages, m)
		c.add(t, m)
	}
	c.cut(t, search(t.messages, t.lost+1))
	c.bound(t)
}

// add counts a message in; mu is held.
func (c *tails) add(t *tail, m *broker.Message) {
	t.bytes += int64(m.Size())
	c.bytes += int64(m.Size())
}

// remove takes out what is no longer kept; mu is held.
func (c *tails) remove(t *tail, offset uint64) {
	t.changes++
	i := search(t.messages, offset)
	if i == len(t.messages) || t.messages[i].Position.Offset != offset {
		return
	}
	size := int64(t.messages[i].Size())
	t.bytes -= size
	c.bytes -= size
	t.messages, t.spare = slices.Concat(t.messages[:i], t.messages[i+1:]), 0
}

// cut takes the n oldest messages out; mu is held.
func (c *tails) cut(t *tail, n int) {
	if n == 0 {
		return
	}
	for _, m := range t.messages[:n] {
		t.bytes -= int64(m.Size())
		c.bytes -= int64(m.Size())
	}
	t.from = t.messages[n-1].Position.Offset
	t.messages, t.spare = t.messages[n:], t.spare+n
	if t.spare > 32 && t.spare > len(t.messages) {
		t.messages, t.spare = slices.Clone(t.messages), 0
	}
}

// bound keeps the limits, and notes that the tail is in use; mu is held.
func (c *tails) bound(t *tail) {
	over := 0
	for bytes := t.bytes; bytes > c.share(); over++ {
		bytes -= int64(t.messages[over].Size())
	}
	c.cut(t, over)
	c.touch(t)
	for c.bytes > c.most {
		c.empty(c.used.Back().Value.(*tail))
	}
}

// touch puts a tail in its place; mu is held.
func (c *tails) touch(t *tail) {
	switch {
	case len(t.messages) == 0:
		c.empty(t)
	case t.place == nil:
		t.place = c.used.PushFront(t)
	default:
		c.used.MoveToFront(t.place)
	}
}

// read gives what is in memory, and the offset behind which that is everything up to last.
func (c *tails) read(t *tail) (messages []*broker.Message, from, last, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.place != nil {
		c.used.MoveToFront(t.place)
	}
	return slices.Clip(t.messages), t.from, t.last, t.changes
}

// fill puts in what was read from the disk: everything behind from up to last, of which the tail has the rest; changes is as of
// before the reading.
func (c *tails) fill(t *tail, messages []*broker.Message, from, last, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.changes != changes || t.from > last || from >= t.from {
		return
	}
	older := messages[search(messages, t.lost+1):search(messages, t.from+1)]
	for _, m := range older {
		c.add(t, m)
	}
	t.messages, t.spare, t.from = slices.Concat(older, t.messages), 0, from
	c.bound(t)
}

// search finds the first message with an offset of at least this.
func search(messages []*broker.Message, offset uint64) int {
	i, _ := slices.BinarySearchFunc(messages, offset, func(m *broker.Message, o uint64) int { return cmp.Compare(m.Position.Offset, o) })
	return i
}
