package park

import (
	"net"
	"sync/atomic"
)

// End waits for the end of a connection on which the peer has nothing to say, a stream of events: whatever comes, it is the end.
type End struct {
	gone   func() // static after Park
	socket Socket
	parked atomic.Bool

	over bool // owned by Run
}

// Park has gone called, once, by a worker, when something has come, the peer has hung up, or Ring finds that nc is closed. gone must not
// block. What nc was found to end with has been read, so that to close it is no reset. It is false if nc cannot be parked: then
// nothing has changed.
func (e *End) Park(x *Lot, nc net.Conn, gone func()) bool {
	e.gone = gone
	if e.socket.Park(x, nc, e) != nil {
		return false
	}
	e.begin()
	return true
}

// begin makes Ring ring.
func (e *End) begin() {
	e.parked.Store(true)
	if e.socket.raw.Control(func(uintptr) {}) != nil { // it was closed by somebody whose Ring came too early
		e.socket.Ring()
	}
	e.socket.Done()
}

// Ring is for whoever has closed the connection, parked or not. It does not block.
func (e *End) Ring() {
	if e.parked.Load() {
		e.socket.Ring()
	}
}

// Run implements Owner.
func (e *End) Run(w *Worker, _ Happened) (done bool) {
	if e.over {
		return true
	}
	if n, err := w.Read(&e.socket); err == nil && n < 0 {
		return true
	}
	e.over = true
	e.socket.Leave()
	e.gone()
	return true
}
