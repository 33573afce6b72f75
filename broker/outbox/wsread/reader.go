package wsread

import (
	"io"
	"net"
	"slices"

	"github.com/gorilla/websocket"

	"waft/broker/outbox/park"
)

// Owner is whose socket is read. See the package documentation about who calls when.
type Owner interface {
	// Take reads a message from body to its end, and gives what does what it says; nil: nothing is to be done. Only that may wait.
	Take(kind int, body io.Reader) (serve func(), err error)

	// Pinged and Ponged are told the payload.
	Pinged(payload string) error
	Ponged(payload string) error

	// Failed comes last: with an error of gorilla's reader, of the connection, or of Take. It may wait.
	Failed(err error)
}

// Options of a Reader. Owner and Limit are required.
type Options struct {
	Owner  Owner
	Limit  int                     // bytes of a message's payload on the wire, at most
	Packed bool                    // it has permessage-deflate
	Closes func(int, string) error // what gorilla calls with the peer's close frame
	Lot    *park.Lot               // nil: a goroutine reads
}

// Reader reads one WebSocket: Upgrade, then Park, then Start.
type Reader struct {
	// static after Park
	conn   *websocket.Conn
	nc     net.Conn
	owner  Owner
	limit  int
	packed bool
	parked bool

	// owned by Run, or by the goroutine that it has left to
	feed   feed
	ahead  []byte // a part of a message
	hungUp bool   // the end is behind what there is
	ended  bool   // the socket has left the lot

	socket park.Socket
}

var _ park.Owner = (*Reader)(nil)

// Park gives nc, the connection without what the upgrade put around it, to the lot if it can be. Nothing is read before Start. It comes before anybody
// can close nc.
func (r *Reader) Park(nc net.Conn, o Options) {
	r.nc, r.owner, r.limit, r.packed = nc, o.Owner, o.Limit, o.Packed
	r.conn.SetReadLimit(int64(o.Limit))
	r.conn.SetPingHandler(o.Owner.Pinged)
	r.conn.SetPongHandler(o.Owner.Ponged)
	r.conn.SetCloseHandler(o.Closes)
	r.parked = o.Lot != nil && r.socket.Park(o.Lot, nc, r) == nil
}

// Start begins to read.
func (r *Reader) Start() {
	if r.parked {
		r.socket.Done()
	} else {
		go r.block(nil)
	}
}

// Closed is to be called when nc has been closed, which a socket that rests does not notice by itself. It does not block.
func (r *Reader) Closed() {
	if r.parked {
		r.socket.Ring()
	}
}

// Run implements park.Owner.
func (r *Reader) Run(w *park.Worker, what park.Happened) (done bool) {
	r.hungUp = r.hungUp || what&park.HungUp != 0
	for range readsPerRun {
		if r.ended {
			return true
		}
		n, err := w.Read(&r.socket)
		switch {
		case err != nil || n == 0:
			ahead := r.ahead
			r.leave(func() { r.block(ahead) }) // gorilla is to find the same
			return true
		case n < 0:
			return true
		}
		served := r.read(w, w.Buf[:n])
		// What was there was read with this: nobody tells that there is more of it, nor that the end, which has been told of, is next.
		// And to serve a message takes a while, in which the next may have come: whoever publishes one after the other has them joined.
		if !served && !r.hungUp && n < len(w.Buf) {
			return true
		}
	}
	r.socket.Ring() // others have their turn
	return true
}

// readsPerRun keeps a peer who never stops from holding up the others.
const readsPerRun = 16

// read serves what b begins with, which is the worker's, and keeps what is left over. It tells whether there was a message.
func (r *Reader) read(w *park.Worker, b []byte) (served bool) {
	own := len(r.ahead) > 0
	if own {
		b, r.ahead = append(r.ahead, b...), nil
	}
	for len(b) > 0 && !r.ended {
		u := next(b, r.limit, r.packed)
		if u.kind == part {
			if !own {
				b = slices.Clone(b)
			}
			r.ahead = b
			break
		}
		r.serve(w, u, b)
		served = served || u.kind == message
		b = b[u.size:]
	}
	return served
}

// serve serves u, at the head of b.
func (r *Reader) serve(w *park.Worker, u unit, b []byte) {
	switch u.kind {
	case ping:
		_ = r.owner.Pinged(u.unmask()) // an error is for gorilla
	case pong:
		_ = r.owner.Ponged(u.unmask())
	case message:
		lent := r.feed.lend(b[:u.size])
		serve, err := r.next()
		left := r.feed.takeBack(lent)
		switch {
		case err != nil:
			r.leave(func() { r.owner.Failed(err) })
		case left > 0: // nobody wanted the rest of it, and gorilla knows how to go on
			ahead := slices.Clone(b[u.size-left:])
			r.leave(func() {
				serve()
				r.block(ahead)
			})
		default:
			w.Away()
			defer w.Back()
			serve()
		}
	case part, other:
		ahead := slices.Clone(b)
		r.leave(func() { r.block(ahead) })
	}
}

// next has gorilla read a message from the feed.
func (r *Reader) next() (serve func(), err error) {
	kind, body, err := r.conn.NextReader()
	if err == nil {
		serve, err = r.owner.Take(kind, body)
	}
	if serve == nil {
		serve = func() {}
	}
	return serve, err
}

// leave leaves what is left to a goroutine.
func (r *Reader) leave(goOn func()) {
	r.ended, r.ahead = true, nil
	r.socket.Leave()
	go goOn()
}

// block reads to the end, and waits for what comes.
func (r *Reader) block(ahead []byte) {
	r.feed.connect(ahead, r.nc)
	for {
		serve, err := r.next()
		if err != nil {
			r.owner.Failed(err)
			return
		}
		serve()
	}
}
