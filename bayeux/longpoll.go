package bayeux

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"waft/broker"
)

// Deadlines of a request. There is none while a connect is held: net/http takes the first back when the body has been read, and
// the second after the response.
const (
	readWithin  = 30 * time.Second // a body
	writeWithin = 10 * time.Second // a response
)

// servePost serves one request of a long-polling client.
func (h *Handler) servePost(w http.ResponseWriter, r *http.Request) {
	body, ok := h.readBody(w, r)
	if !ok {
		return
	}
	x := h.newExchange(r.Context(), nil, nil)
	defer x.done()
	x.own = h.peerOf(r)
	x.peer = &x.own
	var err error
	x.messages, err = parseBody(x.messages, r.Header.Get("Content-Type"), body, h.opts.MaxBatch)
	x.serve(w, r, err)
}

// serve answers a request whose messages have been read, or could not be.
func (x *exchange) serve(w http.ResponseWriter, r *http.Request, err error) {
	h := x.h
	switch {
	case errors.Is(err, errTooMany):
		h.counters.refuse(RefusedTooLarge)
		refuse(w, http.StatusRequestEntityTooLarge, "too many messages in one request")
		return
	case err != nil:
		h.counters.refuse(RefusedMalformed)
		h.log.sampled(&h.log.body, "request refused", err)
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	x.run()
	whole := x.h.whole(r)
	if len(x.waiting) == 0 {
		err = x.respond(w, nil, nil)
	} else {
		x.h.pollBegins()
		if whole && x.waits() && x.hold(w, r) {
			return // it ends elsewhere
		}
		defer x.h.pollEnds()
		err = x.respondToConnects(w)
	}
	if whole && err == nil { // who is gone need not be told
		x.takeOver(w, r)
	}
}

// readBody reads all of it, within a time and a size.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (string, bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readWithin)) // fails where there is no connection: in a test, or after its end
	limit := int64(h.opts.MaxBody)
	if whole, ok := r.Body.(*wholeBody); ok && r.ContentLength <= limit {
		if text, ok := whole.take(); ok {
			return text, true
		}
	}
	var body []byte
	var err error
	if n := r.ContentLength; n >= 0 && n <= limit {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	if err == nil {
		return string(body), true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		h.counters.refuse(RefusedTooLarge)
		refuse(w, http.StatusRequestEntityTooLarge, "the request body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
	} else {
		h.counters.refuse(RefusedMalformed)
		refuse(w, http.StatusBadRequest, "the request body ended early")
	}
	return "", false
}

// poll is a connect over HTTP, from its acceptance to its answer.
type poll struct {
	s     *session
	again repetition

	// guarded by s.mu
	signal     chan struct{} // capacity 1: look again; nil: nobody waits for it
	superseded bool
	expired    bool
	lost       bool      // the client did not get what it carried, which is queued again
	held       *heldPoll // of a poll that gave up its request: it is woken by ringing, or by breaking its reading off
	end        uint64    // in what the session was sent: where its response ends
	batch      uint64    // with the acknowledge extension: what its reply closes
}

// waiting is a poll in its request.
type waiting struct {
	asked

	events   []broker.Delivery // what it is answered with; before that, room for it
	ended    bool              // look has found the outcome
	outcome  outcome
	farewell *farewell // of a session that is over
}

// asked is what a poll asks for.
type asked struct {
	s    *session
	poll *poll // nil: it is answered without waiting, and without events
	id   string
	sync *timesync // nil: it did not ask for the time
	hold time.Duration
}

// outcome is how a poll came to its end.
type outcome uint8

const (
	answered   outcome = iota // with events, or because its time passed
	superseded                // a newer endpoint has the events
	over                      // the session ended
	aborted                   // nobody waits for the answer
	streaming                 // a heartbeat of a client whose events come on a stream
)

func (p *poll) wake() {
	switch {
	case p.held == nil:
		select {
		case p.signal <- struct{}{}:
		default:
		}
	case p.held.isParked():
		p.held.socket.Ring()
	default:
		_ = p.held.nc.SetReadDeadline(longAgo) // it fails where reading does
	}
}

// signalled is for a goroutine that waits. It looks after it has asked for this.
func (p *poll) signalled() <-chan struct{} {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.signal == nil {
		p.signal = make(chan struct{}, 1)
	}
	return p.signal
}

func (p *poll) attach(*session) {}

// detach comes once: when the poll takes what it is answered with, or when it gives way.
func (p *poll) detach(s *session) { p.superseded, p.batch = true, s.closeBatch() }

func (p *poll) replaced(*session, *heldConnect) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.wake()
}

func (p *poll) expire() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.expired = true
	p.wake()
}

// connectPoll takes note of a connect; it is waited for when the rest of the request has been handled.
func (x *exchange) connectPoll(s *session, m *message, hold time.Duration, again repetition) {
	s.mu.Lock()
	first, overtaken := !s.connected, s.untried
	s.connected, s.untried = true, first && s.untried
	s.mu.Unlock()
	// Clients block on the first connect of a session, and on the replies that share a response with one.
	if first || len(x.messages) > 1 || again.is || overtaken {
		hold = 0
	}
	if hold == 0 && s.listens(again.sure || overtaken) {
		// Faye's client opens its socket, or stream, while it polls, and what it sends over the one can be read before what it sent over the other. It does
		// not want its stream closed by its first connects, nor what came over a socket again; and nobody wants a socket closed by a poll from before it. Who
		// has left one that he never had a connect on gets an empty answer for it.
		x.waiting = append(x.waiting, waiting{asked: asked{s: s, id: keep(m.id), sync: x.h.timeAsked(m)}})
		return
	}
	p := &poll{s: s, again: again}
	if !s.bind(p) {
		x.h.counters.refuse(RefusedClient)
		x.noConnect(m, unknownClient(m.clientID), x.again())
		return
	}
	x.waiting = append(x.waiting, waiting{asked: asked{s: s, poll: p, id: keep(m.id), sync: x.h.timeAsked(m), hold: hold}})
}

// respondToConnects waits for the connects of the request and sends its one response. Until there is something to
// send nothing is taken from the queue, so that nothing is lost when the client hangs up.
func (x *exchange) respondToConnects(w http.ResponseWriter) error {
	clear(x.messages) // the body need not stay while connects are held
	for i := range x.waiting {
		x.waiting[i].wait(x.ctx)
	}
	if err := x.ctx.Err(); err != nil {
		x.giveBack()
		return err
	}
	events, connects := x.h.list(x.events[:0]), x.h.list(x.connects[:0])
	for i := range x.waiting {
		x.waiting[i].answer(&events, &connects)
	}
	x.events, x.connects = events.buf, connects.buf
	err := x.respond(w, events.buf, connects.buf)
	if err != nil {
		x.giveBack()
	}
	return err
}

// giveBack returns to their queues the events that could not be sent.
func (x *exchange) giveBack() {
	for i := range x.waiting {
		if w := &x.waiting[i]; len(w.events) > 0 {
			w.s.failed(w.poll, w.events)
		}
	}
}

// wait holds the connect until there is something to say.
func (p *waiting) wait(ctx context.Context) {
	if p.poll == nil || p.ended {
		return
	}
	var signal <-chan struct{} // without a hold nobody waits for it
	if p.hold > 0 {
		signal = p.poll.signalled()
		timer := p.s.h.wheel.AfterFunc(p.hold, p.poll.expire)
		defer timer.Stop()
	}
	for !p.look(ctx) {
		select {
		case <-signal:
		case <-ctx.Done():
		}
	}
}

// look tells whether the poll has come to its end, and how.
func (p *waiting) look(ctx context.Context) (done bool) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.poll.superseded:
		p.outcome = superseded
	case ctx.Err() != nil:
		p.outcome = aborted
	default:
		p.outcome = answered
		if p.events = s.takePoll(p.poll, p.events[:0]); len(p.events) > 0 { // a session that has ended has none
			break
		}
		if err := s.queue.Err(); err != nil {
			f := s.h.farewell(s, err)
			p.outcome, p.farewell = over, &f
		} else if p.hold > 0 && !p.poll.expired {
			return false
		}
	}
	p.ended = true
	s.release(p.poll)
	return true
}

// answer writes what the poll came to.
func (p *waiting) answer(events, connects *list) {
	s := p.s
	var r reply
	var batch uint64
	if p.poll != nil {
		batch = p.poll.batch
	}
	switch p.outcome {
	case answered:
		s.form().append(events, p.events)
		r = s.connectReply(p.id, batch)
	case superseded:
		r = s.connectReply(p.id, batch)
		r.advice = s.h.advice.calm
	case streaming: // there is none with the acknowledge extension
		r = s.connectReply(p.id, 0)
		r.advice = s.h.advice.stream
	case over:
		if p.farewell.kicked {
			events.addRaw([]byte(kickedMessage))
		}
		r = s.farewellReply(p.id, batch, *p.farewell)
	case aborted:
		return
	}
	r.addTime(s.h, p.sync)
	connects.add(&r)
}

// body is the array: events, then replies, then the replies to connects. gobayeux holds back the last message of a
// response, and Faye goes by the last advice; so the connect reply is the last.
func (x *exchange) body(events, connects []byte) []byte {
	b := append(x.frame[:0], '[')
	for _, part := range [...][]byte{events, x.replies.buf, connects} {
		if len(part) > 0 {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, part...)
		}
	}
	b = append(b, ']')
	x.frame = b
	if x.callback != "" {
		return appendCall(nil, x.callback, b)
	}
	return b
}

// respond sends the one response. Clients take any status but 200 for a failure.
func (x *exchange) respond(w http.ResponseWriter, events, connects []byte) error {
	b := x.body(events, connects)
	header := w.Header()
	maps.Copy(header, x.answerFields())
	header["Content-Length"] = []string{strconv.Itoa(len(b))}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeWithin)) // as for reading
	if _, err := w.Write(b); err != nil {
		return err
	}
	if err := control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// answerFields are the header fields that every answer of the kind has.
func (x *exchange) answerFields() http.Header {
	if x.callback != "" {
		return scriptFields
	}
	return jsonFields
}

// Header fields, made once.
var (
	noStore    = []string{"no-cache, no-store"}
	noSniff    = []string{"nosniff"}
	jsonFields = http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Cache-Control": noStore, "X-Content-Type-Options": noSniff,
	}
	scriptFields = http.Header{
		"Content-Type": {"text/javascript; charset=utf-8"}, "Cache-Control": noStore, "X-Content-Type-Options": noSniff,
		"Content-Disposition": {"attachment; filename=f.txt"}, // opened by itself, it is a file and not a page
	}
)

func (h *Handler) pollBegins() { h.polls.Add(1) }

func (h *Handler) pollEnds() {
	if h.polls.Add(-1) == 0 {
		h.mu.Lock()
		h.checkIdle()
		h.mu.Unlock()
	}
}
