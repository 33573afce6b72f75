package bayeux

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
)

var mostInMemory = flag.Int("most-in-memory", 10_000, "subscribers that BenchmarkInMemory ends with; make bench-scale: 100,000")

// BenchmarkInMemory is one push after the other to so many subscribers that no process may have sockets enough for them: the
// broker, the sessions, the handler under net/http and the outbox are real, the connections are memory. They have no descriptor,
// so they go the way of TLS connections: a goroutine for each write instead of a system call. The subscribers are passive, and read
// where the server writes: what is measured is the server and next to nothing else. It fails if one is missing or comes twice.
func BenchmarkInMemory(b *testing.B) {
	for _, subscribers := range []int{1_000, 10_000, 100_000} {
		if subscribers <= *mostInMemory {
			b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) { benchmarkInMemory(b, subscribers) })
		}
	}
}

func benchmarkInMemory(b *testing.B, subscribers int) {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := startServer(b, l, l.dial, func(o *Options, _ *broker.Options) {
		o.Timeout, o.Ping, o.MaxInterval = time.Hour, time.Hour, time.Hour
		o.ReceiptDelay = time.Hour // the subscribers answer no pings
	})
	before := memory()
	crowd := &crowd{all: make([]*passive, subscribers), done: make(chan struct{}, 1)}
	const together = 64 // a handshake at a time each, or half of net/http would be in memory at once
	places := make(chan struct{}, together)
	for i := range crowd.all {
		places <- struct{}{}
		p := &passive{crowd: crowd, joined: func() { <-places }}
		p.change.L = &p.mu
		p.hears("GET /bayeux HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		crowd.all[i] = p
		l.conns <- p
	}
	for range together {
		places <- struct{}{} // all have joined
	}
	each := float64(memory()-before) / float64(subscribers)
	defer func() {
		for _, p := range crowd.all {
			p.Close()
		}
	}()
	data := []byte(`"!` + strings.Repeat("x", 126) + `"`)
	var latencies []time.Duration
	cpu, pushes := cpuTime(), 0
	b.ReportAllocs()
	for b.Loop() {
		crowd.left.Store(int64(subscribers))
		crowd.sent.Store(time.Now().UnixNano())
		if _, err := s.b.Publish(b.Context(), broker.Principal{}, &broker.Message{Channel: "/bench", Data: data}, broker.PublishOptions{}); err != nil {
			b.Fatal(err)
		}
		select {
		case <-crowd.done:
		case <-time.After(5 * time.Minute):
			b.Fatalf("%d of %d subscribers have not got message %d", crowd.left.Load(), subscribers, pushes)
		}
		pushes++
		if len(latencies) < 10_000_000 {
			b.StopTimer()
			for _, p := range crowd.all {
				latencies = append(latencies, time.Duration(p.latency.Load()))
			}
			b.StartTimer()
		}
	}
	b.StopTimer()
	cpu = cpuTime() - cpu
	for i, p := range crowd.all {
		if n := p.events.Load(); n != int64(pushes) {
			b.Errorf("subscriber %d got %d of %d messages", i, n, pushes)
		}
	}
	slices.Sort(latencies)
	at := func(q float64) float64 {
		return float64(latencies[min(len(latencies)-1, int(q*float64(len(latencies))))]) / 1e6
	}
	deliveries := float64(pushes) * float64(subscribers)
	b.ReportMetric(float64(cpu.Nanoseconds())/deliveries, "cpu-ns/delivery")
	b.ReportMetric(each, "bytes/session")
	for name, q := range map[string]float64{"min-ms": 0, "p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(at(q), name)
	}
}

// crowd is the subscribers that wait for a message.
type crowd struct {
	all  []*passive
	sent atomic.Int64 // when, in nanoseconds since 1970
	left atomic.Int64 // who have not got it
	done chan struct{}
}

// passive is a subscriber and its connection at once: what the server writes it takes in on the server's own goroutine, and what it
// has to say lies ready for the server to read.
type passive struct {
	crowd   *crowd
	joined  func()
	events  atomic.Int64
	latency atomic.Int64 // of the last event

	mu      sync.Mutex
	change  sync.Cond
	said    []byte // and not yet read by the server
	expired bool   // the server interrupts its reader
	closed  bool
}

var _ net.Conn = (*passive)(nil)

func (p *passive) hears(text string) {
	p.set(func() { p.said = append(p.said, text...) })
}

func (p *passive) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.change.Broadcast()
}

// Write is called by the server.
func (p *passive) Write(b []byte) (int, error) {
	if n := int64(bytes.Count(b, []byte{'!'})); n > 0 { // one in each event
		p.latency.Store(time.Now().UnixNano() - p.crowd.sent.Load())
		p.events.Add(n)
		if p.crowd.left.Add(-n) == 0 {
			p.crowd.done <- struct{}{}
		}
		return len(b), nil
	}
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")):
		p.hears(string(maskedFrame("[" + handshakeMessage + "]")))
	case bytes.Contains(b, []byte(`"/meta/handshake"`)):
		_, text, _ := strings.Cut(string(b), "[")
		id := gjson.Get("["+text, "0.clientId").Str
		p.hears(string(maskedFrame("[" + subscribe(id, `"2"`, `"/bench"`) + "]")))
		p.hears(string(maskedFrame("[" + msg("/meta/connect", id, `"3"`, `"connectionType":"websocket"`) + "]")))
	case bytes.Contains(b, []byte(`"/meta/connect"`)): // the last, maybe in one with the other
		p.joined()
	}
	return len(b), nil
}

// Read is called by the server.
func (p *passive) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.said) == 0 && !p.expired && !p.closed {
		p.change.Wait()
	}
	switch {
	case p.expired:
		return 0, os.ErrDeadlineExceeded
	case len(p.said) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.said)
	if p.said = p.said[n:]; len(p.said) == 0 {
		p.said = nil
	}
	return n, nil
}

// Close is called by both.
func (p *passive) Close() error {
	p.set(func() { p.closed = true })
	return nil
}

// SetReadDeadline knows the one that net/http has for interrupting its reader, and none.
func (p *passive) SetReadDeadline(t time.Time) error {
	p.set(func() { p.expired = !t.IsZero() && t.Before(time.Now()) })
	return nil
}

func (p *passive) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *passive) SetWriteDeadline(time.Time) error { return nil }
func (p *passive) LocalAddr() net.Addr              { return pipeAddr{} }
func (p *passive) RemoteAddr() net.Addr             { return pipeAddr{} }
