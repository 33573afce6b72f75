package broker

import (
	"container/list"
	"slices"
	"sort"
	"sync"
	"time"
)

// channelLog is one channel in a memory engine: its offsets, its kept messages and its recent idempotency keys.
type channelLog struct {
	// static
	engine  *MemoryEngine
	channel Channel
	epoch   uint64
	place   *list.Element // in the shard's used list; guarded by the shard

	mu      sync.Mutex // guards the rest
	dead    bool       // forgotten: a publisher that still holds it must look the channel up again
	last    uint64     // newest offset given out
	lost    uint64     // newest offset that fell out of the history by a limit; what Remove takes is not lost
	touched time.Time
	age     time.Duration
	items   []*Message // kept messages by offset, from head on
	head    int
	bytes   int64 // of the kept messages
	keys    keyWindow
}

func (l *channelLog) kept() []*Message { return l.items[l.head:] }

// push stores m under the retention, which may have changed since the last message. What was too old before is gone, even if it
// would not be any more.
func (l *channelLog) push(m *Message, keep Retention, now time.Time) {
	l.expire(now)
	l.age = keep.Age
	if keep.Size <= 0 {
		if len(l.kept()) > 0 {
			l.engine.forgotten.Add(1)
		}
		l.drop(len(l.kept()))
		l.lost = l.last
		return
	}
	l.items = append(l.items, m)
	l.count(1, int64(m.Size()))
	l.drop(l.over(keep))
	l.expire(now)
}

// over is how many of the oldest messages are more than the retention has room for.
func (l *channelLog) over(keep Retention) int {
	kept, bytes := l.kept(), l.bytes
	n := max(len(kept)-keep.Size, 0)
	for _, m := range kept[:n] {
		bytes -= int64(m.Size())
	}
	for ; keep.Bytes > 0 && bytes > keep.Bytes && n < len(kept)-1; n++ {
		bytes -= int64(kept[n].Size())
	}
	return n
}

// count notes messages that came, or went.
func (l *channelLog) count(messages, bytes int64) {
	l.bytes += bytes
	l.engine.messages.Add(messages)
	l.engine.bytes.Add(bytes)
}

// expire drops what is older than the channel's age limit.
func (l *channelLog) expire(now time.Time) {
	if l.age <= 0 {
		return
	}
	kept := l.kept()
	n := 0
	for n < len(kept) && now.Sub(kept[n].Time) > l.age {
		n++
	}
	l.drop(n)
}

// drop loses the n oldest messages.
func (l *channelLog) drop(n int) {
	if n == 0 {
		return
	}
	kept := l.kept()
	bytes := int64(0)
	for _, m := range kept[:n] {
		bytes += int64(m.Size())
	}
	l.count(-int64(n), -bytes)
	l.lost = kept[n-1].Position.Offset
	clear(kept[:n])
	l.head += n
	switch {
	case l.head == len(l.items):
		l.items, l.head = nil, 0
	case l.head > 32 && l.head > len(l.items)/2:
		l.items, l.head = slices.Clone(l.kept()), 0
	}
}

// remove takes the newest message with this id out, and tells whether there was one.
func (l *channelLog) remove(id string) bool {
	kept := l.kept()
	i := len(kept) - 1
	for i >= 0 && kept[i].ID != id {
		i--
	}
	if i < 0 {
		return false
	}
	l.count(-1, -int64(kept[i].Size()))
	l.items = slices.Delete(l.items, l.head+i, l.head+i+1)
	return true
}

// page reads a range; the history has been expired.
func (l *channelLog) page(r Range) (Page, error) {
	kept := l.kept()
	from, to := 0, len(kept)
	if !r.After.IsZero() {
		if r.After.Epoch != l.epoch || r.After.Offset > l.last || r.After.Offset < l.lost {
			return Page{}, errHistoryLost(l.channel)
		}
		from = sort.Search(len(kept), func(i int) bool { return kept[i].Position.Offset > r.After.Offset })
	}
	if !r.Before.IsZero() {
		if r.Before.Epoch != l.epoch || r.Before.Offset > l.last+1 {
			return Page{}, errHistoryLost(l.channel)
		}
		to = max(from, sort.Search(len(kept), func(i int) bool { return kept[i].Position.Offset >= r.Before.Offset }))
	}
	p := Page{Total: len(kept), Complete: true}
	if l.last > 0 {
		p.Last = Position{Epoch: l.epoch, Offset: l.last}
	}
	var found []*Message
	found, p.Complete = r.Pick(kept[from:to])
	if len(found) > 0 {
		p.Messages = slices.Clone(found)
		p.Index = slices.Index(kept, found[0])
	}
	return p, nil
}

// Pick takes what IDs, Limit and Newest ask for out of messages that lie between After and Before, for engines. all is false if Limit
// left something out. What it returns may be a part of messages.
func (r Range) Pick(messages []*Message) (picked []*Message, all bool) {
	if r.IDs != nil {
		messages = withIDs(messages, r.IDs)
	}
	switch {
	case r.Limit <= 0 || len(messages) <= r.Limit:
		return messages, true
	case r.Newest:
		return messages[len(messages)-r.Limit:], false
	default:
		return messages[:r.Limit], false
	}
}

// withIDs picks the messages with these ids; the channel waits meanwhile, so not by comparing each with each.
func withIDs(messages []*Message, ids []string) []*Message {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	return slices.DeleteFunc(slices.Clone(messages), func(m *Message) bool { return !wanted[m.ID] })
}

func errHistoryLost(c Channel) error {
	return Errorf(HistoryLost, "channel %s no longer keeps everything after that position", c)
}

// keyWindow remembers the receipts of recent idempotency keys, oldest first.
type keyWindow struct {
	byKey map[string]Receipt
	order []keyEntry
}

type keyEntry struct {
	key     string
	expires time.Time
}

func (w *keyWindow) find(key string, now time.Time) (Receipt, bool) {
	if key == "" {
		return Receipt{}, false
	}
	w.expire(now)
	r, ok := w.byKey[key]
	return r, ok
}

func (w *keyWindow) add(key string, r Receipt, now time.Time, window time.Duration, most int) {
	if w.byKey == nil {
		w.byKey = map[string]Receipt{}
	}
	if len(w.order) >= most {
		w.forget(len(w.order) - most + 1)
	}
	w.byKey[key] = r
	w.order = append(w.order, keyEntry{key, now.Add(window)})
}

func (w *keyWindow) expire(now time.Time) {
	n := 0
	for n < len(w.order) && !now.Before(w.order[n].expires) {
		n++
	}
	w.forget(n)
}

func (w *keyWindow) forget(n int) {
	for _, e := range w.order[:n] {
		delete(w.byKey, e.key)
	}
	w.order = w.order[n:]
	if len(w.order) == 0 {
		*w = keyWindow{}
	}
}
