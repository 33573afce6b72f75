package bayeux

import "waft/broker"

// A page that is left open connects for ever. With MaxInactivity a session whose client has sent nothing but connects
// for so long is ended, as CometD's activity extension does: the client is told not to come back. It is looked at
// with each connect, so it happens up to one hold time late.

var errInactive = &broker.Error{Kind: broker.Closed, Text: "the client sent nothing but connects for longer than the server's max_inactivity"}

// acts takes note of a message that is no connect.
func (s *session) acts() { s.acted.Store(s.h.now()) }

// inactive ends the session if it is time, and answers the connect.
func (x *exchange) inactive(s *session, m *message) bool {
	limit := int64(x.h.opts.MaxInactivity)
	if limit == 0 || x.now()-s.acted.Load() < limit {
		return false
	}
	x.h.counters.refuse(RefusedInactive)
	x.h.forget(s)
	s.queue.Close(errInactive)
	if x.sock == nil { // else the socket is told by itself
		x.replies.addRaw([]byte(kickedMessage))
	}
	r := s.farewellReply(m.id, 0, x.h.farewell(s, errInactive))
	x.replies.add(&r)
	return true
}
