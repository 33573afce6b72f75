package bayeux

import (
	"strconv"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
)

// What a client was sent stays with its session until the client has shown that it has it, and is queued again, in front and in
// order, when the way it was sent is lost without that. That the kernel took it, or the peer's kernel acknowledged it, shows
// nothing: a proxy in between may have been the peer. What does:
//
//   - on a socket, the answer to a ping that was sent behind it, and the connect that follows a connect reply sent behind it;
//   - for a response, the next connect, unless it is the same again, or one that says that the last had failed;
//   - on a stream, the Last-Event-ID with which a browser opens the next one (stream.go);
//   - in a session with the acknowledge extension, the number in a connect and nothing else (ack.go).
//
// So nothing is lost that a client can miss without knowing, and what was under way when a connection died may come twice.
// How much is kept has a bound; beyond it the oldest is taken for received, and counted.

// Assumption names a reason for which events were taken for received that nobody had confirmed. It is a metric label.
type Assumption uint8

const (
	AssumedBound    Assumption = iota // more was unconfirmed than is kept
	AssumedAge                        // it had been on a stream for long, on which nothing can be asked
	AssumedRepeated                   // the client has said too often in a row that it got no answer
	assumptions
)

var assumptionNames = [assumptions]string{AssumedBound: "bound", AssumedAge: "age", AssumedRepeated: "repeated"}

// String is the reason's metric label.
func (a Assumption) String() string { return assumptionNames[a] }

// receipt is what record says about the list.
type receipt struct {
	began bool // it was empty before
	half  bool // half of what may be kept is there, and nobody has been asked
}

// keeps tells whether anything is kept until it is confirmed.
func (h *Handler) keeps() bool { return h.opts.MaxUnconfirmed > 0 }

// record keeps what is about to be sent, of which batch may be the list; mu is held.
func (s *session) record(ds []broker.Delivery, batch *outbox.Batch) (r receipt) {
	switch {
	case len(ds) == 0 || !s.h.keeps():
		return r
	case len(ds) == 1:
		return s.recordOnly(ds[0].Message)
	}
	r.began = s.sent.len() == 0
	s.sent.push(ds, batch)
	r.half = s.recorded()
	return r
}

// recordOnly is record for one message.
func (s *session) recordOnly(m *broker.Message) (r receipt) {
	if !s.h.keeps() {
		return r
	}
	r.began = s.sent.len() == 0
	s.sent.pushOnly(m)
	r.half = s.recorded()
	return r
}

// recorded sees to the bound, and tells whether half of it is there, and nobody has been asked; mu is held.
func (s *session) recorded() (half bool) {
	o := &s.h.opts
	if s.sent.len() < o.MaxUnconfirmed/2 && s.sent.size < o.MaxUnconfirmedBytes/2 {
		return false
	}
	assumed := 0
	for s.sent.len() > 1 && (s.sent.len() > o.MaxUnconfirmed || s.sent.size > o.MaxUnconfirmedBytes) && s.ack == nil {
		s.sent.pop()
		assumed++
	}
	if assumed > 0 {
		s.h.counters.assumed[AssumedBound].Add(uint64(assumed))
	}
	return s.asked <= s.sent.first && (s.sent.len() >= o.MaxUnconfirmed/2 || s.sent.size >= o.MaxUnconfirmedBytes/2)
}

// requeue puts what is unconfirmed back in front of the queue; mu is held. The endpoint, if there is one, gets it next.
func (s *session) requeue() {
	s.answered, s.stale, s.asked, s.replied = nil, false, 0, 0
	if s.sent.len() == 0 {
		return
	}
	ds := s.sent.popAll()
	s.h.counters.returned.Add(uint64(len(ds)))
	s.queue.Requeue(ds) // Wake would want mu
	if s.endpoint != nil {
		s.endpoint.wake()
	}
}

// replaced is called when another endpoint is the session's, mu held: what went to the old one is lost, but for a
// response, on which the client's next connect will have its say.
func (s *session) replaced(old endpoint) {
	s.asked, s.replied = 0, 0
	switch old.(type) {
	case *stream:
		s.stale = s.answered != nil
	case *socket:
		s.answered = nil
	}
	if s.answered == nil && s.ack == nil {
		s.requeue()
	}
}

// repetition says that a connect is the last over again, or one from before it. The client may have given it up and go by another answer, and nobody
// knows which: requests that waited in a kernel on two connections can be read the wrong way round. So the answer carries what the first one did,
// or nothing, and comes at once; then what the client's next connect shows to have arrived has arrived by either.
type repetition struct {
	is     bool
	sure   bool // the client counts, so it has gone on elsewhere: to a socket, if there is one
	most   int  // events in the first answer
	failed bool // the connect says that what was answered before it is lost
}

// heardConnect is what a connect tells about what was sent before it.
func (x *exchange) heardConnect(s *session, m *message) (again repetition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.sock != nil || m.connType == "eventsource" {
		s.untried = false
	}
	if s.ack != nil {
		s.acknowledge(m)
		return again
	}
	place := s.place(m)
	failed := place.repeated || s.patient && m.timeout == 0 && len(x.messages) == 1
	believed := s.doubts < mostDoubts
	again.is = (place.repeated && believed || place.late) && s.h.keeps()
	again.sure = again.is && place.sure
	again.failed = failed && believed && !place.late
	if place.late && !(failed && believed) { // it shows nothing of what was answered behind it
		return again
	}
	if again.is && s.answered == nil {
		s.doubts++
	}
	if p := s.answered; p != nil {
		s.answered = nil
		if p.lost = failed && believed; p.lost {
			s.doubts++
			if !place.late {
				again.most = int(p.end - s.sent.first)
			}
			s.requeue()
		} else {
			arrived := s.sent.popTo(p.end)
			if failed {
				s.h.counters.assumed[AssumedRepeated].Add(uint64(arrived))
			}
			if s.stale {
				s.requeue()
			}
		}
	}
	if !failed {
		s.doubts = 0
	}
	if x.sock != nil && s.greeted == x.sock {
		s.sent.popTo(s.replied)
	}
	s.patient = s.patient || m.timeout != 0
	return again
}

// Clients say in one of two ways that they got no answer to their last connect.
//
// Faye's sends the same message again, with its id. It counts its messages, to the base 36; so this is only told of a client whose
// ids rise. One that gives all connects the same id, or none, is taken to have had its answer.
//
// CometD's asks for an answer at once, by a connect that is alone in its request. So does its first connect, and so does
// every one of a client that never waits; hence it means a failure only of a client that was ready to wait before. Faye's
// asks so whenever it has other messages to send along.
//
// A client that does either and means nothing by it would be answered with the same events for ever. So after mostDoubts in a row it
// is believed no more, until it has sent a connect that says neither.

const mostDoubts = 8

// takePoll drains into buf what a response may carry, and keeps it; mu is held.
func (s *session) takePoll(p *poll, buf []broker.Delivery) []broker.Delivery {
	if !s.h.keeps() {
		return s.form().deliverable(s.queue.Drain(buf))
	}
	if a := s.answered; a != nil && p.again.failed { // since the connect was heard, which meant this one as well
		a.lost, p.again.most = true, int(a.end-s.sent.first)
		s.requeue()
	}
	n, bytes := s.room()
	if p.again.is {
		n = min(n, p.again.most)
	}
	ds := s.form().deliverable(s.queue.DrainWithin(buf, n, bytes))
	if len(ds) > 0 {
		s.record(ds, nil)
		s.answered, p.end = p, s.sent.next()
	}
	return ds
}

// room is how much may be sent in one answer; mu is held. With the acknowledge extension it is what may be unconfirmed yet;
// without, what came before has been judged by the connect that is answered.
func (s *session) room() (messages, bytes int) {
	messages, bytes = s.h.opts.MaxUnconfirmed, s.h.opts.MaxUnconfirmedBytes
	if s.ack == nil || s.sent.len() == 0 {
		return messages, bytes
	}
	if bytes -= s.sent.size; bytes <= 0 {
		return 0, 0
	}
	return messages - s.sent.len(), bytes
}

// failed is called when the response with events could not be written.
func (s *session) failed(p *poll, events []broker.Delivery) {
	s.mu.Lock()
	switch {
	case s.ack != nil && s.h.keeps(): // the next connect will tell
		s.mu.Unlock()
		return
	case s.answered == p:
		s.requeue()
		s.mu.Unlock()
		return
	}
	lost := p.lost
	s.mu.Unlock()
	if !lost { // else they are queued again already
		s.h.counters.returned.Add(uint64(len(events)))
		s.queue.Return(events)
	}
}

// settle forgets what is unconfirmed: the session ends.
func (s *session) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent.popTo(s.sent.next())
	s.answered = nil
}

// askLater sets the timer for what was sent from then on, on the handler's clock, unless an answer is due that will. So an event is
// asked after within ReceiptDelay, or when the answer to the question before it comes, if that takes longer.
func (s *socket) askLater(from int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiptAt != 0 || s.askedAt != 0 || s.closing || s.last {
		return
	}
	s.receiptAt = from + int64(s.h.opts.ReceiptDelay)
	s.timer.Reset(time.Duration(s.receiptAt - s.h.now())) // check does not mind coming early
}

// askAlong puts a question behind b, which is about to be sent: then it costs no system call of its own. What is large already
// is not copied for that.
func (s *socket) askAlong(sc *outbox.Scratch, b []byte) []byte {
	if len(b) > largeWrite {
		s.ask.Store(true) // Fill is called again
		return b
	}
	s.mu.Lock()
	sessions := s.sessions
	s.mu.Unlock()
	number, ok := s.question(sessions)
	if !ok {
		return b
	}
	sc.Buf = appendPing(append(sc.Buf[:0], b...), number)
	return sc.Buf
}

// largeWrite is where a copy is no cheaper than a system call.
const largeWrite = 8 << 10

// question gives the number of a ping that is to ask after everything sent so far, unless an answer is due or there is nothing to
// ask after. Only Fill calls it: the connection is locked, so what has been taken has been written or goes right before the ping, and
// what has not is not meant.
func (s *socket) question(sessions []*session) (number uint32, ok bool) {
	s.ask.Store(false)
	s.mu.Lock()
	if s.askedAt != 0 {
		s.mu.Unlock()
		return 0, false
	}
	s.asked++
	s.askedAt = max(s.h.now(), 1)
	number = s.asked
	s.mu.Unlock()
	for _, session := range sessions {
		ok = session.askFor(s) || ok
	}
	if !ok {
		s.mu.Lock()
		s.askedAt = 0
		s.mu.Unlock()
	}
	return number, ok
}

func appendPing(b []byte, number uint32) []byte {
	var digits [10]byte
	payload := strconv.AppendUint(digits[:0], uint64(number), 10)
	return append(wsframe.AppendHeader(b, wsframe.Ping, len(payload)), payload...)
}

func (s *session) askFor(sock *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != sock || s.ack != nil || s.sent.len() == 0 {
		return false
	}
	s.asked = s.sent.next()
	return true
}

// answeredPing is called with the payload of a pong. Whoever makes one up harms nobody else.
func (s *socket) answeredPing(payload string) {
	s.mu.Lock()
	var digits [10]byte
	if s.askedAt == 0 || payload != string(strconv.AppendUint(digits[:0], uint64(s.asked), 10)) {
		s.mu.Unlock()
		return
	}
	askedAt := s.askedAt
	s.askedAt = 0
	sessions := s.sessions
	s.mu.Unlock()
	more, half := false, false
	for _, session := range sessions {
		left := session.received(s)
		more = more || left > 0
		half = half || left >= max(s.h.opts.MaxUnconfirmed/2, 1)
	}
	if more {
		s.askLater(askedAt)
	}
	if half {
		s.ask.Store(true)
		s.conn.Ready()
	}
}

// received confirms what the socket's ping asked after, and tells how much is left.
func (s *session) received(sock *socket) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != sock || s.ack != nil {
		return 0
	}
	s.sent.popTo(s.asked)
	s.asked = 0
	return s.sent.len()
}

// unanswered is how long the peer has left to answer the question, if it was asked one and has been silent since.
func (s *socket) unanswered(askedAt int64) (left time.Duration, waiting bool) {
	if askedAt == 0 || s.heard.Load() >= askedAt {
		return 0, false
	}
	return s.h.opts.PongWait - time.Duration(s.h.now()-askedAt), true
}
