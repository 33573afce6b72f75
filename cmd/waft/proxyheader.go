package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"

	"waft/broker/outbox/park"
)

// proxyListener is a listener whose trusted proxies begin each connection with a PROXY header (version 1 or 2), which says whose
// connection it is. One of theirs without a header is refused: otherwise a client could write the header, through a proxy that writes
// none. Of everybody else's a header is no more than a malformed request.
type proxyListener struct {
	net.Listener

	// static
	trusted proxies
	within  time.Duration // for the header to arrive
	logger  *slog.Logger
	stats   *proxyStats
}

// proxyStats counts for all listeners of a server.
type proxyStats struct {
	refused atomic.Uint64 // connections without a good header
	lines   sparingly     // about them
}

// Accept implements net.Listener. It waits for no header: that is up to whoever serves the connection.
func (l *proxyListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil || !l.trusted.has(addressOf(nc.RemoteAddr())) {
		return nc, err
	}
	return &proxied{Conn: nc, l: l}, nil
}

// addressOf is the IP address in a; invalid if it has none.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return bare(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// proxied is a connection of a trusted proxy. Its header is read when the address is asked for, or the first byte: by the goroutine
// that serves it, and not by the one that accepts.
type proxied struct {
	net.Conn

	l    *proxyListener // static
	once sync.Once

	// written by once
	from net.Addr // nil: the proxy itself
	err  error

	ahead []byte // what came with the header; owned by the reader
}

var _ park.Wrapper = (*proxied)(nil)

// headerBuffer holds a header of version 1, and what is usual in version 2.
const headerBuffer = 256

func (c *proxied) begin() { c.once.Do(c.readHeader) }

func (c *proxied) readHeader() {
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.l.within)) // it fails where reading will
	r := bufio.NewReaderSize(c.Conn, headerBuffer)
	awaitLine(r)
	header, err := proxyproto.Read(r)
	if err == nil {
		err = c.Conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		c.err = errors.Join(errNoHeader, err)
		c.l.stats.refuse(c.l.logger, c.Conn.RemoteAddr(), err)
		return
	}
	if n := r.Buffered(); n > 0 {
		c.ahead = make([]byte, n)
		_, _ = r.Read(c.ahead) // they are there
	}
	// A proxy that speaks for itself (LOCAL, for its health checks) or does not know (UNKNOWN) is who it is.
	if from, _, ok := header.TCPAddrs(); ok && header.Command.IsProxy() {
		c.from = from
	}
}

// awaitLine waits for all of a header of version 1, if it is one: the parser refuses what comes in pieces, for it knows of no deadline.
func awaitLine(r *bufio.Reader) {
	for n := 1; n <= maxLine; n++ {
		b, err := r.Peek(n) // an error is the parser's, which will see it too
		if err != nil || b[n-1] == '\n' || !bytes.HasPrefix(proxyproto.SIGV1, b[:min(n, len(proxyproto.SIGV1))]) {
			return
		}
	}
}

const maxLine = 107 // bytes of a header of version 1, its end included

var errNoHeader = errors.New("a trusted proxy sent no good PROXY header")

func (s *proxyStats) refuse(logger *slog.Logger, from net.Addr, err error) {
	if s.refused.Add(1); !s.lines.may() {
		return
	}
	logger.LogAttrs(context.Background(), slog.LevelWarn, "a connection from a trusted proxy was refused: with proxy_protocol each must begin with a PROXY header",
		slog.Any("proxy", from), slog.Any("error", err))
}

// RemoteAddr is who the proxy says that the client is.
func (c *proxied) RemoteAddr() net.Addr {
	if c.begin(); c.from != nil {
		return c.from
	}
	return c.Conn.RemoteAddr()
}

// Read reads what follows the header.
func (c *proxied) Read(b []byte) (int, error) {
	if c.begin(); c.err != nil {
		return 0, c.err
	}
	if len(c.ahead) == 0 || len(b) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// Write fails if the connection is refused: not even an error is for whoever that is.
func (c *proxied) Write(b []byte) (int, error) {
	if c.begin(); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(b)
}

// CloseWrite is what net/http calls before it closes a connection on which the client may still be writing.
func (c *proxied) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Plain implements park.Wrapper: nothing is left of the header but an address.
func (c *proxied) Plain() net.Conn {
	if c.begin(); c.err != nil || len(c.ahead) > 0 {
		return nil
	}
	return c.Conn
}
