package broker

// Bell is what a publish rings for a session whose queue turns from empty to not empty, in place of Wake, when there is one
// (Session.Rings): it is rung for many sessions at once, which spares each of them a lock and a signal.
type Bell interface {
	// RingAll rings all of these, of which it is the first; the others may be of another kind. It runs on the publisher's goroutine
	// while the channel waits: like Wake it notes down and returns. The list is the caller's.
	RingAll(bells []Bell)
}

// Rings makes b the session's bell from now on; nil: publishes call Wake. Whoever changes it looks for what waits afterwards: a
// publish may have rung the one before.
func (s *Session) Rings(b Bell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bell = b
}

// ring rings for the sessions that were queued for since the last time.
func (x *matching) ring() {
	if len(x.bells) > 0 {
		x.bells[0].RingAll(x.bells)
		clear(x.bells)
		x.bells = x.bells[:0]
	}
}
