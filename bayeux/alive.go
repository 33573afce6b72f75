package bayeux

import (
	"time"

	"github.com/gorilla/websocket"

	"waft/broker/outbox/wsframe"
)

// leave closes the socket after a grace, if no session is left on it.
func (s *socket) leave(grace time.Duration, code int) {
	s.mu.Lock()
	empty := len(s.sessions) == 0
	s.last = empty
	s.mu.Unlock()
	switch {
	case !empty:
	case grace > 0:
		s.timer.Reset(grace)
	default:
		s.shut(code, "")
	}
}

func (s *socket) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// closeWait is how long the peer has to answer a close frame.
const closeWait = 2 * time.Second

// shut sends a close frame and ends the connection soon after. It may be called again.
func (s *socket) shut(code int, reason string) {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.serves()
	s.mu.Unlock()
	if again {
		return
	}
	s.write(wsframe.Closing(code, reason))
	s.timer.Reset(closeWait)
}

// check runs on the wheel. A socket that has been silent for a while is pinged; one that does not answer is closed, and
// its sessions live on until they expire. It is the only way to find out that a peer is gone when nothing is sent.
func (s *socket) check() {
	s.mu.Lock()
	o, now := &s.h.opts, s.h.now()
	closing, last, alone, askedAt := s.closing, s.last, len(s.sessions) == 0, s.askedAt
	asking := s.receiptAt != 0 && s.receiptAt <= now
	if asking {
		s.receiptAt = 0
	}
	s.mu.Unlock()
	patience, asked := s.unanswered(askedAt)
	silent := time.Duration(now - s.heard.Load())
	mute := time.Duration(now - s.spoke.Load())
	switch {
	case closing:
		_ = s.conn.Close()
		return
	case last:
		s.shut(websocket.CloseNormalClosure, "")
		return
	case alone && mute >= o.HandshakeIdle:
		s.h.counters.refuse(RefusedIdle)
		s.shut(websocket.CloseNormalClosure, "no session within the time for it")
		return
	case silent >= o.Ping+o.PongWait, asked && patience <= 0:
		s.h.counters.refuse(RefusedSilent)
		_ = s.conn.Close()
		return
	}
	next := o.Ping - silent
	if next <= 0 {
		_ = s.conn.Write([]byte{0x80 | wsframe.Ping, 0})
		next = o.Ping + o.PongWait - silent
	}
	if alone {
		next = min(next, o.HandshakeIdle-mute)
	}
	if asked {
		next = min(next, patience)
	}
	if asking {
		s.ask.Store(true)
		s.conn.Ready()
		next = min(next, o.PongWait)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiptAt != 0 {
		next = min(next, time.Duration(s.receiptAt-now))
	}
	if !s.closing && !s.last {
		s.timer.Reset(next)
	}
}

// Pinged implements wsread.Owner.
func (s *socket) Pinged(payload string) error {
	s.heard.Store(s.h.now())
	_ = s.conn.Write(wsframe.Append(nil, wsframe.Pong, payload)) // a failed write is a failed read soon
	return nil
}

// Ponged implements wsread.Owner.
func (s *socket) Ponged(payload string) error {
	s.heard.Store(s.h.now())
	s.answeredPing(payload)
	return nil
}

// peerCloses answers the peer's close frame, unless it is an answer itself.
func (s *socket) peerCloses(code int, _ string) error {
	if code == websocket.CloseNoStatusReceived {
		code = websocket.CloseNormalClosure
	}
	s.shut(code, "")
	return nil
}

// gone is the one place where a socket is taken down.
func (s *socket) gone() {
	s.mu.Lock()
	s.closing = true
	s.serves()
	sessions := s.sessions
	s.mu.Unlock()
	_ = s.conn.Finish() // it may be closed, or have its answer to the close frame to write yet
	s.timer.Stop()
	for _, session := range sessions {
		session.unbind(s)
	}
	s.h.depart(s.peer.address)
	s.h.mu.Lock()
	delete(s.h.sockets, s)
	s.h.checkIdle()
	s.h.mu.Unlock()
}
