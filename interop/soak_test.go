//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	soakTime    = flag.Duration("soak", 0, "how long TestSoak goes on with waves; 0: two of them")
	soakClients = flag.Int("soak-clients", 300, "clients in each wave of TestSoak")
)

// Waves of clients come and go over every transport, in good order and in bad, while
// messages are published. Whoever stays connected gets each message once, in order; and when
// a wave has gone, the server has what it had before: goroutines, descriptors,
// sessions, memory. `make soak` does it with 2,000 clients for some minutes.
func TestSoak(t *testing.T) {
	w := startWaftWith(t, `timeout = "2s"
max_interval = "2s"
ping = "3s"
pong_wait = "1s"
handshake_idle = "3s"
dedup_window = "1s"`)
	began := time.Now()
	s := &soak{t: t, w: w, addr: strings.TrimPrefix(w.url, "http://")}
	// Nothing is to be left of what clients bring, from before the first.
	empty, err := w.gauges()
	if err != nil {
		t.Fatal(err)
	}
	// After the first wave pools, maps and the channels' histories are as large as they get.
	s.wave(*soakClients)
	full := s.settle(func(g gauges) error { return nothingLeft(empty, g) })
	for n := 2; !t.Failed() && (n == 2 || time.Since(began) < *soakTime); n++ {
		s.wave(*soakClients)
		now := s.settle(func(g gauges) error { return errors.Join(nothingLeft(empty, g), noMoreMemory(full, g)) })
		t.Logf("%3.0f s, wave %d: %d clients, %d messages so far; then %.0f goroutines (%.0f at the start), %.0f descriptors (%.0f), %.2f MB of heap in use (%.2f)",
			time.Since(began).Seconds(), n, *soakClients, s.delivered.Load(), now["go_goroutines"], empty["go_goroutines"],
			now["process_open_fds"], empty["process_open_fds"], now[heapInUse]/1e6, full[heapInUse]/1e6)
	}
	if s.delivered.Load() == 0 {
		t.Error("nothing was delivered")
	}
}

// nothingLeft tells what a wave left behind. Goroutines and descriptors vary by those of requests for the gauges
// themselves, and of the collector.
func nothingLeft(before, now gauges) error {
	var errs []error
	for name, more := range map[string]float64{
		"waft_sessions": 0, "waft_subscriptions": 0, "waft_bayeux_polls": 0, "waft_bayeux_sockets": 0, "waft_bayeux_streams": 0,
		"go_goroutines": 8, "process_open_fds": 4,
	} {
		if now[name] > before[name]+more {
			errs = append(errs, fmt.Errorf("%s is %.0f, and was %.0f", name, now[name], before[name]))
		}
	}
	return errors.Join(errs...)
}

// soakHeap is how much the heap may vary, for each client of a wave: a session that stays is more, after one wave, and a
// small thing is after several.
const soakHeap = 1 << 10

const heapInUse = "go_memstats_heap_alloc_bytes"

func noMoreMemory(before, now gauges) error {
	if now[heapInUse] > before[heapInUse]+soakHeap*float64(*soakClients) {
		return fmt.Errorf("%.2f MB of heap in use, and it was %.2f", now[heapInUse]/1e6, before[heapInUse]/1e6)
	}
	return nil
}

type soak struct {
	t    *testing.T
	w    *waft
	addr string

	delivered atomic.Int64
}

// settle waits until the server is as it should be.
func (s *soak) settle(as func(gauges) error) (g gauges) {
	s.t.Helper()
	err := await("the server to be as before", func() (err error) {
		if g, err = s.w.gauges(); err == nil {
			err = as(g)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// fate is how a client of a wave ends.
type fate int

const (
	stays    fate = iota // until the last message, which it gets, and all before
	leaves               // with a disconnect
	isCut                // its connections break
	vanishes             // it reads and sends no more; its connections stay
)

// Every second client stays.
var fates = [...]fate{stays, leaves, stays, isCut, stays, vanishes, stays, isCut}

var soakTransports = [...]string{websocketType, pollingType, callbackType, streamType}

// soakChannels is how many channels a wave's clients are spread over.
const soakChannels = 20

// wave has n clients come, and go when some messages have been published.
func (s *soak) wave(n int) {
	if s.t.Failed() {
		return
	}
	src := &soakSource{}
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		if err := src.run(s.addr, stop); err != nil {
			s.t.Errorf("publishing: %v", err)
		}
	})
	var wave, here sync.WaitGroup
	opening := make(chan struct{}, 32)
	lost := make([]*rawClient, n) // those that vanish: their connections stay for now
	here.Add(n)
	for i := range n {
		c := &soakClient{
			src: src, channel: i % soakChannels, transport: soakTransports[i%len(soakTransports)],
			fate: fates[i/len(soakTransports)%len(fates)], patience: time.Duration(i%16) * 100 * time.Millisecond,
		}
		if c.transport == streamType && c.fate == vanishes {
			c.fate = isCut // a silent stream is kept for a minute and a half
		}
		wave.Go(func() {
			opening <- struct{}{}
			err := c.open(s.addr)
			<-opening
			here.Done()
			if err == nil {
				err = c.live()
			}
			if err != nil {
				s.t.Errorf("client %d, %s over %s: %v", i, [...]string{"stays", "leaves", "is cut", "vanishes"}[c.fate], c.transport, err)
			}
			if c.raw != nil && c.fate == vanishes {
				lost[i] = c.raw
			}
			s.delivered.Add(c.counted)
		})
	}
	here.Wait()
	time.Sleep(2 * time.Second) // of messages to all of them
	close(stop)
	publishing.Wait()
	wave.Wait()
	// The server ends the sessions of those who vanished by itself, and not for their connections.
	s.settle(func(g gauges) error {
		if g["waft_sessions"] > 0 {
			return fmt.Errorf("%.0f sessions", g["waft_sessions"])
		}
		return nil
	})
	for _, c := range lost {
		if c != nil {
			c.close()
		}
	}
}

// soakSource publishes numbers on every channel, from 1; the last one says so.
type soakSource struct {
	sent atomic.Int64 // the highest number that may be on its way
}

type soakNumber struct {
	N    int64 `json:"n"`
	Last bool  `json:"last"`
}

func soakChannel(i int) string { return fmt.Sprintf("/open/soak/%d", i) }

func (src *soakSource) run(addr string, stop <-chan struct{}) error {
	nc, err := rawDial(addr)
	if err != nil {
		return err
	}
	c := newRaw(nc, pollingType)
	defer c.close()
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for last := false; !last; {
		select {
		case <-stop:
			last = true
		case <-every.C:
		}
		n := src.sent.Add(1)
		batch := make([]string, soakChannels)
		for i := range batch {
			batch[i] = fmt.Sprintf(`{"channel":%q,"data":{"n":%d,"last":%v}}`, soakChannel(i), n, last)
		}
		c.patient()
		if err := c.write("[" + strings.Join(batch, ",") + "]"); err != nil {
			return err
		}
		replies, err := c.receive()
		if err != nil {
			return err
		}
		if len(replies) != soakChannels {
			return fmt.Errorf("%d replies", len(replies))
		}
		for _, r := range replies {
			if err := r.failure(); err != nil {
				return err
			}
		}
	}
	return nil
}

// soakClient is one client of a wave.
type soakClient struct {
	src       *soakSource
	channel   int
	transport string
	fate      fate
	patience  time.Duration // before it goes, if it does not stay

	raw     *rawClient
	must    int64 // the first number that was published, for sure, after it had subscribed
	first   int64 // the first number it got
	counted int64 // how many it got
	wrong   error
	done    chan struct{} // closed with the last number
}

func (c *soakClient) open(addr string) (err error) {
	c.done = make(chan struct{})
	c.raw, err = openRaw(addr, c.transport, soakChannel(c.channel), c.event)
	c.must = c.src.sent.Load() + 1
	return err
}

// event is called by the goroutine that reads events: the client's one, but for a stream.
func (c *soakClient) event(m rawMessage) {
	var number soakNumber
	if err := json.Unmarshal(m.Data, &number); err != nil || m.Channel != soakChannel(c.channel) {
		c.wrong = fmt.Errorf("an event of %s: %s", m.Channel, m.Data)
		return
	}
	next := c.first + c.counted
	switch {
	case c.first == 0:
		c.first = number.N
	case number.N != next && c.wrong == nil:
		c.wrong = fmt.Errorf("number %d instead of %d", number.N, next)
	}
	c.counted++
	if number.Last && c.wrong == nil {
		close(c.done)
	}
}

// live is the client's life after it has subscribed.
func (c *soakClient) live() error {
	reading := make(chan error, 1)
	over := make(chan struct{}) // the client is to stop
	go func() { reading <- c.read(over) }()
	if c.fate == stays {
		select {
		case <-c.done:
		case err := <-reading:
			return fmt.Errorf("it was to stay: %w", err)
		case <-time.After(2 * patience):
			return errors.New("the last message did not come")
		}
	} else {
		time.Sleep(c.patience)
	}
	close(over)
	switch c.fate {
	case isCut:
		c.raw.cut()
		c.brokenOff(reading)
	case vanishes:
		c.raw.nc.SetReadDeadline(time.Now())
		c.brokenOff(reading)
	case stays, leaves:
		if err := c.leave(reading); err != nil {
			return err
		}
	}
	switch {
	case c.wrong != nil:
		return c.wrong
	case c.fate == stays && c.first > c.must:
		return fmt.Errorf("the first number was %d, and %d was published after it had subscribed", c.first, c.must)
	}
	return nil
}

// brokenOff waits for the end of reading; what it says of a connection that was taken from it is no failure.
func (c *soakClient) brokenOff(reading <-chan error) {
	select {
	case <-reading: //nolint:errcheck // see above
	case <-time.After(2 * patience):
		c.wrong = errors.New("reading does not end")
	}
}

// leave disconnects in good order.
func (c *soakClient) leave(reading <-chan error) error {
	defer c.raw.close()
	switch c.transport {
	case websocketType: // it reads its own reply
		if _, err := c.raw.send("/meta/disconnect", `"x":1`); err != nil {
			return err
		}
		return <-reading
	case streamType:
		_, err := c.raw.ask("/meta/disconnect", `"x":1`)
		c.brokenOff(reading)
		return err
	default: // when the poll has been answered
		if err := <-reading; err != nil {
			return err
		}
		_, err := c.raw.ask("/meta/disconnect", `"x":1`)
		return err
	}
}

// read reads until the end, and connects again and again.
func (c *soakClient) read(over <-chan struct{}) error {
	c.raw.patient()
	switch c.transport {
	case streamType:
		_ = c.raw.readStream() // it ends with the session
		return nil
	case websocketType:
		if _, err := c.raw.send("/meta/connect", c.raw.connectFields()); err != nil {
			return err
		}
	}
	for {
		if c.transport != websocketType {
			select {
			case <-over:
				return nil
			default:
			}
			if _, err := c.raw.send("/meta/connect", c.raw.connectFields()); err != nil {
				return err
			}
		}
		replies, err := c.raw.receive()
		if err != nil {
			return err
		}
		for _, r := range replies {
			switch {
			case r.Channel == "/meta/disconnect":
				return r.failure()
			case r.failure() != nil:
				return r.failure()
			case c.transport == websocketType: // a connect
				if _, err := c.raw.send("/meta/connect", c.raw.connectFields()); err != nil {
					return err
				}
			}
		}
	}
}

// cut breaks the connections off: the server gets a reset, or an end in the middle.
func (c *rawClient) cut() {
	for _, nc := range []net.Conn{c.nc, c.stream} {
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}
