package bayeux

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsread"
)

// socket is one WebSocket and the sessions it serves: nearly always one, but a second handshake on it makes a second.
//
// Gorilla upgrades and reads. Everything that is written goes through conn, in frames made here: nobody waits for the
// socket, and a reply comes after the events that were there before it.
type socket struct {
	// What a delivery touches is half a cache line.
	conn    *outbox.Conn // static after serveSocket, like packed and h
	h       *Handler
	only    atomic.Pointer[session] // whom Fill serves without a lock: see serves
	ask     atomic.Bool             // Fill is to ask whether what was sent has arrived
	packed  bool                    // it negotiated compression
	closing bool                    // a close frame was sent: no more events, no more messages
	last    bool                    // the last session has gone: close once the client has had its chance

	mu       sync.Mutex // guards what is not said to be something else
	sessions []*session // oldest first; copied when it changes
	departed *session   // the last to end here, until the next one comes

	timer *broker.Timer // static after serveSocket: next look at whether the peer is there; when closing, the end of patience

	// owned by whoever reads
	reader wsread.Reader
	peer   peer

	heard atomic.Int64 // when anything came from the peer, on the handler's clock
	spoke atomic.Int64 // when a message came

	receiptAt int64  // when to ask, on the handler's clock; 0: there is nothing to ask after, or an answer is due
	asked     uint32 // number of the latest question
	askedAt   int64  // when it was asked; 0: it has been answered
}

var (
	_ endpoint      = (*socket)(nil)
	_ outbox.Source = (*socket)(nil)

	_ outbox.CloseWatcher = (*socket)(nil)
	_ wsread.Owner        = (*socket)(nil)
)

// maxSessions is how many sessions one socket serves. Beyond, the oldest gets nothing until it connects again.
const maxSessions = 4

// send sends one reply in a frame of its own.
func (s *socket) send(r *reply) {
	l := s.h.list(nil)
	l.add(r)
	s.write(l.appendFrame(nil))
}

// write sends frame after the events that wait, so that a publish is acknowledged after the publisher's own event.
func (s *socket) write(frame []byte) {
	if err := s.conn.Write(frame); errors.Is(err, outbox.ErrPending) {
		s.h.counters.refuse(RefusedUnread)
	} // any other failed write is a failed read soon
}

// Fill implements outbox.Source.
func (s *socket) Fill(sc *outbox.Scratch) []byte {
	if only := s.only.Load(); only != nil && !s.ask.Load() {
		b := s.taken(sc, only)
		sc.Dry = sc.Dry && !s.ask.Load()
		return b
	}
	s.mu.Lock()
	sessions, closing := s.sessions, s.closing
	s.mu.Unlock()
	if closing {
		return nil // the events are for the next endpoint
	}
	if s.ask.Load() {
		if number, ok := s.question(sessions); ok {
			sc.Buf = appendPing(sc.Buf[:0], number)
			return sc.Buf
		}
	}
	for _, session := range sessions {
		if b := s.events(sc, session); len(b) > 0 {
			sc.Dry = sc.Dry && len(sessions) == 1 && !s.ask.Load()
			return b
		}
	}
	return nil
}

// Prefetch implements outbox.Source.
func (s *socket) Prefetch() {
	if only := s.only.Load(); only != nil {
		only.prefetch()
	}
}

// events gives the frames of some of what waits for a session.
func (s *socket) events(sc *outbox.Scratch, from *session) []byte {
	if from.ack != nil {
		return s.batch(sc, from)
	}
	return s.taken(sc, from)
}

// taken is events without the acknowledge extension.
func (s *socket) taken(sc *outbox.Scratch, from *session) []byte {
	if m, r := from.takeOnly(s.conn); m != nil {
		if b := s.asking(sc, r, s.frame(from, m)); len(b) > 0 {
			sc.Dry = true
			return b
		}
	}
	for {
		r := from.take(s.conn, sc)
		if len(sc.Deliveries) == 0 {
			return nil
		}
		if b := s.asking(sc, r, s.frames(sc, from, sc.Deliveries)); len(b) > 0 {
			return b
		}
	}
}

// asking sees to it that is asked after b, which is about to be sent, and may put the question behind it.
func (s *socket) asking(sc *outbox.Scratch, r receipt, b []byte) []byte {
	if r.began {
		s.askLater(s.h.now())
	}
	if r.half {
		b = s.askAlong(sc, b)
	}
	return b
}

// bindSocket makes sock the session's endpoint. It is false for a session that is over.
func (s *session) bindSocket(sock *socket) bool {
	s.mu.Lock()
	bound := s.endpoint == sock
	s.mu.Unlock()
	if bound {
		return true
	}
	if !s.bind(sock) {
		return false
	}
	if oldest := sock.surplus(); oldest != nil {
		oldest.unbind(sock)
	}
	return true // the reply to the message that brought the session here takes along what waits
}

func (s *socket) wake() { s.conn.Ready() }

func (s *socket) attach(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions = append(slices.Clip(s.sessions), session)
	s.serves()
	s.departed = nil
	s.last = false
}

func (s *socket) detach(old *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old.over {
		s.departed = old
	}
	s.sessions = slices.DeleteFunc(slices.Clone(s.sessions), func(other *session) bool { return other == old })
	s.serves()
}

// serves notes whom Fill serves without a lock: the one session there is, unless it has the acknowledge extension or the socket is
// closing. It is called whenever that changes; mu is held.
func (s *socket) serves() {
	if len(s.sessions) == 1 && s.sessions[0].ack == nil && !s.closing {
		s.only.Store(s.sessions[0])
	} else {
		s.only.Store(nil)
	}
}

func (s *socket) surplus() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) > maxSessions {
		return s.sessions[0]
	}
	return nil
}

// replaced answers the connect that was held here, and closes the socket if it serves nobody else.
func (s *socket) replaced(session *session, held *heldConnect) {
	if held != nil {
		r := held.reply(session)
		s.send(&r)
	}
	s.leave(0, websocket.CloseNormalClosure)
}

// ended is the session of that id which has ended on this socket, or is about to; nil if that is not known (any more).
func (s *socket) ended(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.departed != nil && s.departed.id() == id {
		return s.departed
	}
	for _, session := range s.sessions {
		if session.id() == id && session.queue.Err() != nil {
			return session
		}
	}
	return nil
}

// sessionEnded tells the client, for a reason that is not its own request on this socket.
func (s *socket) sessionEnded(session *session, held *heldConnect, reason error) {
	f := s.h.farewell(session, reason)
	l := s.h.list(nil)
	if f.kicked {
		l.addRaw([]byte(kickedMessage))
	}
	if held != nil {
		r := session.farewellReply(held.id, held.batch, f)
		l.add(&r)
	}
	if len(l.buf) > 0 {
		s.write(l.appendFrame(nil))
	}
	switch {
	case broker.IsShutdown(reason):
		s.leave(0, websocket.CloseGoingAway)
	case errors.Is(reason, broker.ErrCredentialExpired) || errors.Is(reason, errRevoked):
		s.leave(expiryGrace, websocket.CloseNormalClosure)
	default:
		s.leave(closeGrace, websocket.CloseNormalClosure)
	}
}
