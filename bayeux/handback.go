package bayeux

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker/outbox/park"
)

// handback gives connections back to the server they were taken from: it is a listener on which that server serves too, so that
// whatever comes next on them, Bayeux or not, is read and answered by net/http under the server's own limits. There is one
// for each server that polls were taken from. It ends when the server does, or the handler.
type handback struct {
	// static
	h      *Handler
	server *http.Server
	addr   net.Addr
	base   context.Context //nolint:containedctx // of every request on the server, as net/http has it
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	worn atomic.Bool // a connection could not be parked, and so it will be with others
}

var _ net.Listener = (*handback)(nil)

// handback is where connections of server go back to; nil if it is too late for that.
func (h *Handler) handback(server *http.Server, addr net.Addr) *handback {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining.Load() { // Shutdown may have closed them all already
		return nil
	}
	b := h.handbacks[server]
	switch {
	case b == nil:
		b = &handback{h: h, server: server, addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
		b.base = context.Background()
		if server.BaseContext != nil {
			b.base = server.BaseContext(b)
		}
		b.base = context.WithValue(b.base, http.ServerContextKey, server)
		h.handbacks[server] = b
		go b.serve()
	case b.over():
		return nil
	}
	return b
}

func (b *handback) serve() {
	_ = b.server.Serve(b) // says only that it is closed, by now at the latest
	b.h.mu.Lock()
	delete(b.h.handbacks, b.server)
	b.h.mu.Unlock()
}

// give hands nc to the server, which reads ahead first; or closes it if the server is no more.
func (b *handback) give(nc net.Conn, ahead []byte) {
	b.h.returnees.add(nc.RemoteAddr().String())
	select {
	case b.conns <- &returned{Conn: nc, ahead: ahead}:
	case <-b.closed:
		_ = nc.Close()
	}
}

func (b *handback) over() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

func (b *handback) logf(format string, args ...any) {
	if to := b.server.ErrorLog; to != nil {
		to.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

// idleTimeout is how long the server waits for a next request; 0: for ever. (http.Server.IdleTimeout)
func (b *handback) idleTimeout() time.Duration {
	return max(cmp.Or(b.server.IdleTimeout, b.server.ReadTimeout), 0)
}

// Accept implements net.Listener.
func (b *handback) Accept() (net.Conn, error) {
	select {
	case nc := <-b.conns:
		return nc, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The server calls it when it stops, and then connections that wait for a next request are closed,
// as it closes those it knows of.
func (b *handback) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.h.closeIdle(b)
	})
	return nil
}

// Addr implements net.Listener.
func (b *handback) Addr() net.Addr { return b.addr }

var _ park.Wrapper = (*returned)(nil)

// returned is a connection of which something has been read.
type returned struct {
	net.Conn
	ahead []byte // owned by the reader
}

func (c *returned) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 || len(b) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// CloseWrite is what net/http calls before it closes a connection on which the client may still be writing.
func (c *returned) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Plain implements park.Wrapper.
func (c *returned) Plain() net.Conn {
	if len(c.ahead) > 0 {
		return nil
	}
	return c.Conn
}
