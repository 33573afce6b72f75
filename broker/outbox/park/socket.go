package park

import (
	"net"
	"sync/atomic"
	"syscall"
)

// Owner is who parks a socket.
type Owner interface {
	// Run is told what has happened, one or several things at once; each may turn out to be nothing. It must not block but between
	// Worker.Away and Back. It uses w for what it reads and writes, until it returns.
	//
	// If it is false the owner goes on elsewhere: Run is not called before Socket.Done.
	Run(w *Worker, what Happened) (done bool)
}

// Happened is a set of what may have happened to a socket since Run was called last.
type Happened uint32

const (
	Readable Happened = 1 << iota // something has come since, or was there when the socket was parked
	HungUp                        // the peer has ended its half, or all of it, behind what it sent
	Rung                          // Ring was called
	Writable                      // there is room again, after Write took less than all; only after Take

	queued // the socket is on the list, or being run, or with its owner
)

// Socket is a socket that is parked: a part of what its owner keeps of the connection.
type Socket struct {
	// static after Park
	loop   *loop
	raw    syscall.RawConn // nil: the descriptor is the socket's own
	owner  Owner
	ticket uint64

	state atomic.Uint32 // Happened
	fd    int32         // its own, until it is given up; owned by Run, or whoever goes on for it
}

// Park has x watch nc for owner, who stays the one to close it. Run is not called before Done, and then for what is there already, too.
// On an error nothing has changed: ErrNotPlain, ErrClosed, or the system's.
func (s *Socket) Park(x *Lot, nc net.Conn, owner Owner) error { return s.park(x, nc, owner, 0) }

func (s *Socket) park(x *Lot, nc net.Conn, owner Owner, also Happened) error {
	plain, ok := Plain(nc).(syscall.Conn)
	if !ok {
		return ErrNotPlain
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return err
	}
	s.raw = raw
	return s.enter(x, owner, also)
}

// enter enters the descriptor into a loop's set, to be told of what comes, and also of that.
func (s *Socket) enter(x *Lot, owner Owner, also Happened) error {
	l, err := x.loop()
	if err != nil {
		return err
	}
	s.loop, s.owner = l, owner
	s.state.Store(uint32(queued))
	s.ticket = l.table.enter(s)
	if err := l.poller.add(s, also); err != nil {
		l.table.leave(s.ticket)
		s.loop = nil
		return err
	}
	return nil
}

// Leave ends the watch: nothing that comes is told any more, but for what is under way. Only Run calls it, or who goes on for
// it. The connection is as it was, with whatever has not been read.
func (s *Socket) Leave() {
	s.loop.table.leave(s.ticket)
	s.loop.poller.remove(s) // fails if it is closed, and then it has left by itself
}

// control calls f with the descriptor, which is not closed meanwhile.
func (s *Socket) control(f func(fd uintptr)) error {
	if s.raw != nil {
		return s.raw.Control(f)
	}
	f(uintptr(s.fd))
	return nil
}

// Ring has Run called. It does not block.
func (s *Socket) Ring() {
	if s.post(Rung) {
		s.loop.add(s)
	}
}

// Done says that who parked the socket, or went on for Run, is through.
func (s *Socket) Done() {
	if !s.state.CompareAndSwap(uint32(queued), 0) { // something came meanwhile
		s.loop.add(s)
	}
}

// post notes what happened, and tells whether the socket is to be put on the list for it.
func (s *Socket) post(what Happened) bool {
	return Happened(s.state.Or(uint32(what|queued)))&queued == 0
}

func (s *Socket) run(w *Worker) {
	what := Happened(s.state.And(uint32(queued)))
	if s.owner.Run(w, what&^queued) {
		s.Done()
	}
}
