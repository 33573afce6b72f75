//go:build interop

package interop

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay passes TCP connections on to a target and counts them: whoever
// reconnects is seen to do so. It can also cut them.
type relay struct {
	addr   string
	target string

	mu    sync.Mutex
	count int
	open  map[net.Conn]bool
	down  bool // whoever comes is shown the door
	held  *hold
	tell  func() // of every new connection, before anything passes; nil: nobody
}

// hold keeps back what clients send.
type hold struct {
	applies  func(piece []byte) bool
	caught   chan struct{} // gets one when something is kept back
	released chan struct{}
}

func startRelay(t *testing.T, target string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("relay to %s: %v", target, err)
	}
	t.Cleanup(func() { l.Close() })
	r := &relay{addr: l.Addr().String(), target: target, open: make(map[net.Conn]bool)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.count++
			if r.tell != nil {
				r.tell()
			}
			if r.down {
				_ = conn.Close()
			} else {
				r.open[conn] = true
				go r.pass(conn)
			}
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// onAccept has f called for every connection from now on, before anything passes on it.
func (r *relay) onAccept(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell = f
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.open {
		_ = conn.Close()
	}
}

// interrupt ends all connections, and every new one until resume.
func (r *relay) interrupt() {
	r.mu.Lock()
	r.down = true
	r.mu.Unlock()
	r.cut()
}

func (r *relay) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

// hold keeps back what is sent to the target: on each connection from the first piece on to which it applies, until release. What comes from
// the target passes.
func (r *relay) hold(applies func(piece []byte) bool) (caught <-chan struct{}, release func()) {
	h := &hold{applies, make(chan struct{}, 1), make(chan struct{})}
	r.set(h)
	return h.caught, func() {
		r.set(nil)
		close(h.released)
	}
}

func (r *relay) set(h *hold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = h
}

// upstream is what a client sends.
type upstream struct {
	net.Conn
	r *relay
}

func (u upstream) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	u.r.mu.Lock()
	h := u.r.held
	u.r.mu.Unlock()
	if h != nil && n > 0 && h.applies(p[:n]) {
		select {
		case h.caught <- struct{}{}:
		default:
		}
		<-h.released
	}
	return n, err
}

// pass copies both ways until either side ends.
func (r *relay) pass(near net.Conn) {
	defer func() {
		_ = near.Close()
		r.mu.Lock()
		delete(r.open, near)
		r.mu.Unlock()
	}()
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer far.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, upstream{near, r}}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
