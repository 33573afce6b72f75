package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// assignment is what one worker does: its share of the subscribers.
type assignment struct {
	Target     Target   `json:"target"`
	Token      string   `json:"token,omitempty"`
	Run        uint32   `json:"run"`
	Prefix     string   `json:"prefix"` // of channels' names
	Channels   int      `json:"channels"`
	Publishers int      `json:"publishers"`
	First      int      `json:"first"` // subscriber
	Count      int      `json:"count"`
	Connecting int      `json:"connecting"` // at the same time, at most
	Rate       float64  `json:"rate"`       // connections a second; 0: as fast as it goes
	Locals     []string `json:"locals"`     // addresses to come from, in turn; none: the system's choice
	Link       bool     `json:"link"`       // the component's link is this worker's
}

func (a *assignment) plan() plan { return plan{a.Channels, a.Publishers} }

// channelName is the name of channel i of a run.
func channelName(prefix string, run uint32, i int) string {
	return fmt.Sprintf("%s/%08x/%d", prefix, run, i)
}

// done says that a message has reached all its subscribers of a worker.
type done struct {
	Publisher int    `json:"p"`
	Index     uint64 `json:"j"`
	Micros    int64  `json:"us"` // until the last had it
}

// opened is how connecting went. Its JSON goes from a worker to its coordinator.
type opened struct {
	Connected int       `json:"connected"`
	Failed    int       `json:"failed"`
	Error     string    `json:"error"` // of the first that failed
	Latency   latencies `json:"latency"`
	Waited    float64   `json:"waited"` // seconds, for a component to come
}

// fleet is a worker's subscribers.
type fleet struct {
	assignment
	poller  *poller
	readers sync.WaitGroup // of connections that the poller does not take

	mu       sync.Mutex
	all      []*subscriber
	roster   *roster     // of subscribers that share a link; nil for other transports
	left     map[int]int // subscribers of a channel that were disconnected
	pending  [][]pending // by publisher, then a message's index modulo ringSize
	finished []done      // not yet told
	answers  []said      // likewise
	tally    tally
	wake     chan struct{} // 1: something is in finished or answers
	now      time.Time     // of what is being read
	current  *subscriber   // whose bytes are being read
	ended    bool
}

// subscriber is one connection, or one user of a link, who has neither protocol nor out of his own. Its fields are the fleet's.
type subscriber struct {
	channel  int
	protocol protocol
	out      io.WriteCloser
	tracks   []track // by publisher
	lost     bool    // disconnected
}

// pending is a message on its way to the subscribers.
type pending struct {
	index uint64 // plus one; 0: nothing
	left  int
}

const ringSize = 1 << 14 // messages of a publisher that can be on their way

func newFleet(a assignment) (*fleet, error) {
	f := &fleet{
		assignment: a, left: map[int]int{}, pending: make([][]pending, a.Publishers),
		tally: newTally(), wake: make(chan struct{}, 1),
	}
	for p := range f.pending {
		f.pending[p] = make([]pending, ringSize)
	}
	var err error
	f.poller, err = newPoller(f.begin, f.mu.Unlock)
	return f, err
}

func (f *fleet) begin() {
	f.mu.Lock()
	f.now = time.Now()
}

// connect opens all connections and tells how that goes, from any goroutine.
func (f *fleet) connect(ctx context.Context, progress func(connected, failed int)) *opened {
	var mu sync.Mutex
	result, began := &opened{Latency: newLatencies()}, time.Now()
	if f.Link {
		if err := f.welcome(ctx); err != nil {
			result.Failed, result.Error = f.Count, err.Error()
			return result
		}
		result.Waited = time.Since(began).Seconds()
	}
	start, interval := time.Now(), time.Duration(0)
	if f.Rate > 0 {
		interval = time.Duration(float64(time.Second) / f.Rate)
	}
	next := make(chan int)
	var opening sync.WaitGroup
	for range max(1, f.Connecting) {
		opening.Go(func() {
			for i := range next {
				begin := time.Now()
				if interval > 0 {
					begin = start.Add(time.Duration(i) * interval) // when it was meant to: waiting for a place counts
				}
				err := f.open(ctx, i)
				mu.Lock()
				if err == nil {
					result.Connected++
					result.Latency.record(time.Since(begin))
				} else if result.Failed++; result.Error == "" {
					result.Error = err.Error()
				}
				progress(result.Connected, result.Failed)
				mu.Unlock()
			}
		})
	}
	for i := range f.Count {
		if interval > 0 {
			sleep(ctx, time.Until(start.Add(time.Duration(i)*interval)))
		}
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	opening.Wait()
	return result
}

// open opens the i-th connection of this worker.
func (f *fleet) open(ctx context.Context, i int) error {
	if f.Target.Transport == XMPP {
		return f.join(ctx, i)
	}
	var from net.Addr
	if len(f.Locals) > 0 {
		from = &net.TCPAddr{IP: net.ParseIP(f.Locals[(f.First+i)%len(f.Locals)])}
	}
	l, err := dial(ctx, locate(f.Target.Subscribe), f.Token, from)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	s := &subscriber{
		channel: (f.First + i) % f.Channels, protocol: newProtocol(f.Target.Transport), tracks: make([]track, f.Publishers),
	}
	err = s.protocol.open(ctx, l, channelName(f.Prefix, f.Run, s.channel))
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = l.Close()
		return err
	}
	_ = l.SetDeadline(time.Time{})
	return f.adopt(s, l)
}

// adopt has a subscriber's connection read from now on.
func (f *fleet) adopt(s *subscriber, l *line) error {
	early := l.leftover()
	f.mu.Lock() // whatever arrives meanwhile comes after early
	defer f.mu.Unlock()
	if f.ended {
		_ = l.Close()
		return context.Canceled
	}
	out, taken, err := f.poller.take(l.Conn, func(b []byte, err error) { f.arrived(s, b, err) })
	if err != nil {
		_ = l.Close()
		return err
	}
	s.out = l.Conn
	if taken {
		s.out = out
	} else {
		f.readers.Go(func() { f.read(s, l.Conn) })
	}
	f.all = append(f.all, s)
	if len(early) > 0 {
		f.now = time.Now()
		f.arrived(s, early, nil)
	}
	return nil
}

// read is what a connection that the poller does not take has a goroutine for.
func (f *fleet) read(s *subscriber, nc net.Conn) {
	b := make([]byte, 4<<10)
	for {
		n, err := nc.Read(b)
		f.begin()
		if n > 0 {
			f.arrived(s, b[:n], nil)
		}
		if err != nil {
			f.arrived(s, nil, err)
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// arrived takes what has come for s. f.mu is held, and f.now is when it came.
func (f *fleet) arrived(s *subscriber, b []byte, err error) {
	if s.lost || f.ended {
		return
	}
	f.current = s
	if err == nil {
		err = s.protocol.feed(b, s.out, f.see)
	}
	if err != nil {
		s.lost = true
		f.left[s.channel]++
		if f.tally.Disconnected++; f.tally.Reason == "" {
			f.tally.Reason = err.Error()
		}
		_ = s.out.Close()
	}
}

// see counts a message that f.current got.
func (f *fleet) see(m stamp) {
	s, t := f.current, &f.tally
	if m.run != f.Run || m.channel != s.channel || m.publisher >= f.Publishers {
		t.Strays++
		return
	}
	verdict, givenUp := s.tracks[m.publisher].see(m.n)
	t.Lost += givenUp
	switch verdict {
	case earlier:
		return
	case repeated:
		t.Repeated++
		return
	case late:
		t.OutOfOrder++
	case inOrder:
	}
	t.Deliveries++
	latency := time.Duration(f.now.UnixNano() - m.at)
	t.Latency.record(latency)

	index := f.plan().index(m.publisher, m.channel, m.n)
	p := &f.pending[m.publisher][index%ringSize]
	if p.index != index+1 {
		*p = pending{index + 1, f.plan().members(f.First, f.Count, m.channel) - f.left[m.channel]}
	}
	if p.left--; p.left == 0 {
		f.finished = append(f.finished, done{m.publisher, index, latency.Microseconds()})
		f.awaken()
	}
}

// takeFinished gives what was finished since the last time, and what the component said.
func (f *fleet) takeFinished() ([]done, []said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, s := f.finished, f.answers
	f.finished, f.answers = nil, nil
	return d, s
}

// awaken has it told. f.mu is held.
func (f *fleet) awaken() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// mark begins to count anew, when the publishers have published that much. Who is gone stays gone.
func (f *fleet) mark(published []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Latency.reset()
	f.tally = tally{Latency: f.tally.Latency, Disconnected: f.tally.Disconnected, Reason: f.tally.Reason}
	for _, s := range f.all {
		for p := range s.tracks {
			s.tracks[p].skip(f.plan().sentTo(p, published[p], s.channel))
		}
	}
}

// report is what was seen since the mark, when the publishers have published that much.
func (f *fleet) report(published []uint64) tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tally
	t.Latency = newLatencies()
	t.Latency.add(f.tally.Latency)
	for _, s := range f.all {
		for p := range s.tracks {
			t.Lost += s.tracks[p].missing(f.plan().sentTo(p, published[p], s.channel))
		}
	}
	return t
}

// close ends all connections.
func (f *fleet) close() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.poller.close()
	for _, s := range f.all {
		if !s.lost && s.out != nil {
			_ = s.out.Close()
		}
	}
	f.goodbye()
	f.readers.Wait()
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
