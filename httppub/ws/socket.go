package ws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsread"
)

// socket is one WebSocket: one session, one connection. Gorilla upgrades and reads; everything that is written goes through conn, in frames
// made here.
type socket struct {
	// What a delivery touches fills a cache line, with the first fields of feed.
	session *broker.Session // static after open
	mu      sync.Mutex      // guards the rest of these, but window, and the last
	window  int32           // messages that may be unacknowledged; 0: nothing is acknowledged; static after open
	closing bool            // a close frame was sent: no more messages, no more frames
	proven  bool            // the client has shown a credential, or done something
	over    bool            // the connection has ended
	feed    feed            // what is sent

	// static after open
	h       *Handler
	from    netip.Addr
	life    context.Context // ends with the connection
	endLife context.CancelFunc

	conn    atomic.Pointer[outbox.Conn] // nil until attach
	heard   atomic.Int64                // when anything came from the peer, on the handler's clock
	working sync.WaitGroup              // a subscription that catches up

	// owned by whoever reads
	reader wsread.Reader
	said   broker.Tally // frames

	// guarded by mu
	timer *broker.Timer
	who   broker.Principal
	tasks tasks // subscriptions on their way
}

var (
	_ outbox.Source       = (*socket)(nil)
	_ outbox.CloseWatcher = (*socket)(nil)
	_ wsread.Owner        = (*socket)(nil)
)

// open makes the session and the socket. After an error there is neither.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, who broker.Principal, a ask, from netip.Addr) error {
	s := &socket{h: h, from: from, window: int32(min(a.window, math.MaxInt32)), who: who, proven: !who.Anonymous()}
	var err error
	s.session, err = h.broker.Open(broker.SessionOptions{
		Protocol: "websocket", MaxMessages: h.opts.MaxMessages, MaxBytes: h.opts.MaxBytes, MaxSubscriptions: h.opts.MaxSubscriptions,
		Wake: s.wake, Ended: s.ended, Lapsed: s.lapsed,
	})
	if err != nil {
		return err
	}
	w, plug := outbox.Upgrading(w)
	if err = s.reader.Upgrade(&h.upgrader, w, r); err != nil {
		s.session.Close(errGone)
		if _, refused := errors.AsType[websocket.HandshakeError](err); refused {
			return errUpgrade
		}
		return errLost
	}
	s.life, s.endLife = context.WithCancel(h.life)
	s.heard.Store(h.now())
	s.reader.Park(plug.Conn, wsread.Options{Owner: s, Limit: h.opts.MaxFrame, Closes: s.peerCloses, Lot: h.lot})
	plug.Out = h.outbox.Attach(plug.Conn, s)
	s.attach(plug.Out)
	s.reader.Start() // and nothing of the request stays behind
	return nil
}

// Closed implements outbox.CloseWatcher.
func (s *socket) Closed() { s.reader.Closed() }

// attach makes the socket known. Only then does anything reach it.
func (s *socket) attach(c *outbox.Conn) {
	h := s.h
	h.counters.opened.Add(1)
	s.mu.Lock() // check may run before the timer is known
	s.conn.Store(c)
	s.timer = h.broker.Wheel().AfterFunc(s.firstCheck(), s.check)
	s.feed.begin(h.now())
	s.mu.Unlock()
	s.session.Rings(c)
	h.mu.Lock()
	h.sockets[s] = struct{}{}
	h.mu.Unlock()
	if h.guests.IsClosing() { // Shutdown may have looked at the sockets already
		s.session.Close(broker.ErrShutdown)
	}
	if reason := s.session.Err(); reason != nil {
		s.shut(reason)
	}
}

// Take implements wsread.Owner.
func (s *socket) Take(kind int, body io.Reader) (serve func(), err error) {
	s.heard.Store(s.h.now())
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	if _, err = buf.ReadFrom(body); err == nil {
		serve = s.take(kind, buf.Bytes())
	}
	if buf.Cap() <= keptBuffer {
		buffers.Put(buf)
	}
	return serve, err
}

// take gives what a message makes necessary. body is not kept.
func (s *socket) take(kind int, body []byte) (serve func()) {
	switch {
	case s.isClosing():
	case kind != websocket.TextMessage:
		return func() { s.end(errBinary) }
	case !isText(body):
		return func() { s.end(errNoText) }
	default:
		f, err := parseFrame(body)
		return func() { s.receive(&f, err) }
	}
	return nil
}

// buffers are what frames are read into. Those that a large one has grown are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBuffer = 64 << 10

// receive handles one frame, or says what was wrong with it.
func (s *socket) receive(f *frame, err error) {
	if paced := s.pace(f); paced != nil {
		err = paced
	}
	if err != nil {
		s.fail(f, err)
		return
	}
	switch f.kind {
	case "auth":
		s.authenticate(f)
	case "subscribe", "unsubscribe":
		s.perform(f)
	case "publish":
		s.publish(f)
	case "ack":
		s.acknowledge(f)
	case "ping":
		s.tell(&answer{Type: "pong", Ref: f.ref})
	}
}

// Failed implements wsread.Owner. It sees the connection off.
func (s *socket) Failed(err error) {
	defer s.gone()
	_, closed := errors.AsType[*websocket.CloseError](err)
	_, cut := errors.AsType[*net.OpError](err)
	if closed || cut || s.conn.Load().Err() != nil {
		return
	}
	reason := errBroken
	if errors.Is(err, websocket.ErrReadLimit) {
		reason = errTooLarge
	}
	s.mu.Lock()
	told := s.closing
	s.closing = true // gorilla has sent a close frame if the peer broke the protocol
	s.mu.Unlock()
	if told {
		return
	}
	s.session.Close(reason)
	// To close now, with input unread, would reset the connection, and the peer might never see the close frame.
	s.timer.Reset(closeWait)
	_, _ = io.Copy(io.Discard, io.LimitReader(s.conn.Load().NetConn(), 16<<20)) // until the peer closes, or check does
}

// gone is the one place where a socket is taken down.
func (s *socket) gone() {
	s.mu.Lock()
	s.closing, s.over = true, true
	s.mu.Unlock()
	_ = s.conn.Load().Finish() // it may be closed, or have its answer to the close frame to write yet
	s.timer.Stop()
	s.endLife()
	s.working.Wait()
	s.session.Close(errGone)
	s.h.mu.Lock()
	delete(s.h.sockets, s)
	s.h.mu.Unlock()
	s.h.counters.ended[endOf(s.session.Err())].Add(1)
	s.h.guests.Leave(s.from)
}

func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// wake implements broker.SessionOptions.Wake.
func (s *socket) wake(*broker.Session) {
	if c := s.conn.Load(); c != nil {
		c.Ready()
	}
}
