package bayeux

import (
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/broker/outbox/park"
)

// Where it can be, a held poll has no goroutine at all: its connection is parked (package park), and what happens to it is seen to by a
// worker of its loop, one thing after the other. Somebody rings when there are events, or the session ends, or its time has passed; then
// the response is written with one system call, and the connection waits on for its next request in the same place. If that is a poll
// like the last, it is read, served and held again by the worker, and no goroutine was made for any of it.
//
// A worker must not wait. So what a socket does not take is written when it has room, and requests with other messages than connects,
// which may have to wait for a disk, are served when others have been told to go on without it (Worker.Away). What a server has in front of this handler should not wait for long; if it does, the
// loop gets another worker.
//
// There is no net.Conn either: the descriptor is the parked socket's own, until the connection goes back to net/http.

// parked is what a held poll needs for that.
type parked struct {
	// static
	socket park.Socket
	timer  *broker.Timer // rings; nil: it has a goroutine

	// owned by Run
	unsent *unsent
	until  int64  // on the handler's clock: when the hold ends, the wait for a next request, or for room; 0: never
	rings  int64  // likewise: when the timer does, which is no later; 0: it does not
	mark   mark   // of the poll; zero: the next is read, whatever it is
	part   []byte // of a request, whose rest is to come
	phase  phase
	more   bool // there may be something to read
	ends   bool // the end is behind what there is: it is told of once
	heard  bool // the next request has come, and stays where it is
	early  bool // part has not been looked at: it came before the connection was parked

	idle atomic.Bool // it has been answered and waits for the next request; of those with a goroutine it is changed under Handler.mu
}

// unsent is what of a response the socket has not taken, and what is to be done when it has, or fails to.
type unsent struct {
	rest []byte
	then func(now int64, err error)
}

type phase uint8

const (
	unparked phase = iota // its goroutine is at it
	holding               // for something to say
	resting               // until the next request comes
	serving               // it
	writing               // a response for which there was no room
	ended                 // the connection is closed, or somebody else's
)

var _ park.Owner = (*heldPoll)(nil)

// park makes c a connection without a goroutine, which is rung after d; Run is not called yet. It is false if that cannot be.
func (c *heldPoll) park(d time.Duration) bool {
	if c.socket.Take(c.back.h.lot, c.nc, c) != nil {
		return false
	}
	if c.socket.Owns() {
		c.nc = nil
	}
	c.rings = c.back.h.now() + int64(d)
	c.timer = c.back.h.wheel.AfterFunc(d, c.socket.Ring)
	return true
}

// isParked tells whether c has no goroutine, which never changes.
func (c *heldPoll) isParked() bool { return c.timer != nil }

// waits has Run called when d has passed, if nothing else happens. A timer that rings earlier is set anew when it has rung (late): of polls that
// are answered every second it is moved once in thirty.
func (c *heldPoll) waits(now int64, d time.Duration) {
	c.until = now + int64(d)
	if c.rings == 0 || c.rings > c.until {
		c.setTimer(now)
	}
}

func (c *heldPoll) setTimer(now int64) {
	c.rings = c.until
	c.timer.Reset(time.Duration(c.until - now))
}

// holds begins to hold the poll that is now in c.asked.
func (c *heldPoll) holds(now int64) {
	if !c.keeps(now) || c.more { // nobody has rung for that
		c.socket.Ring()
	}
}

// keeps is holds, without a look at what is there already: it is false if there is something to say.
func (c *heldPoll) keeps(now int64) bool {
	c.phase, c.heard = holding, false
	c.waits(now, c.hold)
	p := c.poll
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p.held = c // who is woken from now on rings
	return !p.superseded && c.s.queue.Quiet()
}

// Run implements park.Owner.
func (c *heldPoll) Run(w *park.Worker, what park.Happened) (done bool) {
	c.more = c.more || what&(park.Readable|park.HungUp) != 0
	c.ends = c.ends || what&park.HungUp != 0
	now := c.back.h.now()
	if c.rings > 0 && now >= c.rings && c.phase != ended {
		if c.rings = 0; c.until > now {
			c.setTimer(now)
		}
	}
	switch c.phase {
	case holding:
		c.runHeld(w, now)
	case resting:
		return c.runResting(w, now)
	case writing:
		c.runWriting(w, now)
	case unparked, serving, ended:
	}
	return true
}

// runHeld answers the poll, if there is something to say.
func (c *heldPoll) runHeld(w *park.Worker, now int64) {
	here := true
	if c.more && !c.heard {
		switch n, err := w.Peek(&c.socket); {
		case err != nil || n == 0:
			here = false
		case n < 0:
			c.more = false
		default:
			c.heard = true
		}
	}
	if !here {
		c.abandon(now)
		return
	}
	if now >= c.until {
		c.s.mu.Lock()
		c.poll.expired = true
		c.s.mu.Unlock()
	}
	x := c.back.h.newExchange(present, nil, nil)
	defer x.done()
	x.at = now
	x.waiting = append(x.waiting, waiting{asked: c.asked})
	c.answers(w, x)
}

// answers answers the poll, which is the one that waits in x, if there is something to say.
func (c *heldPoll) answers(w *park.Worker, x *exchange) (done bool) {
	p := &x.waiting[0]
	p.events = x.drained
	if !p.look(present) {
		return false
	}
	x.drained = p.events
	b, again := c.response(x, p, x.now())
	n, err := w.Write(&c.socket, b)
	if err == nil && n < len(b) {
		events := slices.Clone(p.events)
		c.writes(slices.Clone(b[n:]), func(now int64, err error) { c.answered(now, err, events, again) })
		return true
	}
	c.answered(x.now(), err, p.events, again)
	return true
}

// writes goes on with rest when there is room, and then with then.
func (c *heldPoll) writes(rest []byte, then func(now int64, err error)) {
	c.phase, c.unsent = writing, &unsent{rest, then}
	c.waits(c.back.h.now(), writeWithin)
}

func (c *heldPoll) runWriting(w *park.Worker, now int64) {
	u := c.unsent
	n, err := w.Write(&c.socket, u.rest)
	for u.rest = u.rest[n:]; n > 0 && len(u.rest) > 0 && err == nil; u.rest = u.rest[n:] { // it tells of room once it had none
		n, err = w.Write(&c.socket, u.rest)
	}
	switch {
	case err != nil || len(u.rest) == 0:
	case now < c.until:
		return
	default:
		err = os.ErrDeadlineExceeded
	}
	c.unsent = nil
	u.then(now, err)
}

// abandon ends the poll, whose client has gone or is to go, and the connection.
func (c *heldPoll) abandon(now int64) {
	p := waiting{asked: c.asked}
	p.look(gone)
	c.left(now)
	c.end()
}

// answered goes on after the response. Without an error it has been written.
func (c *heldPoll) answered(now int64, err error, events []broker.Delivery, again bool) {
	c.written(err, events)
	c.left(now)
	if err != nil || !again {
		c.end()
		return
	}
	c.rests(now)
}

// left is called when the poll has been answered, or cannot be.
func (c *heldPoll) left(now int64) {
	c.back.h.leaves(&c.caller, now)
	c.back.h.pollEnds()
}

// rests waits for a next request.
func (c *heldPoll) rests(now int64) {
	c.phase, c.until = resting, 0
	if d := c.back.idleTimeout(); d > 0 {
		c.waits(now, d)
	}
	c.idle.Store(true)
	if c.more || !c.reusable() { // whoever stops has rung those that rested
		c.socket.Ring()
	}
}

// runResting serves a next request, or ends the connection.
func (c *heldPoll) runResting(w *park.Worker, now int64) (done bool) {
	switch {
	case c.part == nil && !c.reusable():
		c.end()
		return true
	case !c.more && c.until > 0 && now >= c.until:
		c.late()
		return true
	case c.early:
		raw := c.part
		c.part, c.early = nil, false
		return c.received(w, now, raw)
	case !c.more && c.part == nil:
		return true
	}
	n, err := w.Read(&c.socket)
	switch {
	case err != nil || n == 0:
		c.end()
		return true
	case n < 0:
		if c.more = false; c.until > 0 && now >= c.until {
			c.late()
		}
		return true
	}
	// What came with this was read with it. The end did not, if it was announced together; and something may be left.
	c.more = c.ends || n == len(w.Buf)
	return c.received(w, now, c.join(w.Buf[:n]))
}

// received serves a request like the last where it came, and gives any other back to the server.
func (c *heldPoll) received(w *park.Worker, now int64, raw []byte) (done bool) {
	h := c.back.h
	var m message
	if c.alike(raw, &m) {
		if _, _, in := h.enter(&c.caller, now); in {
			c.begins()
			a, ok := c.serveAlike(w, now, &m)
			c.done(w, a, ok)
			return true
		}
	}
	if raw = withoutLines(raw); len(raw) == 0 {
		if c.more {
			c.socket.Ring()
		}
		return true
	}
	head, text, rest := c.likeRaw(raw)
	if rest {
		c.expects(raw)
		return true
	}
	c.begins()
	if head == nil {
		c.returns(slices.Clone(raw))
		return true
	}
	c.serveNext(w, head, string(text))
	return true
}

// begins is called when a request is there.
func (c *heldPoll) begins() {
	c.part, c.phase = nil, serving
	c.idle.Store(false)
}

// serveNext serves a request.
func (c *heldPoll) serveNext(w *park.Worker, head *knownHead, body string) {
	w.Away() // it may have to wait: for a key, to verify a credential, or for a disk
	defer w.Back()
	a := &answer{c: c, header: http.Header{}, mark: head.mark, last: head.Close}
	c.done(w, a, a.serveAs(head.Request, body))
}

// done goes on after a request has been served, and answers it if it is not held; ok is false if something panicked.
func (c *heldPoll) done(w *park.Worker, a *answer, ok bool) {
	switch {
	case !ok && c.phase == holding: // who panicked came after that
		c.abandon(c.back.h.now())
		return
	case !ok:
		c.end()
		return
	case a == nil || c.phase == holding: // it is answered, or held again
		return
	case a.hijacked: // by somebody else, who closes it
		c.forget()
		return
	}
	b, again := a.response()
	n, err := w.Write(&c.socket, b)
	if err == nil && n < len(b) {
		c.writes(b[n:], func(now int64, err error) { c.served(now, err, again) })
		return
	}
	c.served(c.back.h.now(), err, again)
}

func (c *heldPoll) served(now int64, err error, again bool) {
	if err != nil || !again {
		c.end()
		return
	}
	c.rests(now)
}

// end closes the connection.
func (c *heldPoll) end() {
	c.socket.Close()
	if c.nc != nil {
		_ = c.nc.Close()
	}
	c.forget()
}

// returns gives the connection back to the server, which reads ahead first.
func (c *heldPoll) returns(ahead []byte) {
	nc := c.conn()
	c.forget()
	go c.back.give(nc, ahead) // it may have to wait for the server
}

// conn is the connection, which is not parked any more: it is somebody else's now.
func (c *heldPoll) conn() net.Conn {
	switch {
	case !c.isParked():
	case c.nc != nil:
		c.socket.Leave()
	default:
		c.nc = c.socket.Conn(net.TCPAddrFromAddrPort(c.kind.local), net.TCPAddrFromAddrPort(c.remote))
	}
	return c.nc
}

// forget is for who has given up the connection.
func (c *heldPoll) forget() {
	h := c.back.h
	c.phase = ended
	c.timer.Stop()
	h.mu.Lock()
	delete(h.held, c)
	h.checkIdle()
	h.mu.Unlock()
}
