package park

import (
	"cmp"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Lot is a set of loops. Make one per process. Nothing runs before the first socket is parked.
type Lot struct {
	loops   int // static
	next    atomic.Uint32
	started sync.Once

	mu     sync.Mutex // guards the rest
	err    error      // why there are no loops
	list   []*loop    // does not change once it is there
	closed bool

	done sync.WaitGroup // the loops' goroutines
}

// Errors of Park.
var (
	ErrNotPlain = errors.New("the connection is no plain socket, or the system has no epoll")
	ErrClosed   = errors.New("the lot is closed")
)

// New makes a lot of so many loops; 0 means one per core.
func New(loops int) *Lot { return &Lot{loops: cmp.Or(max(loops, 0), runtime.GOMAXPROCS(0))} }

// loop gives a loop for a new socket, and starts them all for the first.
func (x *Lot) loop() (*loop, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	x.started.Do(func() { x.list, x.err = x.start() })
	if x.err != nil {
		return nil, x.err
	}
	return x.list[int(x.next.Add(1))%len(x.list)], nil
}

func (x *Lot) start() (list []*loop, err error) {
	for range x.loops {
		p, err := newPoller()
		if err != nil {
			for _, l := range list {
				_ = l.poller.close() // it was not used
			}
			return nil, err
		}
		list = append(list, &loop{lot: x, poller: p, signal: make(chan struct{}, spares), workers: 1})
	}
	for _, l := range list {
		l.watch = time.AfterFunc(time.Hour, l.look)
		l.watch.Stop()
		x.done.Go(l.wait)
		x.done.Go(l.work)
	}
	return list, nil
}

// Close runs what is on the lists, ends the loops and waits for them. Sockets are their owners' to close, before; a Ring that comes
// later is served by a goroutine of its own.
func (x *Lot) Close() {
	x.mu.Lock()
	list, first := x.list, !x.closed
	x.closed = true
	x.mu.Unlock()
	if first {
		for _, l := range list {
			l.stop()
		}
	}
	x.done.Wait()
}

// loop is one epoll set and those who are on it.
type loop struct {
	// static
	lot    *Lot
	poller *poller
	signal chan struct{} // capacity spares: one that waits is to take from the list

	table table

	mu       sync.Mutex // guards the rest
	list     []*Socket  // from head on: to be run, in order
	head     int
	taken    uint64 // sockets that workers took from the list
	seen     uint64 // taken, when watch looked last
	workers  int    // those that wait and those that are away are some of them
	waiting  int    // for the signal
	excess   int    // of those that have been signalled, these are to end
	away     int    // may be waiting for something else
	watching bool
	watch    *time.Timer
	stopped  bool
}

// wait is the goroutine of the epoll set. It ends when that is closed.
func (l *loop) wait() {
	var ready []happening
	var list []*Socket
	l.poller.wait(func(events []event) {
		ready = l.table.find(ready[:0], events)
		list = list[:0]
		for _, r := range ready {
			if r.socket.post(r.what) {
				list = append(list, r.socket)
			}
		}
		l.add(list...)
		clear(ready)
		clear(list)
	})
}

// add puts sockets on the list.
func (l *loop) add(sockets ...*Socket) {
	if len(sockets) == 0 {
		return
	}
	l.mu.Lock()
	if l.stopped && l.workers == 0 {
		l.mu.Unlock()
		for _, s := range sockets {
			go s.run(newWorker())
		}
		return
	}
	l.list = append(l.list, sockets...)
	if l.workers == l.waiting+l.away {
		l.rouse()
	}
	l.lookLater()
	l.mu.Unlock()
}

// lookLater has look called in a while; mu is held.
func (l *loop) lookLater() {
	if !l.watching {
		l.watching = true
		l.watch.Reset(patience)
	}
}

// rouse has one worker more run the list; mu is held.
func (l *loop) rouse() {
	if l.waiting > 0 {
		l.waiting--
		l.signal <- struct{}{} // there is room: no more than those who waited are owed one
		return
	}
	l.workers++
	l.lot.done.Go(l.work)
}

// work runs what is on the list.
func (l *loop) work() {
	w := newWorker()
	w.loop = l
	for s := l.take(); s != nil; s = l.take() {
		s.run(w)
	}
}

// take waits for the next socket; nil: the worker is not needed any more.
func (l *loop) take() *Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.head == len(l.list) {
		if l.list, l.head = l.list[:0], 0; cap(l.list) > largeList {
			l.list = nil
		}
		if l.stopped || l.waiting == spares {
			l.workers--
			return nil
		}
		l.waiting++
		l.mu.Unlock()
		<-l.signal
		runtime.Gosched() // those who are about to ring go first: then a socket is run once for what several have to say
		l.mu.Lock()
		if l.excess > 0 {
			if l.excess--; l.head == len(l.list) { // else there is work again, and nobody else was told of it
				l.workers--
				return nil
			}
		}
	}
	s := l.list[l.head]
	l.list[l.head] = nil
	l.head++
	l.taken++
	return s
}

// spares is how many workers of a loop wait at most, and one when it has nothing to do. One is enough, but for owners that wait: to make a worker for each
// time, and for its stack to grow, would cost more than most of what they do.
const spares = 8

// largeList is more than an idle loop keeps room for.
const largeList = 8 << 10

// patience is how long a worker may be at one socket while others are on the list.
const patience = 10 * time.Millisecond

// look runs every so often while there is work. A worker that has taken nothing since the last time stands in an owner that
// blocks and has not said so: another takes its place. When there is no work any more, one worker is left to wait.
func (l *loop) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.list) || l.stopped && l.workers == 0 {
		l.watching = false
		for ; l.waiting > 1; l.waiting-- {
			l.excess++
			l.signal <- struct{}{}
		}
		return
	}
	if l.taken == l.seen {
		l.rouse()
	}
	l.seen = l.taken
	l.watch.Reset(patience)
}

func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	for ; l.waiting > 0; l.waiting-- {
		l.signal <- struct{}{}
	}
	l.mu.Unlock()
	_ = l.poller.close() // and so ends wait
}
