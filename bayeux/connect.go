package bayeux

import (
	"errors"
	"time"

	"waft/broker"
)

// connect holds or answers a connect. Bayeux: /meta/connect.
func (x *exchange) connect(m *message) {
	s, f := x.session(m)
	switch {
	case !f.ok() && f.code == 401:
		if x.sock != nil {
			s = x.sock.ended(m.clientID)
		}
		x.tooLate(s, m.id, f)
		return
	case f == tooManyMessages:
		x.noConnect(m, f, x.h.advice.pause(0))
		return
	case !f.ok():
		x.noConnect(m, f, x.h.advice.later())
		return
	case m.connType == "":
		x.noConnect(m, missing("connectionType"), x.h.advice.later())
		return
	case !x.h.supports(m.connType):
		// It need not be the one in use: Faye's client names another while it starts.
		x.noConnect(m, typesNotSupported(m.connType), x.h.advice.later())
		return
	}
	if x.inactive(s, m) {
		return
	}
	x.renewal(m, s)
	again := x.heardConnect(s, m)
	if m.connType == "eventsource" && x.sock == nil && s.ack == nil {
		x.heartbeat(s, m)
		return
	}
	hold := x.h.opts.Timeout
	if m.timeout >= 0 {
		hold = min(hold, m.timeout)
	}
	if x.sock != nil {
		x.connectSocket(s, m, hold)
	} else {
		x.connectPoll(s, m, hold, again)
	}
}

// noConnect refuses a connect. The reply has no clientId: the client has to begin anew.
func (x *exchange) noConnect(m *message, f fault, advice string) {
	x.replies.add(&reply{id: m.id, channel: jsonConnect, fault: f, advice: advice})
}

// tooLate refuses a connect to a session that has ended. The socket it ended on knows which it was, and why is said there; s is nil
// where nobody knows.
func (x *exchange) tooLate(s *session, id string, unknown fault) {
	if s != nil {
		reason := s.queue.Err()
		if !errors.Is(reason, errDisconnected) && !broker.IsExpired(reason) {
			r := s.farewellReply(id, 0, x.h.farewell(s, reason))
			x.replies.add(&r)
			return
		}
	}
	x.replies.add(&reply{id: id, channel: jsonConnect, fault: unknown, advice: x.again()})
}

// connectReply is the reply to a connect that went well.
func (s *session) connectReply(id string, batch uint64) reply {
	s.h.counters.connects.Add(1)
	r := reply{id: id, clientID: s.id(), channel: jsonConnect, successful: true, advice: s.h.advice.retry}
	r.addBatch(batch)
	return r
}

// farewellReply is the reply to a connect whose session ended.
func (s *session) farewellReply(id string, batch uint64, f farewell) reply {
	r := reply{id: id, channel: jsonConnect, successful: f.successful, fault: f.fault, advice: f.advice}
	if f.successful {
		r.clientID = s.id()
		r.addBatch(batch)
	}
	return r
}

// reply is the reply to a connect that was held and went well.
func (c *heldConnect) reply(s *session) reply {
	r := s.connectReply(c.id, c.batch)
	r.addTime(s.h, c.sync)
	return r
}

// unhold takes the held connect, if there is one, to be answered; mu is held.
func (s *session) unhold() *heldConnect {
	c := s.held
	if s.held = nil; c != nil {
		c.batch = s.closeBatch()
	}
	return c
}

// connectSocket answers at once the first connect on a socket: a client that comes back over a new one cannot tell that it
// is back before something arrives. A connect is never released early for events: they are sent as they come.
func (x *exchange) connectSocket(s *session, m *message, hold time.Duration) {
	c := &heldConnect{sock: x.sock, id: keep(m.id), sync: x.h.timeAsked(m)}
	if s.ack != nil {
		x.connectBatch(s, c, hold)
		return
	}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		x.tooLate(s, c.id, unknownClient(s.id()))
		return
	}
	older := s.unhold()
	now := hold <= 0 || s.greeted != x.sock || s.endpoint != x.sock
	s.connected = true
	if s.endpoint == x.sock {
		s.greeted = x.sock
		if now { // the reply comes after what has been taken so far
			s.replied = s.sent.next()
		}
	}
	if !now {
		s.held = c
		c.timer = s.h.wheel.AfterFunc(hold, func() { s.connectExpired(c) })
	}
	s.mu.Unlock()
	if older != nil {
		older.timer.Stop()
		s.h.counters.superseded.Add(1)
		r := older.reply(s)
		x.replies.add(&r)
	}
	if now {
		r := c.reply(s)
		x.replies.add(&r)
	}
}

// connectExpired runs on the wheel when a socket's connect has been held for its time.
func (s *session) connectExpired(c *heldConnect) {
	s.mu.Lock()
	mine := s.held == c
	if mine && s.ack != nil {
		c.due = true
		s.mu.Unlock()
		c.sock.conn.Ready()
		return
	}
	if mine {
		s.held, s.replied = nil, s.sent.next()
	}
	s.mu.Unlock()
	if mine {
		r := c.reply(s)
		c.sock.send(&r)
	}
}
