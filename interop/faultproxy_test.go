//go:build interop

package interop

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// faultProxy is a TCP proxy that harms the connections through it. It takes a
// server's bytes before it fails to pass them on: as far as TCP goes, they have
// arrived.
type faultProxy struct {
	addr   string
	target string
	faults atomic.Int64 // connections that were harmed
	wound  atomic.Bool  // harm connections
	random func(n int) int

	mu   sync.Mutex
	open map[net.Conn]bool
}

// startFaultProxy makes a proxy that does no harm until wound is set. The seed
// decides what it does to whom.
func startFaultProxy(t *testing.T, target string, seed uint64) *faultProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy to %s: %v", target, err)
	}
	r := rand.New(rand.NewPCG(seed, seed))
	var mu sync.Mutex
	p := &faultProxy{addr: l.Addr().String(), target: target, open: make(map[net.Conn]bool), random: func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { p.pass(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for conn := range p.open {
			conn.Close()
		}
		p.mu.Unlock()
		passing.Wait()
	})
	return p
}

func (p *faultProxy) hold(conn net.Conn) {
	p.mu.Lock()
	p.open[conn] = true
	p.mu.Unlock()
}

func (p *faultProxy) drop(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
}

// fault is what becomes of a connection once enough of the server's bytes have
// passed.
type fault int

const (
	cut      fault = iota // a part of it is passed on, then both sides are closed
	swallow               // it is thrown away, and what comes soon after, then both sides are closed
	halfOpen              // both sides may write for ever, and nothing passes
	faults
)

// pass copies both ways for a random time. What the server writes then is
// harmed, and the connection with it.
func (p *faultProxy) pass(near net.Conn) {
	p.hold(near)
	defer p.drop(near)
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.hold(far)
	defer p.drop(far)
	var dead atomic.Bool // nothing passes any more
	var both sync.WaitGroup
	both.Go(func() {
		defer far.Close()
		_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
			if dead.Load() {
				return len(b), nil
			}
			return far.Write(b)
		}), near)
	})
	kind, until := fault(p.random(int(faults))), time.Now().Add(time.Duration(20+p.random(300))*time.Millisecond)
	buf := make([]byte, 4<<10)
	for {
		n, err := far.Read(buf)
		if err != nil {
			break
		}
		if dead.Load() {
			continue
		}
		if !p.wound.Load() || time.Now().Before(until) {
			if _, err := near.Write(buf[:n]); err != nil {
				break
			}
			continue
		}
		p.faults.Add(1)
		switch kind {
		case cut:
			_, _ = near.Write(buf[:p.random(n)])
			near.Close()
			far.Close()
		case swallow:
			time.Sleep(time.Duration(p.random(50)) * time.Millisecond) // and what comes meanwhile is lost too
			near.Close()
			far.Close()
		case halfOpen:
			dead.Store(true)
		}
	}
	near.Close()
	both.Wait()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
