package park

import (
	"errors"
	"net"
	"os"
	"syscall"
	"unsafe"
)

const peek = syscall.MSG_PEEK

type event syscall.EpollEvent

// ticket is the event's 64 bits of data, which Go's structure has as two members.
func (e *event) ticket() uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

func (e *event) what() (what Happened) {
	if e.Events&syscall.EPOLLIN != 0 {
		what = Readable
	}
	if e.Events&syscall.EPOLLOUT != 0 {
		what |= Writable
	}
	if e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		what |= Readable | HungUp
	}
	return what
}

// poller is an epoll set.
type poller struct {
	fd   int
	file *os.File // of fd, in the runtime's poller
	raw  syscall.RawConn
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else os takes it for a file that blocks
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() error { return p.file.Close() }

// wait calls f with events, in turn, and blocks in the runtime's poller until there are any; until p is closed. It is one Read of the file, so that
// the runtime keeps for the next wait what it is told while f runs: there is no call that finds nothing.
func (p *poller) wait(f func([]event)) {
	events := make([]event, 256)
	list := unsafe.Slice((*syscall.EpollEvent)(&events[0]), len(events))
	_ = p.raw.Read(func(fd uintptr) (done bool) {
		for n := len(list); n == len(list); {
			var err error
			if n, err = syscall.EpollWait(int(fd), list, 0); n > 0 {
				f(events[:n])
			} else if errors.Is(err, syscall.EINTR) {
				n = len(list)
			}
		}
		return false
	})
}

// add enters the socket. The set is closed only when nobody can add any more, or the call fails and so does Park.
// That there is room costs nothing to be asked for: it is told once a write has found none.
func (p *poller) add(s *Socket, also Happened) error {
	ev := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | edgeTriggered, Fd: int32(uint32(s.ticket)), Pad: int32(uint32(s.ticket >> 32)),
	}
	if also&Writable != 0 {
		ev.Events |= syscall.EPOLLOUT
	}
	return p.control(s, syscall.EPOLL_CTL_ADD, &ev)
}

// edgeTriggered is syscall.EPOLLET, which is a negative number on some systems.
const edgeTriggered = 1 << 31

func (p *poller) remove(s *Socket) {
	_ = p.control(s, syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{})
}

// control changes the set while both descriptors are held open.
func (p *poller) control(s *Socket, op int, ev *syscall.EpollEvent) (err error) {
	closed := p.raw.Control(func(set uintptr) {
		if gone := s.control(func(fd uintptr) {
			err = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(set), op, int(fd), ev))
		}); gone != nil {
			err = gone
		}
	})
	if closed != nil {
		return closed
	}
	return err
}

// duplicate gives another descriptor of nc, which is the caller's to close.
func duplicate(nc *net.TCPConn) (fd int32, err error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return none, err
	}
	var errno syscall.Errno
	var n uintptr
	err = raw.Control(func(from uintptr) {
		n, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, from, syscall.F_DUPFD_CLOEXEC, 0)
	})
	switch {
	case err != nil:
		return none, err
	case errno != 0:
		return none, os.NewSyscallError("fcntl", errno)
	}
	return int32(n), nil
}

func closeDescriptor(fd int32) { _ = syscall.Close(int(fd)) }

func shutDown(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }

// writes and reads make the system call without telling the scheduler: they do not block.

func (w *Worker) writes(fd uintptr) bool {
	w.call(syscall.SYS_SENDTO, fd, w.out, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	return true
}

func (w *Worker) reads(fd uintptr) bool {
	w.call(syscall.SYS_RECVFROM, fd, w.in, syscall.MSG_DONTWAIT|w.flags)
	return true
}

func (w *Worker) call(trap, fd uintptr, b []byte, flags int) {
	for {
		n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
		if errno != syscall.EINTR {
			w.n, w.errno = int(n), errno
			return
		}
	}
}
