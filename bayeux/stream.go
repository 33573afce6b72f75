package bayeux

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/park"
	"waft/broker/outbox/wsframe"
)

// stream is an open EventSource: the endpoint of one session, and of no other.
type stream struct {
	// static after openStream
	h    *Handler
	s    *session
	from netip.Addr
	conn *outbox.Conn

	end park.End // without a goroutine, where that can be

	mu      sync.Mutex    // guards the rest
	timer   *broker.Timer // next comment
	closing bool

	// owned by check
	aging   uint64 // in what the session was sent: up to where it was there at agingAt
	agingAt int64
}

var (
	_ endpoint            = (*stream)(nil)
	_ outbox.CloseWatcher = (*stream)(nil)
)

// openStream makes nc, on which the head has been sent, the session's endpoint. It is nil, and nc closed, if it is too late for that.
func (h *Handler) openStream(nc net.Conn, s *session, from netip.Addr) *stream {
	st := &stream{h: h, s: s, from: from, agingAt: h.now()}
	st.conn = h.outbox.Attach(nc, st)
	s.heard.Store(h.now())
	h.mu.Lock()
	late := h.draining.Load() // Shutdown may have counted the streams already
	if !late {
		h.streams[st] = struct{}{}
		h.stay(from)
	}
	h.mu.Unlock()
	if late {
		_ = st.conn.Close()
		return nil
	}
	st.mu.Lock() // check may run before the timer is known
	st.timer = h.wheel.AfterFunc(h.opts.Ping, st.check)
	st.mu.Unlock()
	if !s.bind(st) {
		st.gone()
		return nil
	}
	st.conn.Ready() // what waits
	return st
}

// wait has the stream taken down at its end. A browser sends nothing on a stream: whatever comes, it is the end.
func (st *stream) wait() {
	if !st.end.Park(st.h.lot, st.conn.NetConn(), st.gone) {
		go st.read()
	}
}

// Closed implements outbox.CloseWatcher.
func (st *stream) Closed() { st.end.Ring() }

// read is wait where a goroutine has to.
func (st *stream) read() {
	defer st.gone()
	var b [1]byte
	_, _ = st.conn.NetConn().Read(b[:])
}

// gone is the one place where a stream is taken down.
func (st *stream) gone() {
	st.mu.Lock()
	st.closing = true
	st.mu.Unlock()
	_ = st.conn.Close() // it may be closed
	st.timer.Stop()
	st.s.unbind(st)
	st.h.depart(st.from)
	st.h.mu.Lock()
	delete(st.h.streams, st)
	st.h.checkIdle()
	st.h.mu.Unlock()
}

// leave closes the stream behind what has been written.
func (st *stream) leave() {
	st.mu.Lock()
	st.closing = true
	st.mu.Unlock()
	_ = st.conn.Finish() // it may be closed
}

// streamComment is a line that says nothing: proxies close what is silent.
var streamComment = []byte(":\n\n")

// minPatience is the shortest time that a stream is kept without a message of its client. Browsers let the timers of a hidden page
// run once a minute.
const minPatience = 90 * time.Second

// check runs on the wheel. A stream cannot be asked whether somebody listens; that the client's heartbeats stay away is
// how one finds out. Then its session lives on until it expires.
func (st *stream) check() {
	o := &st.h.opts
	patience := max(o.Timeout, o.Interval) + o.MaxInterval
	left := max(patience, minPatience) - time.Duration(st.h.now()-st.s.heard.Load())
	st.mu.Lock()
	closing := st.closing
	if !closing && left > 0 {
		st.timer.Reset(min(o.Ping, left))
	}
	st.mu.Unlock()
	switch {
	case closing:
	case left <= 0:
		st.h.counters.refuse(RefusedSilent)
		_ = st.conn.Close()
	default:
		st.age()
		_ = st.conn.Write(streamComment) // a failed write is a failed read soon
	}
}

// Fill implements outbox.Source.
func (st *stream) Fill(sc *outbox.Scratch) []byte {
	form := lineForm{st.s.form()}
	for {
		first := st.s.takeNumbered(st.conn, sc)
		if len(sc.Deliveries) == 0 {
			return nil
		}
		var b []byte
		if st.h.keeps() {
			b = form.appendNumbered(sc.Buf[:0], sc.Deliveries, first)
			sc.Buf = b
		} else {
			b = sc.Join(form, sc.Deliveries, form.append)
		}
		if len(b) > 0 {
			return b
		}
	}
}

// Prefetch implements outbox.Source.
func (st *stream) Prefetch() { st.s.prefetch() }

func (st *stream) wake() { st.conn.Ready() }

func (st *stream) attach(*session) {}

func (st *stream) detach(*session) {}

func (st *stream) replaced(*session, *heldConnect) { st.leave() }

// lineForm is a message's form on a stream: a line of data with an array of the one event. It is made of the frame, once for all streams of
// a shard that have the same pending, so that no second form is kept.
type lineForm struct{ frames *eventForm }

func (f lineForm) append(dst []byte, ds []broker.Delivery) []byte {
	for _, d := range ds {
		if frame, err := d.Message.Encoded(f.frames); err == nil {
			dst = appendData(dst, frame)
		}
	}
	return dst
}

func appendData(dst, frame []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, frame[wsframe.HeaderLen(frame):]...) // compact JSON: it has no line ends
	return append(dst, "\n\n"...)
}
