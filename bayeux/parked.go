package bayeux

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"waft/broker"
	"waft/broker/outbox/park"
)

// Where it can be, a held poll has no goroutine at all: its connection is parked (package park), and what happens to it is seen to by a
// worker of its loop, one thing after the other. Somebody rings when there are events, or the session ends, or its time has passed; then
// the response is written with one system call, and the connection waits on for its next request in the same place. If that is a poll
// like the last, it is read, served and held again by the worker, and no goroutine was made for any of it.
//
// A worker must not wait. So what a socket does not take is written by a goroutine, and requests with other messages than connects,
// which may have to wait for a disk, are served by one. What a server has in front of this handler should not wait for long; if it does, the
// loop gets another worker.

// parked is what a held poll needs for that.
type parked struct {
	// static
	socket park.Socket
	timer  *broker.Timer // rings, at until; nil: it has a goroutine

	// owned by Run
	phase phase
	more  bool   // there may be something to read
	ends  bool   // the end is behind what there is: it is told of once
	heard bool   // the next request has come, and stays where it is
	until int64  // on the handler's clock: when the hold ends, or the wait for a next request; 0: never
	head  uint64 // of the poll, as heads numbers it; 0: it is not known
}

type phase uint8

const (
	unparked phase = iota // its goroutine is at it
	holding               // for something to say
	resting               // until the next request comes
	serving               // it
	ended                 // the connection is closed, or somebody else's
)

var _ park.Owner = (*heldPoll)(nil)

// park makes c a poll without a goroutine; Run is not called yet. It is false if that cannot be.
func (c *heldPoll) park() bool {
	if c.socket.Park(c.s.h.lot, c.nc, c) != nil {
		return false
	}
	c.timer = c.s.h.wheel.AfterFunc(c.hold, c.socket.Ring)
	return true
}

// isParked tells whether c has no goroutine, which never changes.
func (c *heldPoll) isParked() bool { return c.timer != nil }

// holds begins to hold the poll that is now in c.asked.
func (c *heldPoll) holds() {
	c.phase, c.heard = holding, false
	c.until = c.s.h.now() + int64(c.hold)
	c.timer.Reset(c.hold)
	p := c.poll
	c.s.mu.Lock()
	p.held = c
	late := p.superseded || c.s.queue.Pending() > 0 || c.s.queue.Err() != nil
	c.s.mu.Unlock()
	if late || c.more { // nobody has rung for that
		c.socket.Ring()
	}
}

// Run implements park.Owner.
func (c *heldPoll) Run(w *park.Worker, what park.Happened) (done bool) {
	c.more = c.more || what&(park.Readable|park.HungUp) != 0
	c.ends = c.ends || what&park.HungUp != 0
	switch c.phase {
	case holding:
		return c.runHeld(w)
	case resting:
		return c.runResting(w)
	case unparked, serving, ended:
	}
	return true
}

// runHeld answers the poll, if there is something to say.
func (c *heldPoll) runHeld(w *park.Worker) (done bool) {
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
		c.abandon()
		return true
	}
	if c.s.h.now() >= c.until {
		c.s.mu.Lock()
		c.poll.expired = true
		c.s.mu.Unlock()
	}
	x := c.s.h.newExchange(present, nil, nil)
	defer x.done()
	x.waiting = append(x.waiting, waiting{asked: c.asked, events: x.drained})
	p := &x.waiting[0]
	if !p.look(present) {
		return true
	}
	x.drained = p.events
	b, again := c.response(x, p)
	n, err := w.Write(&c.socket, b)
	if err == nil && n < len(b) {
		rest, events := slices.Clone(b[n:]), slices.Clone(p.events)
		go func() {
			c.answered(c.writeRest(rest), events, again)
			c.socket.Done()
		}()
		return false
	}
	c.answered(err, p.events, again)
	return true
}

// abandon ends the poll, whose client has gone or is to go, and the connection.
func (c *heldPoll) abandon() {
	p := waiting{asked: c.asked}
	p.look(gone)
	c.left()
	c.end()
}

// answered goes on after the response. Without an error it has been written.
func (c *heldPoll) answered(err error, events []broker.Delivery, again bool) {
	c.written(err, events)
	c.left()
	if err != nil || !again {
		c.end()
		return
	}
	c.rests()
}

// left is called when the poll has been answered, or cannot be.
func (c *heldPoll) left() {
	c.s.h.depart(c.address)
	c.s.h.pollEnds()
}

// rests waits for a next request.
func (c *heldPoll) rests() {
	h := c.s.h
	c.phase, c.until = resting, 0
	if d := c.back.idleTimeout(); d > 0 {
		c.until = h.now() + int64(d)
		c.timer.Reset(d)
	} else {
		c.timer.Stop()
	}
	h.mu.Lock()
	c.idle = true
	h.mu.Unlock()
	if c.more || !c.reusable() { // whoever stops has rung those that rested
		c.socket.Ring()
	}
}

// runResting serves a next request, or ends the connection.
func (c *heldPoll) runResting(w *park.Worker) (done bool) {
	h := c.s.h
	switch {
	case !c.reusable():
		c.end()
		return true
	case !c.more && c.until > 0 && h.now() >= c.until:
		c.end()
		return true
	case !c.more:
		return true
	}
	n, err := w.Read(&c.socket)
	switch {
	case err != nil || n == 0:
		c.end()
		return true
	case n < 0:
		c.more = false
		return true
	}
	// What came with this was read with it. The end did not, if it was announced together; and something may be left.
	c.more = c.ends || n == len(w.Buf)
	return c.received(w, w.Buf[:n])
}

// received serves a request like the last where it came, and gives any other back to the server.
func (c *heldPoll) received(w *park.Worker, raw []byte) (done bool) {
	h := c.s.h
	h.mu.Lock()
	c.idle = false
	h.mu.Unlock()
	c.phase = serving
	head, text := c.likeRaw(raw)
	if head == nil {
		c.leave(toServer, slices.Clone(raw))
		return true
	}
	body := string(text)
	if head.number == c.head && c.head != 0 && c.knowsFront() {
		if m, ok := plainConnect(body); ok {
			if _, _, in := h.enter(c.address); in {
				a, ok := c.serveAlike(&m)
				return c.done(w, a, ok)
			}
		}
	}
	if isConnect(body) {
		return c.serveNext(w, head, body)
	}
	go func() {
		c.serveNext(nil, head, body)
		c.socket.Done()
	}()
	return false
}

// serveNext serves a request; on the worker w, or on a goroutine if that is nil.
func (c *heldPoll) serveNext(w *park.Worker, head *knownHead, body string) (done bool) {
	a := &answer{c: c, header: http.Header{}, number: head.number, last: head.Close}
	return c.done(w, a, a.serveAs(head.Request, body))
}

// done goes on after a request has been served, and answers it if it is not held; ok is false if something panicked.
func (c *heldPoll) done(w *park.Worker, a *answer, ok bool) (done bool) {
	switch {
	case !ok && c.phase == holding: // who panicked came after that
		c.abandon()
		return true
	case !ok:
		c.end()
		return true
	case c.phase == holding: // again
		return true
	case a.hijacked: // by somebody else, who closes it
		c.leave(nowhere, nil)
		return true
	}
	b, again := a.response()
	if w == nil {
		c.served(c.writeRest(b), again)
		return true
	}
	n, err := w.Write(&c.socket, b)
	if err == nil && n < len(b) {
		go func() {
			c.served(c.writeRest(b[n:]), again)
			c.socket.Done()
		}()
		return false
	}
	c.served(err, again)
	return true
}

func (c *heldPoll) served(err error, again bool) {
	if err != nil || !again {
		c.end()
		return
	}
	c.rests()
}

// writeRest blocks.
func (c *heldPoll) writeRest(b []byte) error {
	if err := c.write(b); err != nil {
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{}) // it is written to without a deadline next
}

// end closes the connection.
func (c *heldPoll) end() {
	c.leave(nowhere, nil)
	_ = c.nc.Close() // it may be closed
}

// leave takes the connection out of the lot: it is somebody else's now. If that is the server it reads ahead first.
func (c *heldPoll) leave(to whereto, ahead []byte) {
	h := c.s.h
	c.phase = ended
	c.timer.Stop()
	c.socket.Leave()
	h.mu.Lock()
	delete(h.held, c)
	h.checkIdle()
	h.mu.Unlock()
	if to == toServer {
		go c.back.give(c.nc, ahead) // it may have to wait for the server
	}
}

// isConnect tells whether the body is that of one connect, most likely: it decides about who serves it, and nothing else.
func isConnect(body string) bool {
	return strings.Count(body, `"channel"`) == 1 && strings.Contains(body, `"/meta/connect"`)
}
