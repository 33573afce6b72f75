package bayeux

import (
	"math"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/broker/outbox"
)

// CometD's acknowledge extension. Once a handshake has agreed on it, events come with connect replies only: each closes a
// batch, empty or not, and has its number in ext.ack, from 1 on. A connect says in ext.ack which batch was the last that
// arrived. Batches after it are queued again, in front and in order, and the connect is answered with them at once. So a
// client loses nothing and gets nothing twice, whatever happens to the connections in between.
//
// On a socket events and connect reply are one frame: of a frame that is cut nothing arrives, while of two the client could have
// the events without the number. There is no EventSource with it, on which they would come without a connect. How much may be unacknowledged has the bound of MaxUnconfirmed; beyond, events wait in the
// queue, under its limits and policy.

// ackState is what a session with the extension knows.
type ackState struct {
	batch   uint64        // number of the last batch that was closed
	end     uint64        // in what the session was sent: where that batch ends
	unacked []closedBatch // those with events, oldest first
}

type closedBatch struct{ number, end uint64 }

// jsonAck is the member of a handshake reply's ext that says the extension is on.
const jsonAck = `"ack":true`

// wantsAck tells whether a handshake asks for the extension: ext.ack is true, or an object whose enabled is.
func (m *message) wantsAck() bool {
	if !m.ext.IsObject() {
		return false
	}
	ack := member(m.ext, "ack")
	if ack.IsObject() {
		ack = member(ack, "enabled")
	}
	return ack.Type == gjson.True
}

// acked is the batch that a connect acknowledges. What is no whole number, or below zero, acknowledges nothing.
func (m *message) acked() (uint64, bool) {
	if !m.ext.IsObject() {
		return 0, false
	}
	v := member(m.ext, "ack")
	if v.Type != gjson.Number || v.Num < 0 || v.Num != math.Trunc(v.Num) || v.Num > 1<<53 {
		return 0, false
	}
	return uint64(v.Num), true
}

// member finds a member by its very name: gjson's own paths have a syntax. Of repeated ones the last counts.
func member(object gjson.Result, name string) (found gjson.Result) {
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
		}
		return true
	})
	return found
}

// agreeAck is the state of a session that is to have the extension, or nil.
func (x *exchange) agreeAck(m *message) *ackState {
	if x.h.opts.NoAck || !x.h.keeps() || !m.wantsAck() {
		return nil
	}
	return &ackState{}
}

// acknowledge takes note of a connect; mu is held. A number that is missing, is none, or was never given to a batch
// says nothing.
func (s *session) acknowledge(m *message) {
	a := s.ack
	n, ok := m.acked()
	if !ok || n > a.batch {
		return
	}
	done := 0
	for _, b := range a.unacked {
		if b.number > n {
			break
		}
		s.sent.popTo(b.end)
		done++
	}
	a.unacked = append(a.unacked[:0], a.unacked[done:]...)
	if s.sent.len() == 0 {
		return
	}
	a.unacked = a.unacked[:0]
	s.requeue()
}

// closeBatch ends a batch, which the reply to a connect is to have the number of; mu is held. It is called when the events are taken,
// and when a connect gives way: whatever is taken after that is another batch, though its reply may be written first. 0 is no
// number: the session is without the extension.
func (s *session) closeBatch() uint64 {
	a := s.ack
	if a == nil {
		return 0
	}
	a.batch++
	if a.end < s.sent.next() && s.sent.len() > 0 {
		a.unacked = append(a.unacked, closedBatch{a.batch, s.sent.next()})
	}
	a.end = s.sent.next()
	return a.batch
}

// addBatch says in a connect reply which batch it closes; 0: none.
func (r *reply) addBatch(n uint64) {
	if n > 0 {
		r.addExt(`"ack":` + strconv.FormatUint(n, 10))
	}
}

// connectBatch is connectSocket with the extension: all connects are answered by Fill, in the order of their batches.
func (x *exchange) connectBatch(s *session, c *heldConnect, hold time.Duration) {
	s.mu.Lock()
	older := s.unhold()
	s.mu.Unlock()
	if older != nil {
		older.timer.Stop()
		s.h.counters.superseded.Add(1)
		r := older.reply(s)
		x.sock.send(&r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		x.tooLate(s, c.id, unknownClient(s.id()))
	} else if s.endpoint == x.sock {
		c.due = hold <= 0 || s.greeted != x.sock
		s.connected, s.greeted, s.held = true, x.sock, c
		c.timer = s.h.wheel.AfterFunc(max(hold, time.Second), func() { s.connectExpired(c) })
		x.sock.conn.Ready()
	} // else it has found a newer endpoint, and this socket is closed
}

// batch gives the frame that answers the session's connect, if there is one and something to answer, or its time has come.
func (s *socket) batch(sc *outbox.Scratch, from *session) []byte {
	ds, held := from.takeBatch(s, sc.Deliveries[:0])
	if held == nil {
		return nil
	}
	sc.Deliveries = ds
	held.timer.Stop()
	l := s.h.list(sc.Buf[:0])
	from.form().append(&l, ds)
	r := held.reply(from)
	l.add(&r)
	frame := l.appendFrame(l.buf[len(l.buf):]) // behind the list, if there is room
	sc.Buf = l.buf
	return frame
}

func (s *session) takeBatch(sock *socket, buf []broker.Delivery) ([]broker.Delivery, *heldConnect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	if s.endpoint != sock || held == nil {
		return buf, nil
	}
	messages, bytes := s.room()
	ds := s.queue.DrainWithin(buf, min(messages, drainAtOnce), min(bytes, maxJoined))
	if len(ds) == 0 && !held.due {
		return ds, nil
	}
	s.record(ds, nil)
	return ds, s.unhold()
}
