package bayeux

import (
	"time"

	"github.com/gorilla/websocket"
)

// disconnect ends the session. Its connect, if one is held, is answered before the disconnect: CometD's client closes its
// socket only if no connect is outstanding by then. Bayeux: /meta/disconnect.
func (x *exchange) disconnect(m *message) {
	s, f := x.session(m)
	if !f.ok() {
		x.replies.add(&reply{id: m.id, channel: jsonDisconnect, fault: f})
		return
	}
	x.h.forget(s)
	if x.sock != nil {
		x.flush() // what the session still has to get goes first
	}
	s.mu.Lock()
	held := s.held
	if held != nil && held.sock == x.sock {
		s.unhold() // else it is answered where it is held
	} else {
		held = nil
	}
	s.mu.Unlock()
	if held != nil {
		held.timer.Stop()
		r := s.farewellReply(held.id, held.batch, farewell{successful: true, advice: x.h.advice.none})
		x.replies.add(&r)
	}
	x.replies.add(&reply{id: m.id, clientID: s.id(), channel: jsonDisconnect, successful: true})
	if x.sock != nil {
		// Before the session ends, so that its end finds nothing left to do.
		x.flush()
		s.settle() // it is leaving: it has what it wants
		s.unbind(x.sock)
		x.sock.leave(closeGrace, websocket.CloseNormalClosure)
	}
	s.queue.Close(errDisconnected)
}

// closeGrace is how long the client has to close the socket itself after a disconnect.
const closeGrace = 500 * time.Millisecond

// forget makes the session unknown to further messages at once.
func (h *Handler) forget(s *session) {
	h.mu.Lock()
	delete(h.sessions, s.id())
	h.mu.Unlock()
}
