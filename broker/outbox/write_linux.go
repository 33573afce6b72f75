package outbox

import (
	"net"
	"syscall"
	"unsafe"

	"waft/broker/outbox/park"
)

// rawFD is the descriptor of a plain socket, wrapped or not, or -1. The connection's lock keeps it valid: only Conn closes
// the socket, and takes that lock.
func rawFD(nc net.Conn) int {
	n := -1
	sc, ok := park.Plain(nc).(syscall.Conn)
	if !ok {
		return n
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) }) // a closed connection keeps -1
	}
	return n
}

// tryWrite writes what the socket takes at once. again is true if that is nothing. It bypasses the runtime's poller,
// whose lock and deadline check cost more than a tenth of a delivery.
func tryWrite(fd int, b []byte) (n int, again bool, err error) {
	for {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(r), false, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, errno
		}
	}
}
