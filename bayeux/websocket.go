package bayeux

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
	"waft/broker/outbox/wsread"
)

func newUpgrader(compression bool) websocket.Upgrader {
	return websocket.Upgrader{
		WriteBufferPool:   new(sync.Pool), // gorilla writes nothing but control frames, and needs no buffer for those
		HandshakeTimeout:  writeWithin,
		EnableCompression: compression,
		CheckOrigin:       func(*http.Request) bool { return true }, // admit has checked it
		Error: func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			refuse(w, status, "this is not a WebSocket request as RFC 6455 wants it")
		},
	}
}

// serveSocket upgrades the connection and returns. Nothing of the request may stay behind: it would keep the server's
// buffers, three times the memory of a socket.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		h.counters.refuse(RefusedDraining)
		refuse(w, http.StatusServiceUnavailable, "the server is stopping")
		return
	}
	r, compress := h.negotiate(r)
	w, plug := outbox.Upgrading(w)
	s := &socket{h: h, peer: h.peerOf(r), packed: compress}
	if s.reader.Upgrade(&h.upgrader, w, r) != nil {
		h.counters.refuse(RefusedMalformed)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining.Load() { // and Shutdown may have counted the sockets already
		_ = plug.Conn.Close() // it may be closed
		return
	}
	s.reader.Park(plug.Conn, wsread.Options{Owner: s, Limit: s.wireLimit(), Packed: compress, Closes: s.peerCloses, Lot: h.lot})
	s.conn = h.outbox.Attach(plug.Conn, s)
	plug.Out = s.conn
	s.heard.Store(h.now())
	s.spoke.Store(h.now())
	h.sockets[s] = struct{}{}
	h.stay(s.peer.address)
	s.mu.Lock() // check may run before the timer is known
	s.timer = h.wheel.AfterFunc(min(h.opts.Ping, h.opts.HandshakeIdle), s.check)
	s.mu.Unlock()
	s.reader.Start()
}

// Closed implements outbox.CloseWatcher.
func (s *socket) Closed() { s.reader.Closed() }

// Take implements wsread.Owner.
func (s *socket) Take(kind int, r io.Reader) (serve func(), err error) {
	s.heard.Store(s.h.now())
	body, err := readFrame(s.bounded(r))
	switch {
	case err != nil && s.refusedFrame(err):
		return nil, nil
	case err != nil:
		return nil, err
	case s.isClosing():
		return nil, nil
	case kind != websocket.TextMessage:
		s.h.counters.refuse(RefusedMalformed)
		s.shut(websocket.CloseUnsupportedData, "frames must be text")
		return nil, nil
	}
	return func() { s.receive(body) }, nil
}

var frameBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readFrame(r io.Reader) (string, error) {
	buf := frameBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	_, err := buf.ReadFrom(r)
	body := buf.String()
	if buf.Cap() <= keepBuffer {
		frameBuffers.Put(buf)
	}
	return body, err
}

// receive handles one frame.
func (s *socket) receive(body string) {
	switch strings.Trim(body, " \t\r\n") {
	case "":
		return
	case "[]":
		// Faye's client up to 1.2 asks so whether the server is there.
		s.write([]byte{0x80 | wsframe.Text, 2, '[', ']'})
		return
	}
	x := s.h.newExchange(s.h.life, &s.peer, s)
	defer x.done()
	var err error
	x.messages, err = parseJSON(x.messages, body, s.h.opts.MaxBatch)
	switch {
	case errors.Is(err, errTooMany):
		s.h.counters.refuse(RefusedTooLarge)
		s.shut(websocket.CloseMessageTooBig, "too many messages in one frame")
		return
	case err != nil:
		s.h.counters.refuse(RefusedMalformed)
		s.shut(websocket.CloseInvalidFramePayloadData, "a frame must be a Bayeux message or an array of them")
		return
	case len(x.messages) == 0:
		return
	}
	s.spoke.Store(s.h.now())
	x.run()
	if len(x.replies.buf) > 0 {
		x.flush()
	}
}

// flush sends the events that wait and then the replies so far, as one frame.
func (x *exchange) flush() {
	frame := x.frame[:0]
	if len(x.replies.buf) > 0 {
		frame = x.replies.appendFrame(frame)
	}
	x.sock.write(frame)
	x.frame, x.replies.buf = frame, x.replies.buf[:0]
}

// Failed implements wsread.Owner. It sees the connection off.
func (s *socket) Failed(err error) {
	defer s.gone()
	if _, closed := errors.AsType[*websocket.CloseError](err); closed || s.conn.Err() != nil {
		return
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		s.h.counters.refuse(RefusedTooLarge)
	}
	// Gorilla has sent a close frame if the peer broke the protocol. To close now, with input unread, would reset the connection,
	// and the peer might never see it.
	s.mu.Lock()
	s.closing = true
	s.serves()
	s.mu.Unlock()
	s.timer.Reset(closeWait)
	_, _ = io.Copy(io.Discard, io.LimitReader(s.conn.NetConn(), 16<<20)) // until the peer closes, or check does
}
