package place

import (
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"waft/broker"
)

// slack is more than passes between a message's time, which it gets before it is stored, and its delivery; and more than the
// clocks of two processes differ by. What the base of an id is worth depends on it.
const slack = 5 * time.Second

const (
	compactID   = 1024        // bytes of an id from which on it names fewer channels of wildcards
	remember    = time.Minute // how long it names them else, after their last message
	maxRecent   = 4096        // channels of wildcards that are remembered at all
	pruneEvery  = time.Second // how often those that are quiet are looked for
	minRemember = 2 * slack   // what must be remembered: a channel quiet for less may have a message on either side of the base
	msPerSlack  = int64(slack / time.Millisecond)
)

// Cursor is where a stream is in each of its channels. It belongs to one goroutine at a time.
//
// Channels that were asked for by name have their position always. Those of wildcards can be any number, so only the recent
// ones have theirs; of the rest the base says enough: deliveries leave in the order in which messages were published, so
// that behind one of time t comes none that is older than t less slack. A replay goes channel by channel, and until it
// is through the base stays where it is.
type Cursor struct {
	// What a delivery touches of a cursor with one channel fits a cache line.
	frozen  int         // deliveries of the replay that are still to come
	wild    bool        // there are wildcards
	alone   bool        // named is one, and there are no wildcards
	fetched atomic.Bool // for Prefetch, which reads what nobody writes
	one     [1]named

	named     []named
	stamp     func() uint32 // what the server has forgotten
	base      int64         // Unix milliseconds
	recent    []recent      // by name, so that the texts of one place are the same
	torn      int64         // the base must be beyond it: a channel was forgotten too early
	pruned    int64         // when that was done last
	wildBytes int           // of the recent ones in an id
	spot      uint64        // see Memo; 0: it is where nobody else is known to be
}

type named struct {
	channel broker.Channel
	hash    uint64
	at      broker.Position
}

type recent struct {
	channel broker.Channel
	at      broker.Position
	time    int64 // of its last message
}

// Prefetch is broker.Session.Prefetch for a cursor. Any goroutine may call it.
func (c *Cursor) Prefetch() { c.fetched.Load() }

// Pass moves the cursor behind m.
func (c *Cursor) Pass(m *broker.Message) {
	if c.alone && c.frozen == 0 && m.Channel == c.one[0].channel {
		if !m.Retracted {
			c.one[0].at = m.Position
		}
		return
	}
	c.pass(m)
}

// PassAll moves the cursor behind the messages of ds, one after the other.
func (c *Cursor) PassAll(ds []broker.Delivery) {
	if c.alone && c.frozen == 0 { // where the last is the others are behind
		for _, d := range slices.Backward(ds) {
			if m := d.Message; !m.Retracted && m.Channel == c.one[0].channel {
				c.one[0].at = m.Position
				return
			}
		}
		return
	}
	for i := range ds {
		c.pass(ds[i].Message)
	}
}

func (c *Cursor) pass(m *broker.Message) {
	c.spot = 0
	replayed := c.frozen > 0
	if replayed {
		c.frozen--
	}
	if m.Retracted { // it has no place of its own
		return
	}
	if n := c.find(m.Channel); n != nil {
		n.at = m.Position
		return
	}
	if !c.wild {
		return
	}
	now := m.Time.UnixMilli()
	c.note(m.Channel, m.Position, now)
	if !replayed {
		c.Advance(now)
	}
	if len(c.recent) > maxRecent {
		c.tear()
	}
}

// Drop takes a channel or a wildcard off that is not listened to any more; left are the patterns that still are.
func (c *Cursor) Drop(p broker.Pattern, left []broker.Pattern) {
	defer c.fold()
	c.wild, c.spot = false, 0
	for _, other := range left {
		_, channel := other.Channel()
		c.wild = c.wild || !channel
	}
	ch, ok := p.Channel()
	if !ok {
		return
	}
	for i, n := range c.named {
		if n.channel != ch {
			continue
		}
		c.named = append(c.named[:i], c.named[i+1:]...)
		if c.wild && !n.at.IsZero() { // a wildcard may have it, and would count it by its time
			c.note(ch, n.at, time.Now().UnixMilli())
		}
		return
	}
}

// fold finds out whether there is one channel alone. It is called whenever that may have changed.
func (c *Cursor) fold() {
	if c.alone = len(c.named) == 1 && !c.wild; c.alone {
		c.one[0] = c.named[0]
		c.named = c.one[:]
	}
}

// Skip counts a delivery of the replay's session that is of none of the cursor's channels.
func (c *Cursor) Skip() { c.frozen = max(c.frozen-1, 0) }

// Frozen tells whether a replay is still on its way.
func (c *Cursor) Frozen() bool { return c.frozen > 0 }

// Wild tells whether there are wildcards. Only with them does Advance change anything.
func (c *Cursor) Wild() bool { return c.wild }

func wildSize(c broker.Channel) int { return len(c) + 2 + 8 + 5 }

// Advance moves the base to now, in Unix milliseconds, less slack: everything that was published before has been delivered.
func (c *Cursor) Advance(now int64) {
	if !c.wild || c.frozen > 0 {
		return
	}
	c.base = max(c.base, now-msPerSlack)
	keep := remember
	if c.wildBytes > compactID*3/4 {
		keep = minRemember
	}
	if until := now - keep.Milliseconds(); now-c.pruned >= pruneEvery.Milliseconds() {
		c.pruned = now
		c.recent = slices.DeleteFunc(c.recent, func(r recent) bool {
			if r.time <= until {
				c.wildBytes -= wildSize(r.channel)
			}
			return r.time <= until
		})
	}
}

// seek finds a wildcard's channel among the recent ones, or where it would be.
func (c *Cursor) seek(name broker.Channel) (i int, known bool) {
	i = sort.Search(len(c.recent), func(i int) bool { return c.recent[i].channel >= name })
	return i, i < len(c.recent) && c.recent[i].channel == name
}

// recentPlace gives the place of a wildcard's channel; zero if that is not known.
func (c *Cursor) recentPlace(name broker.Channel) (at broker.Position) {
	if i, known := c.seek(name); known {
		at = c.recent[i].at
	}
	return at
}

// note remembers the place of a wildcard's channel.
func (c *Cursor) note(name broker.Channel, at broker.Position, time int64) {
	i, known := c.seek(name)
	if !known {
		c.wildBytes += wildSize(name)
		c.recent = slices.Insert(c.recent, i, recent{channel: name})
	}
	r := &c.recent[i]
	r.at, r.time = at, max(time, r.time)
}

func (c *Cursor) forget(name broker.Channel) {
	if i, known := c.seek(name); known {
		c.recent = slices.Delete(c.recent, i, i+1)
		c.wildBytes -= wildSize(name)
	}
}

// tear forgets a channel before its time. Until the base is beyond, ids say that they are broken.
func (c *Cursor) tear() {
	r := c.recent[len(c.recent)-1]
	c.torn = max(c.torn, r.time+msPerSlack)
	c.forget(r.channel)
}

// find gives the place of a channel that was asked for by name; nil: it was not.
func (c *Cursor) find(ch broker.Channel) *named {
	for i := range c.named {
		if c.named[i].channel == ch {
			return &c.named[i]
		}
	}
	return nil
}

// Append appends the text of the place behind what has passed. scratch is memory to use.
func (c *Cursor) Append(dst []byte, scratch *[]byte) []byte {
	raw := append((*scratch)[:0], idVersion)
	stamped := c.wild
	for i := range c.named {
		stamped = stamped || c.named[i].at.IsZero()
	}
	if stamped {
		raw[0] |= idStamped
		raw = appendStamp(raw, c.stamp())
	}
	raw = binary.AppendUvarint(raw, uint64(len(c.named)))
	for i := range c.named {
		raw = appendNamed(raw, c.named[i].hash, c.named[i].at)
	}
	if c.wild {
		raw = c.appendWild(raw)
	}
	dst, *scratch = seal(dst, raw)
	return dst
}

// appendWild appends the places of the wildcards, or the word that there are none to be had.
func (c *Cursor) appendWild(raw []byte) []byte {
	end := len(raw)
	if c.base >= c.torn {
		raw[0] |= idBased
		raw = appendBase(raw, c.base)
		for i := range c.recent {
			raw = appendWild(raw, c.recent[i].channel, c.recent[i].at)
		}
		if idLength(len(raw)) <= maxText {
			return raw
		}
	}
	raw[0] = raw[0]&^idBased | idBroken
	return raw[:end]
}
