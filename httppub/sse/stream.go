package sse

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/park"
	"waft/httppub/place"
)

// stream is one open stream of events: one session, one connection.
type stream struct {
	// What a delivery touches is half a cache line.
	session *broker.Session // static after open
	cursor  *place.Cursor   // of whoever opens the stream, and then of Fill; with form single the messages say where it is, and nobody asks
	ping    atomic.Bool     // a comment is due
	form    form            // static after open

	// static after open
	h    *Handler
	from netip.Addr

	conn atomic.Pointer[outbox.Conn] // nil until attach
	end  park.End                    // without a goroutine, where that can be

	mu      sync.Mutex // guards the rest
	timer   *broker.Timer
	closing bool
	said    bool // the last event
}

var _ outbox.CloseWatcher = (*stream)(nil)

// Why sessions end, beside the broker's own reasons.
var (
	errGone    = &broker.Error{Kind: broker.Closed, Text: "the client has gone"}
	errRevoked = &broker.Error{Kind: broker.Forbidden, Text: "a channel of the stream is no longer allowed"}
)

// lapsed implements broker.SessionOptions.Lapsed: a stream lasts as long as all of its channels are granted.
func lapsed(s *broker.Session, _ broker.Pattern, reason error) {
	if errors.Is(reason, broker.ErrCredentialExpired) {
		s.Close(broker.ErrCredentialExpired)
	} else {
		s.Close(errRevoked)
	}
}

// wake implements broker.SessionOptions.Wake.
func (st *stream) wake(*broker.Session) {
	if c := st.conn.Load(); c != nil {
		c.Ready()
	}
}

// ended implements broker.SessionOptions.Ended. Before attach there is nobody to tell; attach looks by itself.
func (st *stream) ended(_ *broker.Session, reason error) {
	if c := st.conn.Load(); c != nil {
		st.farewell(c, reason)
	}
}

// farewell says why the stream ends, and closes it behind what has been written.
func (st *stream) farewell(c *outbox.Conn, reason error) {
	st.mu.Lock()
	first := !st.said
	st.said = true
	st.mu.Unlock()
	if !first {
		return // whoever was closes it, behind the last event
	}
	if !errors.Is(reason, errGone) {
		_ = c.Write(endEvent(reason)) // it may be closed
	}
	_ = c.Finish()
}

// endEvent is the last event. It has no id: the client's is right.
func endEvent(reason error) []byte {
	data, err := json.Marshal(struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}{endOf(reason).String(), broker.TextOf(reason)})
	if err != nil {
		return nil // texts can be marshalled
	}
	return append(append([]byte("event: end\ndata: "), data...), "\n\n"...)
}

// wait has the stream taken down when the client is gone. A client sends nothing on a stream: whatever comes, it is the end.
func (st *stream) wait(nc net.Conn) {
	if !st.end.Park(st.h.lot, nc, st.gone) {
		go st.run()
	}
}

// Closed implements outbox.CloseWatcher.
func (st *stream) Closed() { st.end.Ring() }

// run is wait where a goroutine has to.
func (st *stream) run() {
	defer st.gone()
	var b [1]byte
	_, _ = st.conn.Load().NetConn().Read(b[:])
}

// gone is the one place where an attached stream is taken down.
func (st *stream) gone() {
	st.mu.Lock()
	st.closing = true
	st.mu.Unlock()
	_ = st.conn.Load().Close() // it may be closed
	st.timer.Stop()
	st.h.mu.Lock()
	delete(st.h.streams, st)
	st.h.mu.Unlock()
	st.over()
}

// over ends the session, if it has not, and the count of the stream.
func (st *stream) over() {
	st.session.Close(errGone)
	st.h.counters.ended[endOf(st.session.Err())].Add(1)
	st.h.guests.Leave(st.from)
}

// check runs on the wheel: proxies close what is silent, and a client that has gone without a word is noticed by what it does not take.
func (st *stream) check() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.closing {
		st.timer.Reset(st.h.opts.KeepAlive)
		st.ping.Store(true)
		st.conn.Load().Ready()
	}
}

// batch is how many events are written at a time, so that one stream does not hold up its shard.
const batch = 64

// Fill implements outbox.Source.
func (st *stream) Fill(sc *outbox.Scratch) []byte {
	if m := st.session.Only(); m != nil { // as most of the time, and half the work
		if b := st.event(sc, m); len(b) > 0 {
			sc.Dry = !st.ping.Load()
			return b
		}
	}
	for {
		sc.Deliveries, sc.Dry = st.session.DrainMax(sc.Deliveries[:0], batch)
		sc.Dry = sc.Dry && !st.ping.Load()
		if len(sc.Deliveries) == 0 {
			if st.ping.Swap(false) {
				return st.comment(sc)
			}
			return nil
		}
		if b := st.events(sc); len(b) > 0 {
			return b
		}
	}
}

// Prefetch implements outbox.Source.
func (st *stream) Prefetch() {
	st.session.Prefetch()
	if !st.form.has(single) {
		st.cursor.Prefetch()
	}
}

// event is events for one message. Without a form here it has none.
func (st *stream) event(sc *outbox.Scratch, m *broker.Message) []byte {
	if !st.form.has(single) {
		sc.Deliveries = append(sc.Deliveries[:0], broker.Delivery{Message: m})
		return st.events(sc)
	}
	b, _ := m.Encoded(st.form)
	return b
}

// events gives the bytes of what was drained: shared ones where the ids are the same for all, else a copy of what was made for who is at the same
// places, or made.
func (st *stream) events(sc *outbox.Scratch) []byte {
	if st.form.has(single) {
		return sc.Join(st.form, sc.Deliveries, st.form.append)
	}
	memo := st.h.memos.Get().(*place.Memo)
	sc.Buf = memo.Append(sc.Buf[:0], st.cursor, st.form, sc.Deliveries)
	st.h.memos.Put(memo)
	return sc.Buf
}

// comment gives what keeps the connection open. Where there are wildcards it has an id as well, which browsers take without telling the
// page: the older the base is, the less it is worth.
func (st *stream) comment(sc *outbox.Scratch) []byte {
	sc.Buf = append(sc.Buf[:0], ":\n"...)
	if st.cursor.Wild() {
		memo := st.h.memos.Get().(*place.Memo)
		defer st.h.memos.Put(memo)
		st.cursor.Advance(time.Now().UnixMilli())
		sc.Buf = append(sc.Buf, idField...)
		sc.Buf = append(memo.AppendPlace(sc.Buf, st.cursor), '\n')
	}
	sc.Buf = append(sc.Buf, '\n')
	return sc.Buf
}

// attach gives the connection to the outbox. Only then does anything reach it but what has been written by hand.
func (st *stream) attach(c *outbox.Conn) {
	h := st.h
	st.mu.Lock() // check may run before the timer is known
	st.conn.Store(c)
	st.timer = h.broker.Wheel().AfterFunc(h.opts.KeepAlive, st.check)
	st.mu.Unlock()
	st.session.Rings(c)
	h.mu.Lock()
	h.streams[st] = struct{}{}
	h.mu.Unlock()
	if h.guests.IsClosing() { // Shutdown may have looked at the streams already
		st.session.Close(broker.ErrShutdown)
	}
	if reason := st.session.Err(); reason != nil {
		st.farewell(c, reason)
	}
	c.Ready() // what waits
}
