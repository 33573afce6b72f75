package broker

import (
	"cmp"
	"container/list"
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryOptions limits a memory engine. Zero values mean the defaults.
type MemoryOptions struct {
	MaxChannels int           // channels with state; 0 means 100,000. Beyond it the least recently used lose theirs
	MaxBytes    int64         // of kept messages, by Message.Size; 0 means 256 MiB. Beyond it likewise
	Window      time.Duration // how long an idempotency key is remembered; 0 means 2 minutes
	MaxKeys     int           // idempotency keys remembered per channel; 0 means 10,000, then the oldest is forgotten
	Sweep       time.Duration // how often idle channels are looked at; 0 means 15 seconds
}

// MemoryEngine keeps everything in RAM, in one process. Publish returns when the message is stored and handed to
// every local session. A channel that has had nothing to remember for a window is forgotten; if it comes back, it
// starts a new epoch.
//
// Locks: shard.mu before log.mu. log.mu is held while a message is delivered, which is what makes storing and
// delivering one step; delivering never blocks.
type MemoryEngine struct {
	opts    MemoryOptions
	seed    maphash.Seed
	deliver func(*Message) int
	shards  [memoryShards]memoryShard

	channels, messages, bytes atomic.Int64
	evicted, forgotten        atomic.Uint64
	closed                    atomic.Bool
	stop                      chan struct{}
	sweeper                   sync.WaitGroup
}

const memoryShards = 64

type memoryShard struct {
	mu   sync.Mutex
	logs map[Channel]*channelLog
	used list.List // of *channelLog, most recently published first
}

var _ Engine = (*MemoryEngine)(nil)

// NewMemoryEngine makes an empty engine.
func NewMemoryEngine(o MemoryOptions) *MemoryEngine {
	o.MaxChannels = cmp.Or(o.MaxChannels, 100_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)
	o.Window = cmp.Or(o.Window, 2*time.Minute)
	o.MaxKeys = cmp.Or(o.MaxKeys, 10_000)
	o.Sweep = cmp.Or(o.Sweep, 15*time.Second)
	e := &MemoryEngine{opts: o, seed: maphash.MakeSeed(), stop: make(chan struct{})}
	for i := range e.shards {
		e.shards[i].logs = map[Channel]*channelLog{}
	}
	return e
}

// Start implements Engine.
func (e *MemoryEngine) Start(deliver func(*Message) int) error {
	e.deliver = deliver
	e.sweeper.Go(e.sweep)
	return nil
}

// Publish implements Engine.
func (e *MemoryEngine) Publish(_ context.Context, a Append) (Receipt, error) {
	for {
		if e.closed.Load() {
			return Receipt{}, errEngineClosed
		}
		l := e.open(a.Message.Channel)
		if r, ok := e.append(l, a); ok {
			e.evict(l)
			return r, nil
		}
		// The log was forgotten between open and append: take its successor.
	}
}

var errEngineClosed = &Error{Kind: Closed, Text: "the server has shut down"}

// append is the one step: order, storage and delivery under the channel's lock. ok is false for a dead log.
func (e *MemoryEngine) append(l *channelLog, a Append) (r Receipt, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || e.closed.Load() {
		return Receipt{}, false
	}
	m, now := a.Message, time.Now()
	if first, ok := l.keys.find(a.Key, now); ok {
		first.Duplicate, first.Receivers = true, 0
		return first, true
	}
	if a.Replace {
		l.remove(m.ID)
	}
	l.last++
	l.touched = now
	m.Position = Position{Epoch: l.epoch, Offset: l.last}
	l.push(m, a.Keep, now)
	r = Receipt{ID: m.ID, Position: m.Position, Receivers: e.deliver(m)}
	if a.Key != "" {
		l.keys.add(a.Key, r, now, e.opts.Window, e.opts.MaxKeys)
	}
	return r, true
}

// History implements Engine.
func (e *MemoryEngine) History(_ context.Context, c Channel, r Range) (Page, error) {
	if e.closed.Load() {
		return Page{}, errEngineClosed
	}
	l := e.find(c)
	if l == nil {
		if !r.After.IsZero() || !r.Before.IsZero() {
			return Page{}, errHistoryLost(c)
		}
		return Page{Complete: true}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	return l.page(r)
}

// Remove implements Engine.
func (e *MemoryEngine) Remove(_ context.Context, c Channel, id string, notify bool) error {
	if e.closed.Load() {
		return errEngineClosed
	}
	if l := e.find(c); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.expire(time.Now())
		if l.remove(id) {
			if notify {
				at := Position{Epoch: l.epoch, Offset: l.last}
				e.deliver(&Message{ID: id, Channel: c, Time: time.Now(), Position: at, Retracted: true})
			}
			return nil
		}
	}
	return Errorf(NotFound, "channel %s keeps no item %s", c, Quote(id))
}

// Channels implements Engine.
func (e *MemoryEngine) Channels(_ context.Context, ps Patterns, after Channel, limit int) ([]ChannelInfo, error) {
	if e.closed.Load() {
		return nil, errEngineClosed
	}
	var found []ChannelInfo
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		for c, l := range s.logs {
			if c > after && ps.Match(c) {
				l.mu.Lock()
				l.expire(time.Now())
				if n := len(l.kept()); n > 0 {
					found = append(found, ChannelInfo{Channel: c, Messages: n, Last: Position{l.epoch, l.last}})
				}
				l.mu.Unlock()
			}
		}
		s.mu.Unlock()
		if limit > 0 && len(found) > 2*limit+memoryShards {
			found = firstChannels(found, limit) // what is not wanted need not wait for the end
		}
	}
	return firstChannels(found, limit), nil
}

// firstChannels sorts by name and cuts; limit 0: nothing.
func firstChannels(list []ChannelInfo, limit int) []ChannelInfo {
	slices.SortFunc(list, func(a, b ChannelInfo) int { return cmp.Compare(a.Channel, b.Channel) })
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list
}

// Stats implements Engine.
func (e *MemoryEngine) Stats() EngineStats {
	return EngineStats{
		Channels: int(e.channels.Load()), Messages: int(e.messages.Load()),
		Bytes: e.bytes.Load(), Evicted: e.evicted.Load(), Mark: e.forgotten.Load(),
	}
}

// Close implements Engine.
func (e *MemoryEngine) Close() error {
	if e.closed.CompareAndSwap(false, true) {
		close(e.stop)
		e.sweeper.Wait()
		for i := range e.shards { // wait for a publish that was under way
			s := &e.shards[i]
			s.mu.Lock()
			for _, l := range s.logs {
				l.mu.Lock()
				l.dead = true
				l.mu.Unlock()
			}
			s.mu.Unlock()
		}
	}
	return nil
}

func (e *MemoryEngine) shard(c Channel) *memoryShard {
	return &e.shards[maphash.String(e.seed, string(c))%memoryShards]
}

func (e *MemoryEngine) find(c Channel) *channelLog {
	s := e.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[c]
}

// open gives the channel's log, new if need be, as the most recently used of its shard.
func (e *MemoryEngine) open(c Channel) *channelLog {
	s := e.shard(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[c]
	if l == nil {
		l = &channelLog{engine: e, channel: c, epoch: rand.Uint64(), touched: time.Now()}
		l.place = s.used.PushFront(l)
		s.logs[c] = l
		e.channels.Add(1)
	} else {
		s.used.MoveToFront(l.place)
	}
	return l
}

// evict forgets the least recently used channels while the engine is over a limit, and last of all the oldest
// messages of own, the channel that was just published to.
func (e *MemoryEngine) evict(own *channelLog) {
	for e.over() && e.evictOne(own) {
		e.evicted.Add(1)
		e.forgotten.Add(1)
	}
	if e.bytes.Load() > e.opts.MaxBytes {
		own.mu.Lock()
		defer own.mu.Unlock()
		for e.bytes.Load() > e.opts.MaxBytes && len(own.kept()) > 1 {
			own.drop(1)
		}
	}
}

func (e *MemoryEngine) over() bool {
	return e.bytes.Load() > e.opts.MaxBytes || int(e.channels.Load()) > e.opts.MaxChannels
}

// evictOne forgets the least recently used channel of some shard, beginning anywhere: exact LRU over all shards
// would need one lock for all publishers.
func (e *MemoryEngine) evictOne(own *channelLog) bool {
	first := rand.IntN(memoryShards)
	for i := range memoryShards {
		s := &e.shards[(first+i)%memoryShards]
		s.mu.Lock()
		if oldest := s.used.Back(); oldest != nil && oldest.Value != own {
			e.forget(s, oldest.Value.(*channelLog))
			s.mu.Unlock()
			return true
		}
		s.mu.Unlock()
	}
	return false
}

// forget drops a log; s.mu is held.
func (e *MemoryEngine) forget(s *memoryShard, l *channelLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(len(l.kept()))
	l.dead = true
	s.used.Remove(l.place)
	delete(s.logs, l.channel)
	e.channels.Add(-1)
}

// sweep expires histories nobody touches and forgets the channels that have nothing left to remember.
func (e *MemoryEngine) sweep() {
	tick := time.NewTicker(e.opts.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case now := <-tick.C:
			for i := range e.shards {
				e.sweepShard(&e.shards[i], now)
			}
		}
	}
}

func (e *MemoryEngine) sweepShard(s *memoryShard, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.logs {
		if !l.mu.TryLock() {
			continue // being published to
		}
		l.expire(now)
		l.keys.expire(now)
		idle := len(l.kept()) == 0 && now.Sub(l.touched) > e.opts.Window // and so are its keys
		l.mu.Unlock()
		if idle {
			e.forget(s, l)
		}
	}
}
