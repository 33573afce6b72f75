package outbox

import (
	"cmp"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options sets limits. Zero values mean the defaults.
type Options struct {
	Shards       int           // workers; 0 means one per core
	WriteTimeout time.Duration // how long a socket may take nothing; 0 means 10 seconds
	MaxPending   int           // bytes given to Write that may wait for a socket; 0 means 256 KiB
}

// Outbox is a set of shards. Make one per process.
type Outbox struct {
	opts   Options
	shards []*shard
	next   atomic.Uint32 // shard of the next connection
	stop   chan struct{}
	done   sync.WaitGroup
	pool   sync.Pool // of *Scratch
	rung   sync.Pool // of *rung
}

// Why a connection was closed by the outbox.
var (
	ErrClosed  = errors.New("the connection is closed")
	ErrPending = errors.New("the peer does not read: too much waits for it")
)

// New starts the workers.
func New(o Options) *Outbox {
	o.Shards = cmp.Or(o.Shards, runtime.GOMAXPROCS(0))
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.MaxPending = cmp.Or(o.MaxPending, 256<<10)
	x := &Outbox{opts: o, stop: make(chan struct{})}
	x.pool.New = func() any { return new(Scratch) }
	x.rung.New = func() any { r := make(rung, o.Shards); return &r }
	for i := range o.Shards {
		s := &shard{outbox: x, number: i, signal: make(chan struct{}, 1)}
		x.shards = append(x.shards, s)
		x.done.Go(func() { s.run(x.stop) })
	}
	return x
}

// Close ends the workers and waits for them and for parked writes. Connections are their owners' to close, before.
func (x *Outbox) Close() {
	close(x.stop)
	x.done.Wait()
}

// scratch is for writes outside the workers.
func (x *Outbox) scratch() *Scratch { return x.pool.Get().(*Scratch) }

func (x *Outbox) giveBack(sc *Scratch) {
	sc.forget()
	x.pool.Put(sc)
}

// Attach makes nc a connection of the outbox, served from src. From now on nothing else may write to nc, and
// it is closed by Conn.Close and Conn.Finish only.
func (x *Outbox) Attach(nc net.Conn, src Source) *Conn {
	s := x.shards[int(x.next.Add(1))%len(x.shards)]
	return &Conn{shard: s, nc: nc, src: src, fd: int32(rawFD(nc))}
}

// Stats counts what the outbox did. Counters only grow; Parked is what is now.
type Stats struct {
	Writes, Bytes uint64 // system calls that wrote something, and what they wrote
	Parks         uint64 // times a socket took no more
	Timeouts      uint64 // connections closed because they took nothing for WriteTimeout, or failed
	Overflows     uint64 // connections closed because MaxPending was reached
	Parked        int64
}

type counters struct {
	writes, bytes, parks, timeouts, overflows atomic.Uint64
	parked                                    atomic.Int64
}

// Stats counts. What a worker has written it waits for to be counted.
func (x *Outbox) Stats() (sum Stats) {
	for _, s := range x.shards {
		s.turn.Lock()
		c := &s.stats
		sum.Writes += c.writes.Load()
		sum.Bytes += c.bytes.Load()
		sum.Parks += c.parks.Load()
		sum.Timeouts += c.timeouts.Load()
		sum.Overflows += c.overflows.Load()
		sum.Parked += c.parked.Load()
		s.turn.Unlock()
	}
	return sum
}

// shard is one worker and the connections that have something to send.
type shard struct {
	outbox *Outbox       // static
	number int           // static: its place in the outbox
	signal chan struct{} // capacity 1: there is a list
	stats  counters      // its own: one that all cores count in would go from cache to cache with every write

	mu   sync.Mutex
	list []*Conn // guarded by mu, as is Conn.ready

	turn    sync.Mutex // held by run while it writes to some, until that is counted
	scratch Scratch    // owned by run
	spare   []*Conn    // owned by run: the backing array of the next list
}

// add puts those on the list that are not there yet.
func (s *shard) add(conns ...*Conn) {
	s.mu.Lock()
	first := len(s.list) == 0
	for _, c := range conns {
		if !c.ready {
			c.ready = true
			s.list = append(s.list, c)
		}
	}
	first = first && len(s.list) > 0
	s.mu.Unlock()
	if first {
		select {
		case s.signal <- struct{}{}:
		default:
		}
	}
}

// count puts what a scratch has counted into the stats.
func (s *shard) count(sc *Scratch) {
	if sc.writes > 0 {
		s.stats.writes.Add(sc.writes)
		s.stats.bytes.Add(sc.bytes)
		sc.writes, sc.bytes = 0, 0
	}
}

func (s *shard) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-s.signal:
		}
		for s.round() {
		}
		s.scratch.forget()
	}
}

// round serves every connection on the list, and tells whether there was one.
func (s *shard) round() bool {
	// Joining what arrives together is worth four times everything else, so those who are about to publish go first.
	// When nobody is, this costs nothing.
	runtime.Gosched()
	s.mu.Lock()
	list := s.list
	s.list = s.spare[:0]
	s.mu.Unlock()
	for some := range slices.Chunk(list, together) {
		s.serve(some)
	}
	clear(list)
	s.spare = list
	return len(list) > 0
}

// together is how many connections a shard notes, prefetches and counts at a time: noting and counting cost several locked operations, of which a delivery has few.
const together = 32

func (s *shard) serve(conns []*Conn) {
	s.mu.Lock()
	for _, c := range conns {
		c.ready = false // before looking, so that what comes after the look is announced again
	}
	s.mu.Unlock()
	s.turn.Lock()
	if len(conns) > 1 {
		for _, c := range conns {
			c.src.Prefetch()
		}
	}
	for _, c := range conns {
		c.flush(&s.scratch)
	}
	s.count(&s.scratch)
	s.turn.Unlock()
}
