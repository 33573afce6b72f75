package bayeux

import (
	"context"
	"sync"

	"waft/broker"
)

// exchange is one request or one frame: the messages of it and what is answered. One goroutine uses it.
type exchange struct {
	h    *Handler
	ctx  context.Context
	peer *peer
	sock *socket // nil over HTTP

	at int64 // when the message began that is handled, on the handler's clock; 0: nobody has asked

	known *session // whose messages these are most likely; nil: it is looked up

	callback string // what a callback-polling client wants to be called; "" for plain JSON

	messages []message
	replies  list      // to everything but connects over HTTP
	waiting  []waiting // connects over HTTP, in order

	// room
	own      peer              // what peer may be
	events   []byte            // for those in the answer
	connects []byte            // for the replies to connects
	frame    []byte            // for the whole answer
	head     []byte            // for one with its head, on a connection of ours
	drained  []broker.Delivery // for what such a one carries
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func (h *Handler) newExchange(ctx context.Context, p *peer, sock *socket) *exchange {
	x := exchanges.Get().(*exchange)
	x.h, x.ctx, x.peer, x.sock = h, ctx, p, sock
	x.replies.stamped = h.opts.Timestamp
	return x
}

// now is when the message began that is handled, nearly: who asks first is told, and so are the others, for a clock takes its time.
func (x *exchange) now() int64 {
	if x.at == 0 {
		x.at = x.h.now()
	}
	return x.at
}

// keepBuffer is the largest buffer that is kept for the next exchange.
const keepBuffer = 64 << 10

// done gives x back. Nothing may use it, nor what it answered, any more.
func (x *exchange) done() {
	clear(x.messages)
	clear(x.waiting)
	clear(x.drained)
	x.h, x.ctx, x.peer, x.sock, x.at, x.known, x.callback, x.own = nil, nil, nil, nil, 0, nil, "", peer{}
	x.messages, x.waiting, x.drained, x.replies.buf = x.messages[:0], x.waiting[:0], x.drained[:0], x.replies.buf[:0]
	if cap(x.replies.buf)+cap(x.events)+cap(x.connects)+cap(x.frame)+cap(x.head) > keepBuffer || cap(x.messages) > 64 || cap(x.drained) > 1024 {
		return
	}
	exchanges.Put(x)
}

// run handles the messages in order, so that a publish meets the subscription made before it in the same batch.
func (x *exchange) run() {
	x.h.counters.requests.Add(1)
	x.h.counters.messages.Add(uint64(len(x.messages)))
	for i := range x.messages {
		if x.messages[i].channel == "/meta/handshake" {
			// Bayeux: "any other message sent with a handshake message MUST be ignored"; and gobayeux wants nothing beside the reply.
			x.handshake(&x.messages[i])
			return
		}
	}
	for i := range x.messages {
		if i > 0 {
			x.at = 0 // the one before may have waited: for a disk, or a key
		}
		x.dispatch(&x.messages[i])
	}
}

func (x *exchange) dispatch(m *message) {
	if x.overRate(m) {
		return
	}
	switch m.channel {
	case "/meta/connect":
		x.connect(m)
	case "/meta/subscribe":
		x.subscribe(m)
	case "/meta/unsubscribe":
		x.unsubscribe(m)
	case "/meta/disconnect":
		x.disconnect(m)
	default:
		x.publish(m)
	}
}

// session finds the session a message belongs to. Over a socket the session is from now on served there.
func (x *exchange) session(m *message) (*session, fault) {
	if m.clientID == "" {
		return nil, missing("clientId")
	}
	s := x.known
	switch {
	case s == nil || s.id() != m.clientID:
		s = x.h.session(m.clientID)
	case s.queue.Err() != nil:
		s = nil
	}
	if s == nil || x.sock != nil && !s.bindSocket(x.sock) {
		x.h.counters.refuse(RefusedClient)
		return nil, unknownClient(m.clientID)
	}
	s.queue.Touch()
	s.heard.Store(x.now())
	if m.channel != "/meta/connect" {
		s.acts()
	}
	if s.overRate(m, x.now()) {
		if m.channel == "/meta/connect" {
			x.heardConnect(s, m) // it is refused, and has told all the same what arrived
		}
		return nil, tooManyMessages
	}
	return s, fault{}
}

// refuse replies that m failed. s is the session it came from, if that is known.
func (x *exchange) refuse(m *message, s *session, f fault) {
	r := reply{id: m.id, channel: m.channelJSON, fault: f, subscription: m.subscription.Raw}
	if s != nil {
		r.clientID = s.id()
	}
	x.replies.add(&r)
}

// fail is refuse for what the broker or the authorizer refused.
func (x *exchange) fail(m *message, s *session, err error, about string) {
	if broker.KindOf(err) == broker.Internal {
		x.h.log.sampled(&x.h.log.body, "an operation failed", err)
	}
	x.refuse(m, s, faultOf(err, about))
}
