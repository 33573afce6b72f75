package broker

import (
	"hash/maphash"
	"sync"
)

// index finds the subscriptions of a channel: n+2 map look-ups for one of n segments (Channel.Matching), whatever the
// number of subscriptions, and no tree.
//
// Readers take a snapshot of each list and hold no lock while they use it.
type index struct {
	seed   maphash.Seed
	shards [indexShards]indexShard
}

const indexShards = 64

type indexShard struct {
	mu    sync.RWMutex
	lists [Deep + 1]map[string]*subscribers // by depth and base: substrings of the channel, so look-ups allocate nothing
}

func newIndex() *index {
	x := &index{seed: maphash.MakeSeed()}
	for i := range x.shards {
		for d := range x.shards[i].lists {
			x.shards[i].lists[d] = map[string]*subscribers{}
		}
	}
	return x
}

func (x *index) shard(base string) *indexShard {
	return &x.shards[maphash.String(x.seed, base)%indexShards]
}

// add puts sub in the list of its pattern, unless it was removed already: unsubscribing may overtake subscribing.
func (x *index) add(sub *subscription) {
	base, d := sub.pattern.Split()
	s := x.shard(base)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.place == removed {
		return
	}
	l := s.lists[d][base]
	if l == nil {
		l = &subscribers{}
		s.lists[d][base] = l
	}
	l.add(sub)
}

// remove takes sub out for good.
func (x *index) remove(sub *subscription) {
	base, d := sub.pattern.Split()
	s := x.shard(base)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lists[d][base]; l != nil && sub.place >= 0 {
		if l.remove(sub); l.count == 0 {
			delete(s.lists[d], base)
		}
	}
	sub.place = removed
}

// match appends to lists the snapshots of every non-empty list that c is in.
func (x *index) match(c Channel, lists []snapshot) []snapshot {
	for base, d := range c.Matching() {
		s := x.shard(base)
		s.mu.RLock()
		if l := s.lists[d][base]; l != nil {
			lists = append(lists, l.snapshot())
		}
		s.mu.RUnlock()
	}
	return lists
}

// list is the snapshot of one pattern's list.
func (x *index) list(p Pattern) snapshot {
	base, d := p.Split()
	s := x.shard(base)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l := s.lists[d][base]; l != nil {
		return l.snapshot()
	}
	return snapshot{}
}

// subscribers is one pattern's list, guarded by its shard. It is copy-on-write in chunks, so that a subscription to
// a pattern that a hundred thousand sessions share copies a few kilobytes and not the whole list.
type subscribers struct {
	chunks [][]*subscription
	count  int
}

// snapshot is a list as it was at one moment; nobody changes it.
type snapshot struct {
	chunks [][]*subscription
	count  int
}

const (
	chunkSize = 256

	// Values of subscription.place that are no place.
	pending = -1 // not yet added
	removed = -2
)

func (l *subscribers) snapshot() snapshot { return snapshot(*l) }

func (l *subscribers) add(sub *subscription) {
	chunks := make([][]*subscription, len(l.chunks), len(l.chunks)+1)
	copy(chunks, l.chunks)
	if l.count%chunkSize == 0 {
		// Small lists are the many: let a chunk grow by append.
		chunks = append(chunks, nil)
	}
	last := len(chunks) - 1
	// Appending writes beyond the length that any snapshot sees.
	chunks[last] = append(chunks[last], sub)
	sub.place = int32(l.count)
	l.chunks = chunks
	l.count++
}

// remove puts the last subscription in the place of sub. Both chunks it changes are copied.
func (l *subscribers) remove(sub *subscription) {
	chunks := make([][]*subscription, len(l.chunks))
	copy(chunks, l.chunks)
	last := len(chunks) - 1
	tail := chunks[last]
	moved := tail[len(tail)-1]
	if len(tail) == 1 {
		chunks = chunks[:last]
	} else {
		chunks[last] = append(make([]*subscription, 0, cap(tail)), tail[:len(tail)-1]...)
	}
	if moved != sub {
		at := int(sub.place) / chunkSize
		if at != last {
			chunks[at] = append(make([]*subscription, 0, chunkSize), chunks[at]...)
		}
		chunks[at][sub.place%chunkSize] = moved
		moved.place = sub.place
	}
	l.chunks = chunks
	l.count--
}
