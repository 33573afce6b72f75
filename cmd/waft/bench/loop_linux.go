package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// poller reads many sockets on one goroutine, with one system call for what has arrived on up to 256 of them and one
// for each that has something. A goroutine each would read twice for every message, and be woken for it.
type poller struct {
	epoll  int
	closed atomic.Bool
	done   chan struct{}

	mu      sync.Mutex
	sockets []*socket // by the number epoll knows them by
}

// socket is a descriptor that never blocks.
type socket struct {
	fd      int
	arrived func(b []byte, err error) // on the poller's goroutine; err once, at the end

	mu     sync.Mutex
	closed bool // fd may be somebody else's by now
}

const pollMillis = 100 // after which the poller looks whether it is closed

// newPoller makes a poller that brackets what it reads at once by begin and end.
func newPoller(begin, end func()) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll: %w", err)
	}
	p := &poller{epoll: fd, done: make(chan struct{})}
	go p.run(begin, end)
	return p, nil
}

// take takes a connection over, if it is one that it can. The connection must not be used any more; what is to be
// written goes to the writer. arrived gets bytes that are good until it returns.
func (p *poller) take(nc net.Conn, arrived func(b []byte, err error)) (out io.WriteCloser, ok bool, err error) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, false, nil
	}
	// The runtime has the socket in an epoll of its own, which would be told of every arrival too: a second descriptor of it
	// is known to us alone, and shares with the first that it never blocks.
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, false, err
	}
	s := &socket{arrived: arrived}
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		s.fd, dupErr = dup(int(fd))
	})
	if err = errors.Join(err, dupErr); err != nil {
		return nil, false, os.NewSyscallError("dup", err)
	}
	_ = nc.Close()
	p.mu.Lock()
	p.sockets = append(p.sockets, s)
	number := len(p.sockets) - 1
	p.mu.Unlock()
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(number)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, s.fd, &event); err != nil {
		_ = syscall.Close(s.fd)
		return nil, false, os.NewSyscallError("epoll_ctl", err)
	}
	return s, true, nil
}

// dup gives a second descriptor that a child process does not inherit.
func dup(fd int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func (p *poller) run(begin, end func()) {
	defer close(p.done)
	events := make([]syscall.EpollEvent, 256)
	buffer := make([]byte, 256<<10)
	for !p.closed.Load() {
		n, err := syscall.EpollWait(p.epoll, events, pollMillis)
		if n <= 0 {
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return
			}
			continue
		}
		begin()
		for _, e := range events[:n] {
			p.mu.Lock()
			s := p.sockets[e.Fd]
			p.mu.Unlock()
			s.read(p.epoll, buffer)
		}
		end()
	}
}

// read reads what there is, at most a buffer: what is left makes epoll come back.
func (s *socket) read(epoll int, buffer []byte) {
	n, err := syscall.Read(s.fd, buffer)
	switch {
	case n > 0:
		s.arrived(buffer[:n], nil)
	case err == nil:
		err = io.EOF
		fallthrough
	case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
		_ = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_DEL, s.fd, nil)
		s.arrived(nil, err)
	}
}

// Write writes all of b, which is short, or fails: a server that does not read the few bytes of a request is not
// waited for.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	n, err := syscall.Write(s.fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return max(n, 0), err
}

// Close resets the connection: an orderly end would leave a port in TIME_WAIT for each of thousands.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	_ = syscall.SetsockoptLinger(s.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	return syscall.Close(s.fd)
}

// close stops reading. The sockets are their owners' to close, afterwards.
func (p *poller) close() {
	p.closed.Store(true)
	<-p.done
	_ = syscall.Close(p.epoll)
}
