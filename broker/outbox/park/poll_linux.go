package park

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

const peek = syscall.MSG_PEEK

type event syscall.EpollEvent

// ticket is the event's 64 bits of data, which Go's structure has as two members.
func (e *event) ticket() uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

func (e *event) what() Happened {
	if e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		return Readable | HungUp
	}
	return Readable
}

func newEvents() []event { return make([]event, 256) }

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

// wait blocks, in the runtime's poller, until there are events. It fails when p is closed.
func (p *poller) wait(events []event) (n int, err error) {
	list := unsafe.Slice((*syscall.EpollEvent)(&events[0]), len(events))
	closed := p.raw.Read(func(fd uintptr) bool {
		for n, err = syscall.EpollWait(int(fd), list, 0); errors.Is(err, syscall.EINTR); {
			n, err = syscall.EpollWait(int(fd), list, 0)
		}
		return n > 0 || err != nil
	})
	if closed != nil {
		return 0, closed
	}
	return n, err
}

// add enters the socket. The set is closed only when nobody can add any more, or the call fails and so does Park.
func (p *poller) add(raw syscall.RawConn, ticket uint64) error {
	return p.control(raw, syscall.EPOLL_CTL_ADD, &syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | edgeTriggered, Fd: int32(uint32(ticket)), Pad: int32(uint32(ticket >> 32)),
	})
}

// edgeTriggered is syscall.EPOLLET, which is a negative number on some systems.
const edgeTriggered = 1 << 31

func (p *poller) remove(raw syscall.RawConn) {
	_ = p.control(raw, syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{})
}

// control changes the set while both descriptors are held open.
func (p *poller) control(raw syscall.RawConn, op int, ev *syscall.EpollEvent) (err error) {
	closed := p.raw.Control(func(set uintptr) {
		if gone := raw.Control(func(fd uintptr) {
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
