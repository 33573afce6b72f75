package park

import (
	"io"
	"net"
	"os"
)

// A net.Conn has a place in the runtime's poller, which is told of everything that the loop is told of, and some hundred bytes of its own. A socket that
// stays parked for nearly all of its life does without: it has the descriptor, and nothing else has.
//
// What must not happen is that a descriptor is used when it has been closed, for by then it may be another's. So one party at a time has it: Run, or
// whoever goes on for it, is the only one that reads, writes, leaves and closes. The one call that comes from elsewhere is Cut, and it comes
// under the lock of the table, in which a socket sits until it leaves, which it does before its descriptor is closed.

// none is no descriptor.
const none int32 = -1

// Take is Park, and the connection is s's from now on: Owns tells whether nc has been closed, and its descriptor is s's own, to be given up by Close or
// Conn. That is not so for what is no TCP socket or wraps one, and when there is no descriptor left to take it over with: then nc is the owner's to close, as after Park.
func (s *Socket) Take(x *Lot, nc net.Conn, owner Owner) error {
	if tcp, ok := nc.(*net.TCPConn); ok {
		if fd, err := duplicate(tcp); err == nil {
			s.fd = fd
			if err := s.enter(x, owner, Writable); err != nil {
				s.giveUp()
				return err
			}
			_ = tcp.Close() // of two descriptors one
			return nil
		}
	}
	return s.park(x, nc, owner, Writable)
}

// Owns tells whether the descriptor is s's own.
func (s *Socket) Owns() bool { return s.raw == nil }

// Close leaves, and closes the descriptor, if s owns it.
func (s *Socket) Close() {
	s.Leave()
	if s.Owns() {
		s.giveUp()
	}
}

func (s *Socket) giveUp() {
	closeDescriptor(s.fd)
	s.fd = none
}

// Cut shuts the connection down, whoever is at it, who finds out: nothing more is read or written. Anybody may call it, at any time.
func (s *Socket) Cut() {
	s.loop.table.seated(s.ticket, func() { _ = s.control(shutDown) })
}

// Conn leaves, and makes a net.Conn of a descriptor that s owns, with the addresses that it had.
func (s *Socket) Conn(local, remote net.Addr) net.Conn {
	s.Leave()
	f := os.NewFile(uintptr(s.fd), "tcp")
	s.fd = none
	nc, err := net.FileConn(f)
	if err != nil { // there is no further descriptor
		return &fileConn{File: f, local: local, remote: remote}
	}
	_ = f.Close() // of two descriptors one
	return nc
}

// fileConn is a connection for which the one descriptor that it has must do.
type fileConn struct {
	*os.File

	local, remote net.Addr
}

// LocalAddr implements net.Conn.
func (c *fileConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *fileConn) RemoteAddr() net.Addr { return c.remote }

// Read implements net.Conn. Its errors are such as net/http knows, which breaks reading off with a deadline.
func (c *fileConn) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	return n, c.explain("read", err)
}

// Write implements net.Conn.
func (c *fileConn) Write(b []byte) (int, error) {
	n, err := c.File.Write(b)
	return n, c.explain("write", err)
}

func (c *fileConn) explain(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // as os returns it, and net
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
