package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Report is what Check found.
type Report struct {
	Realms   int // that have channels
	Channels int
	Messages int   // kept, or lost and not yet off the disk
	Bytes    int64 // of them
	Keys     int   // idempotency keys
	Records  int   // of stores

	Faults []string // the first hundred, each a sentence
	More   int      // faults beyond those
}

// mostFaults is how many are told.
const mostFaults = 100

// Check reads everything, and says what does not fit together: blocks against their checksums, every record against its form, each
// channel's messages against its head's counts and limits, and its index of ids against the messages, both ways. The error is ctx's.
func (r *Reading) Check(ctx context.Context) (Report, error) {
	c := &checking{ctx: ctx, db: r.db}
	if err := r.db.pebble.CheckLevels(nil); err != nil {
		c.fault("the files: %v", err)
	}
	c.facts()
	c.records()
	c.keys()
	c.channels()
	c.orphans(messageKind, "messages")
	c.orphans(itemKind, "an index of ids")
	return c.Report, ctx.Err()
}

// checking is a check under way.
type checking struct {
	Report
	ctx context.Context
	db  *DB
}

func (c *checking) fault(format string, args ...any) {
	if len(c.Faults) == mostFaults {
		c.More++
		return
	}
	c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
}

// each reads the keys of a range; what cannot be read is a fault.
func (c *checking) each(what string, from, to []byte, yield func(it *pebble.Iterator)) {
	it, err := c.db.pebble.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		c.fault("reading %s: %v", what, err)
		return
	}
	for ok := it.First(); ok && c.ctx.Err() == nil; ok = it.Next() {
		yield(it)
	}
	if err := it.Close(); err != nil {
		c.fault("reading %s: %v", what, err)
	}
}

// cutText cuts a text that ends with a zero byte.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	t, rest, ok := bytes.Cut(b, []byte{0})
	return string(t), rest, ok
}

// facts looks at the kinds of keys that there are, and at those that are facts.
func (c *checking) facts() {
	kinds := []byte{headKind, messageKind, itemKind, keyKind, recordKind, metaKind}
	it, err := c.db.pebble.NewIter(nil)
	if err != nil {
		c.fault("reading: %v", err)
		return
	}
	for ok := it.First(); ok && c.ctx.Err() == nil; {
		kind := it.Key()[0]
		if bytes.IndexByte(kinds, kind) < 0 {
			c.fault("there are keys of the unknown kind %q", kind)
		}
		if kind == 0xff {
			break
		}
		ok = it.SeekGE([]byte{kind + 1})
	}
	if err := it.Close(); err != nil {
		c.fault("reading: %v", err)
	}
	for _, key := range [][]byte{metaFormat, metaSalt} {
		if v, err := c.db.get(key); err != nil || len(v) != 8 {
			c.fault("the fact %q is missing, or not 8 bytes long: %v", key[1:], err)
		}
	}
}

func (c *checking) records() {
	c.each("records", []byte{recordKind}, []byte{recordKind + 1}, func(it *pebble.Iterator) {
		realm, key, ok := cutText(it.Key()[1:])
		if _, err := decodeRecord(string(key), it.Value()); err != nil || !ok {
			c.fault("realm %s: record %q cannot be read", realm, key)
		}
		c.Records++
	})
}

func (c *checking) keys() {
	c.each("idempotency keys", []byte{keyKind}, []byte{keyKind + 1}, func(it *pebble.Iterator) {
		c.Keys++
		rest := it.Key()[1:]
		if len(rest) < 8 {
			c.fault("the idempotency key %q is too short", rest)
			return
		}
		realm, rest, ok := cutText(rest[8:])
		channel, _, found := cutText(rest)
		r, err := decodeReceipt(it.Value())
		if err != nil || !ok || !found {
			c.fault("realm %s: an idempotency key of channel %s cannot be read", realm, channel)
		} else if at := r.used / bucketSpan; uint64(at) != binary.BigEndian.Uint64(it.Key()[1:]) {
			c.fault("realm %s: an idempotency key of channel %s lies with those of another minute", realm, channel)
		}
	})
}

func (c *checking) channels() {
	last := ""
	c.each("channels", []byte{headKind}, []byte{headKind + 1}, func(it *pebble.Iterator) {
		realm, name, ok := cutText(it.Key()[1:])
		if !ok {
			c.fault("the head %q names no realm", it.Key())
			return
		}
		if realm != last || c.Realms == 0 {
			c.Realms, last = c.Realms+1, realm
		}
		c.Channels++
		channel, err := broker.ParseChannel(string(name))
		if err != nil {
			c.fault("realm %s: %v", realm, err)
			return
		}
		h, err := decodeHead(it.Value())
		if err != nil {
			c.fault("realm %s, channel %s: its head cannot be read", realm, channel)
			return
		}
		c.channel(&checkedChannel{checking: c, realm: realm, name: channel, head: h, newest: map[string]uint64{}, ids: map[uint64]string{}})
	})
}

// orphans looks for messages and items of channels without a head.
func (c *checking) orphans(kind byte, what string) {
	it, err := c.db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		c.fault("reading %s: %v", what, err)
		return
	}
	for ok := it.First(); ok && c.ctx.Err() == nil; {
		realm, rest, _ := cutText(it.Key()[1:])
		name, _, found := cutText(rest)
		if !found {
			c.fault("%s: the key %q names no channel", what, it.Key())
			ok = it.Next()
			continue
		}
		if b, err := c.db.get(headKey(realm, broker.Channel(name))); err != nil || b == nil {
			c.fault("realm %s, channel %s: there are %s, and no head", realm, name, what)
		}
		ok = it.SeekGE(after(channelKey(kind, realm, broker.Channel(name))))
	}
	if err := it.Close(); err != nil {
		c.fault("reading %s: %v", what, err)
	}
}

// checkedChannel is one channel.
type checkedChannel struct {
	*checking
	realm  string
	name   broker.Channel
	head   head
	newest map[string]uint64 // offset of the newest message with an id
	ids    map[uint64]string // by offset
}

func (c *checkedChannel) fault(format string, args ...any) {
	c.checking.fault("realm %s, channel %s: %s", c.realm, c.name, fmt.Sprintf(format, args...))
}

// channel holds one channel's parts against one another.
func (c *checking) channel(ch *checkedChannel) {
	h := &ch.head
	if h.swept > h.lost || h.lost > h.last || h.count > h.last-h.lost || h.bytes < 0 {
		ch.fault("its head makes no sense: %+v", *h)
	}
	count, size := uint64(0), int64(0)
	messages := channelKey(messageKind, ch.realm, ch.name)
	c.each("messages", messages, after(messages), func(it *pebble.Iterator) {
		if len(it.Key()) != len(messages)+8 {
			ch.fault("the key %q is none of a message", it.Key())
			return
		}
		offset := offsetOf(it.Key())
		c.Messages++
		if offset <= h.swept || offset > h.last {
			ch.fault("message %d is outside of its history, %d to %d", offset, h.swept+1, h.last)
		}
		if offset > h.lost {
			count++
		}
		size += ch.message(offset, it.Value())
	})
	c.Bytes += size
	if count != h.count {
		ch.fault("it has %d messages, and counts %d", count, h.count)
	}
	if size != h.bytes {
		ch.fault("its messages have %d bytes, and it counts %d", size, h.bytes)
	}
	items := channelKey(itemKind, ch.realm, ch.name)
	indexed := map[string]bool{}
	c.each("an index of ids", items, after(items), func(it *pebble.Iterator) {
		id := string(it.Key()[len(items):])
		indexed[id] = true
		if v := it.Value(); len(v) != 8 || ch.ids[binary.BigEndian.Uint64(v)] != id {
			ch.fault("the index of ids says that %s is message %x, which it is not", broker.Quote(id), v)
		} else if at := binary.BigEndian.Uint64(v); at != ch.newest[id] && ch.newest[id] > h.lost {
			ch.fault("the index of ids says that the newest %s is message %d, which is %d", broker.Quote(id), at, ch.newest[id])
		}
	})
	for id, offset := range ch.newest {
		if offset > h.lost && !indexed[id] {
			ch.fault("message %d, %s, is missing in the index of ids", offset, broker.Quote(id))
		}
	}
}

// message looks at one message, and gives its size.
func (c *checkedChannel) message(offset uint64, value []byte) int64 {
	m, err := decodeMessage(value, c.name, broker.Position{})
	if err != nil {
		c.fault("message %d cannot be read", offset)
		return 0
	}
	s, _ := decodeStored(value)
	if s.size != int64(m.Size()) {
		c.fault("message %d has %d bytes, and says that it has %d", offset, m.Size(), s.size)
	}
	if m.Data != nil && !json.Valid(m.Data) || m.Data == nil && len(m.Formats) == 0 {
		c.fault("message %d is not JSON", offset)
	}
	for name, f := range m.Formats {
		if !json.Valid(f) {
			c.fault("message %d has a format %s that is not JSON", offset, broker.Quote(name))
		}
	}
	if p := s.previous; p >= offset || p > c.head.lost && c.ids[p] != m.ID {
		c.fault("message %d says that message %d has its id, which has not", offset, p)
	}
	c.newest[m.ID], c.ids[offset] = offset, m.ID
	return s.size
}
