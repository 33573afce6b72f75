package bayeux

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/broker/outbox"
)

// endpoint is where a session's events go: a held long poll, a socket or a stream.
type endpoint interface {
	// Called with the session locked: they note it down and return.
	wake()             // something is queued, or the session ended. Publishers call it
	attach(s *session) // it is the session's endpoint from now on
	detach(s *session) // and no longer

	// replaced says, after detach, that the session has found a newer endpoint. held is the connect it held for the session,
	// or nil.
	replaced(s *session, held *heldConnect)
}

// session is one Bayeux client: the broker's session, which holds what waits for it, and the one endpoint it has at a time.
// The newest endpoint wins.
//
// mu is taken by publishers (wake), so nothing that publishes or writes is called while it is held; taking from the queue is.
type session struct {
	// What a delivery touches fills a cache line.
	mu     sync.Mutex   // guards what is not said to be something else
	conn   *outbox.Conn // of the endpoint, if it has one: the bell of the queue
	h      *Handler     // static after open, like queue, ack and placed
	queue  *broker.Session
	placed bool // events have positions: the handshake asked for replay

	connected bool  // a connect has been accepted: from now on they are held
	patient   bool  // a connect that was ready to wait has come
	doubts    uint8 // how many times in a row a connect said that the answer before it was lost
	over      bool  // it has ended: no endpoint may be added
	stale     bool  // what followed on what was answered went a way that is lost
	untried   bool  // no connect has come since its socket or stream did: the client may have sent a poll before it began with that

	sent sentList // what the client has been sent and has not shown to have (receipt.go); its first fields, and latest, which reaches into the next line

	who atomic.Pointer[broker.Principal] // of the handshake, or a newer one of the same holder

	ack      *ackState // nil: without the acknowledge extension; what it points to is guarded by mu
	asked    uint64    // up to where the socket's ping asks; 0: none is under way
	endpoint endpoint  // nil between polls

	from netip.Addr // static after open

	messages   broker.Tally // of what it sent lately
	heard      atomic.Int64 // when its last message came, on the handler's clock
	acted      atomic.Int64 // when its last came that was no connect
	publishing sync.Mutex   // one publish at a time, so that a repeated one meets an outcome and not an attempt
	replaying  sync.Mutex   // one subscribe with a replay at a time: the broker refuses a second

	held    *heldConnect  // the connect a socket holds
	greeted *socket       // the socket on which one has been answered
	ids     *connectIDs   // nil: no connect had an id that is a number
	expiry  *broker.Timer // of the credential; nil: it has none

	answered *poll  // whose response carried the last of it, if no connect came since
	replied  uint64 // up to where a connect reply followed on the socket
}

// heldConnect is a connect that waits on a socket for its time to pass.
type heldConnect struct {
	sock  *socket
	id    string
	sync  *timesync // nil: it did not ask for the time
	batch uint64    // with the acknowledge extension: what its reply closes, once it is taken to be answered
	timer *broker.Timer
	due   bool // with the acknowledge extension: answer with what there is; guarded by the session's mu
}

var anonymous broker.Principal

// open makes a session, which has been counted for its address.
func (h *Handler) open(who broker.Principal, from netip.Addr, ack *ackState, placed bool) (*session, error) {
	s := &session{h: h, from: from, ack: ack, placed: placed}
	s.who.Store(&anonymous)
	if !who.Anonymous() {
		own := who // most have none, and need no memory for it
		s.who.Store(&own)
	}
	queue, err := h.broker.Open(broker.SessionOptions{
		Protocol:    "bayeux",
		MaxMessages: h.opts.MaxMessages, MaxBytes: h.opts.MaxBytes, Overflow: h.opts.Overflow,
		MaxSubscriptions: h.opts.MaxSubscriptions,
		IdleTTL:          h.opts.Interval + h.opts.MaxInterval,
		Wake:             s.wake,
		Ended:            s.ended,
		Lapsed:           s.lapsed,
	})
	if err != nil {
		h.addresses.leave(&caller{address: from}, h.now(), (*address).sessionCount)
		return nil, err
	}
	s.queue = queue
	s.acts()
	s.armExpiry()
	h.mu.Lock()
	defer h.mu.Unlock()
	if queue.Err() != nil { // the server is shutting down, and ended has run or will
		return nil, queue.Err()
	}
	h.sessions[queue.ID()] = s
	return s, nil
}

// id is the clientId: whoever has it is the session.
func (s *session) id() string { return s.queue.ID() }

// session finds a living session.
func (h *Handler) session(id string) *session {
	h.mu.RLock()
	s := h.sessions[id]
	h.mu.RUnlock()
	if s == nil || s.queue.Err() != nil {
		return nil
	}
	return s
}

// wake implements broker.SessionOptions.Wake.
func (s *session) wake(*broker.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != nil {
		s.endpoint.wake()
	}
}

// bind makes e the session's endpoint and tells the one before, if there was another. The session does not idle away
// while it has one. It is false for a session that is over.
func (s *session) bind(e endpoint) bool {
	s.mu.Lock()
	if s.over || s.endpoint == e {
		over := s.over
		s.mu.Unlock()
		return !over
	}
	old, held := s.endpoint, s.unhold()
	if old == nil {
		s.queue.Hold()
	} else {
		old.detach(s)
	}
	s.endpoint, s.greeted = e, nil
	_, polls := e.(*poll)
	s.untried = !polls
	e.attach(s)
	s.rings(direct(e)) // who is woken from now on knows of the session
	s.replaced(old)
	s.mu.Unlock()
	if held != nil {
		held.timer.Stop()
	}
	if old != nil {
		s.h.counters.superseded.Add(1)
		old.replaced(s, held)
	}
	return true
}

// rings makes c, which may be nil, what a publish wakes; mu is held. That may be a moment late and wake one that has just been replaced, which
// does no harm: what is queued by then the new one finds when it looks, which it does after it was bound.
func (s *session) rings(c *outbox.Conn) {
	if s.conn == c {
		return
	}
	if s.conn = c; c != nil {
		s.queue.Rings(c)
	} else {
		s.queue.Rings(nil)
	}
}

func direct(e endpoint) *outbox.Conn {
	switch e := e.(type) {
	case *socket:
		return e.conn
	case *stream:
		return e.conn
	default:
		return nil
	}
}

// unbind takes e off, if it still is the endpoint.
func (s *session) unbind(e endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(e)
}

// release is unbind under mu.
func (s *session) release(e endpoint) {
	if e == nil || s.endpoint != e {
		return
	}
	e.detach(s)
	s.endpoint, s.greeted = nil, nil
	s.rings(nil)
	if _, ok := e.(*socket); ok && s.ack == nil {
		s.requeue()
	}
	if s.held != nil {
		s.held.timer.Stop()
		s.held = nil
	}
	s.queue.Release()
}

// take drains into sc what waits, for the endpoint with that connection: nothing if it no longer is the session's, so that each event goes
// one way. sc.Dry is set if that was all.
func (s *session) take(c *outbox.Conn, sc *outbox.Scratch) (r receipt) {
	s.mu.Lock()
	r = s.takeLocked(c, sc)
	s.mu.Unlock()
	return r
}

// prefetch is for broker.Session.Prefetch what the session is to the broker's.
func (s *session) prefetch() {
	s.queue.Prefetch() // and so the first line
	s.who.Load()       // the second
}

// takeOnly is take for what is one message alone, for half of what take costs; nil: take tells what there is.
func (s *session) takeOnly(c *outbox.Conn) (m *broker.Message, r receipt) {
	s.mu.Lock()
	if s.conn == c {
		if m = s.queue.Only(); m != nil {
			r = s.recordOnly(m)
		}
	}
	s.mu.Unlock()
	return m, r
}

func (s *session) takeLocked(c *outbox.Conn, sc *outbox.Scratch) receipt {
	sc.Deliveries = sc.Deliveries[:0]
	if s.conn != c {
		return receipt{}
	}
	sc.Deliveries, sc.Dry = s.queue.DrainMax(sc.Deliveries, drainAtOnce)
	return s.record(sc.Deliveries, sc.Batch(sc.Deliveries))
}

// takeNumbered is take, and the number of the first event among what the session was ever sent.
func (s *session) takeNumbered(c *outbox.Conn, sc *outbox.Scratch) (first uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.sent.next()
	s.takeLocked(c, sc)
	return first
}

// drainAtOnce is how many deliveries a socket takes at a time.
const drainAtOnce = 128

// Why a session ended, when it was our doing.
var (
	errDisconnected = &broker.Error{Kind: broker.Closed, Text: "the client disconnected"}
)

// ended implements broker.SessionOptions.Ended: whoever holds a connect is told.
func (s *session) ended(queue *broker.Session, reason error) {
	s.h.mu.Lock()
	delete(s.h.sessions, queue.ID())
	s.h.mu.Unlock()
	s.h.addresses.leave(&caller{address: s.from}, s.h.now(), (*address).sessionCount)

	s.mu.Lock()
	s.over = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	e, held := s.endpoint, s.unhold()
	if held != nil {
		held.timer.Stop()
	}
	if _, isPoll := e.(*poll); !isPoll { // that has been woken, and finds out for itself
		s.release(e) // at once: a connect that came to be held now would never be answered
	}
	s.mu.Unlock()
	switch e := e.(type) {
	case *socket:
		e.sessionEnded(s, held, reason)
	case *stream:
		e.leave()
	}
	s.settle()
	switch k := broker.KindOf(reason); {
	case k == broker.SlowConsumer:
		s.h.log.sampled(&s.h.log.session, "session ended", reason)
	case errors.Is(reason, broker.ErrCredentialExpired) || errors.Is(reason, errRevoked):
		s.h.counters.lapsed.Add(1)
	}
}

// farewell is how a connect is answered whose session ended meanwhile.
type farewell struct {
	successful bool
	fault      fault
	advice     string
	kicked     bool // somebody here ended it: CometD clients are told by a message of its own
}

func (h *Handler) farewell(s *session, reason error) farewell {
	switch {
	case errors.Is(reason, errDisconnected):
		return farewell{successful: true, advice: h.advice.none}
	case broker.IsShutdown(reason):
		return farewell{fault: fault{503, "", "Server is stopping"}, advice: h.advice.later()}
	case broker.KindOf(reason) == broker.SlowConsumer:
		return farewell{fault: faultOf(reason, ""), advice: h.advice.later()}
	case errors.Is(reason, broker.ErrCredentialExpired):
		return h.farewellOfExpiry(s, "Credential expired")
	case errors.Is(reason, errRevoked):
		return h.farewellOfExpiry(s, "Rights have changed")
	case broker.IsExpired(reason):
		return farewell{fault: unknownClient(s.id()), advice: h.advice.handshake(0, time.Second)}
	default:
		return farewell{fault: fault{403, "", "Session ended by the server"}, advice: h.advice.none, kicked: true}
	}
}

// kickedMessage tells a CometD client that its session was ended.
const kickedMessage = `{"channel":"/meta/disconnect","successful":true}`

// keep is a copy of an id that is to outlive the body it was part of.
func keep(id string) string { return strings.Clone(id) }
