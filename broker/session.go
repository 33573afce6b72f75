package broker

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Overflow says what happens to a session whose queue is full.
type Overflow uint8

const (
	Disconnect Overflow = iota // the session ends with SlowConsumer; its reader resumes from history
	DropOldest                 // the oldest delivery gives way; counted, and seen in Session.Dropped
)

// SessionOptions says how one reader wants to be served. Zero values mean the defaults.
type SessionOptions struct {
	// ID is the session's name and, in Bayeux, its bearer secret. "" makes one of 160 random bits.
	ID string

	// Protocol names the adapter, for counts and log lines.
	Protocol string

	// MaxSubscriptions at a time; 0 means 1,000, negative means no limit.
	MaxSubscriptions int

	MaxMessages int      // deliveries that may wait; 0 means 1,000
	MaxBytes    int      // bytes of them, by Message.Size; 0 means 1 MiB. One delivery always fits an empty queue
	Overflow    Overflow // what happens beyond

	// Fixture marks a session that is a part of the server and not a client's: EndSession leaves it alone.
	Fixture bool

	// IdleTTL ends a session that was neither Touched nor Held for so long; 0 means never.
	IdleTTL time.Duration

	// Wake is called when the queue of a session turns from empty to not empty, and once when the session ends.
	// It runs on the publisher's goroutine while the channel waits: it may note the session down and return, nothing
	// more. nil: the reader uses Receive.
	Wake func(*Session)

	// Ended is called once, on a goroutine of its own, after the session has ended, whoever ended it.
	Ended func(s *Session, reason error)

	// Readers names those behind a subscription of a session that serves several (an XMPP link), each by the subject of
	// its principal, "" if it has none. The adapter tells when they change: ReadersChanged. It must not call the broker.
	// nil: the session is one reader, and its subject that of whoever subscribed.
	Readers func(Pattern) iter.Seq[string]

	// Lapsed is called when a subscription has ended because nothing grants it any longer; on a goroutine of its own. The
	// reason is ErrCredentialExpired, or what the Authorizer said to Recheck.
	Lapsed func(s *Session, p Pattern, reason error)
}

// Delivery is one message for one session.
type Delivery struct {
	Message *Message
	Pattern Pattern   // the subscription it matched
	Also    []Pattern // further ones of the same session; nil nearly always. Shared: read only
}

// Patterns gives every subscription the message matched.
func (d Delivery) Patterns() iter.Seq[Pattern] {
	return func(yield func(Pattern) bool) {
		if !yield(d.Pattern) {
			return
		}
		for _, p := range d.Also {
			if !yield(p) {
				return
			}
		}
	}
}

// Session is one reader: one bounded queue and any number of subscriptions. A message is queued once, however many
// of them it matches. Methods may be called by any goroutine; Drain and Receive by one at a time.
//
// mu is the innermost lock: nothing is called while it is held.
type Session struct {
	// What a delivery touches fills a cache line; of a thousand sessions hardly any is in a cache when its turn comes.
	mu      sync.Mutex // guards what is not said to be static or atomic
	bell    Bell       // rung by publishes in place of opts.Wake; nil: there is none
	gone    bool       // ended is not nil
	awaited bool       // arrived is not nil

	replaying bool         // subscriptions of the session hold back what is live
	held      atomic.Int32 // Hold minus Release

	queue queue // its first fields

	ended   error         // why, once it has
	arrived chan struct{} // made by Receive, closed when something is queued or the session ends

	// static after Open
	broker *Broker
	opts   SessionOptions
	serial uint64
	opened time.Duration // after the broker began

	active  atomic.Int64 // nanoseconds since the broker began, of the last sign of life
	dropped atomic.Uint64

	subs   subset
	expiry *Timer
	lapse  *Timer
}

// subscription is one session's interest in one pattern. It fills a cache line.
type subscription struct {
	session *Session
	pattern Pattern
	subject string // of whoever made it; "": nobody vouches for one

	place int32 // in the pattern's list, or pending or removed; guarded by the index shard

	// guarded by session.mu
	left bool       // it is none of the session's any longer, though a snapshot may have it
	hold *hold      // set while a replay is read: live messages wait in it
	who  *Principal // to whom it was granted; nil: to anybody. Of several the one that lasts longest
}

// ID is the session's name: a secret in Bayeux, never to be logged.
func (s *Session) ID() string { return s.opts.ID }

// Label names the session in logs and lists: protocol and number, no secret.
func (s *Session) Label() string { return s.opts.Protocol + "-" + strconv.FormatUint(s.serial, 10) }

// Protocol is the adapter's name.
func (s *Session) Protocol() string { return s.opts.Protocol }

// Opened is when the session began.
func (s *Session) Opened() time.Time { return s.broker.began.Add(s.opened) }

// Dropped counts the deliveries lost under DropOldest.
func (s *Session) Dropped() uint64 { return s.dropped.Load() }

// Pending is how many deliveries wait.
func (s *Session) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.len()
}

// Quiet tells whether nothing waits and the session lives.
func (s *Session) Quiet() bool {
	s.mu.Lock()
	quiet := s.queue.count == 0 && !s.gone
	s.mu.Unlock()
	return quiet
}

// Err is nil while the session lives, and then why it ended.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Subscriptions lists the session's patterns, in no order.
func (s *Session) Subscriptions() []Pattern {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Pattern, 0, s.subs.len())
	for sub := range s.subs.all() {
		list = append(list, sub.pattern)
	}
	return list
}

// Touch is a sign of life: the idle time starts anew.
func (s *Session) Touch() { s.active.Store(s.broker.clock()) }

// Hold keeps the session from idling away (a poll is held, a socket is open) until Release; they count.
func (s *Session) Hold() { s.held.Add(1) }

// Release undoes one Hold and is a sign of life.
func (s *Session) Release() {
	s.Touch()
	s.held.Add(-1)
}

// Drain appends everything that waits to buf and returns it; it does not block. The messages are shared: read only.
func (s *Session) Drain(buf []Delivery) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.drain(buf)
}

// DrainMax is Drain for at most limit deliveries, and as many as are reasonably written at once: 128 KiB, or one that is larger. It
// tells whether that was all.
func (s *Session) DrainMax(buf []Delivery, limit int) (ds []Delivery, all bool) {
	s.mu.Lock()
	if q := &s.queue; q.len() <= limit && q.size() <= drainBytes {
		buf = q.drain(buf) // together, which is half the work
	} else {
		buf = q.drainWithin(buf, limit, drainBytes)
	}
	all = s.queue.count == 0
	s.mu.Unlock()
	return buf, all
}

// Prefetch has the processor fetch what a delivery touches of the session. It is for those who serve many in turn: what several of them need comes at
// the same time, while a lock, which waits for all memory before it, has each wait for its own.
func (s *Session) Prefetch() { s.held.Load() }

// Only takes out the message that waits if it is one alone, as most of the time it is, for half of what Drain costs. Else it takes nothing.
func (s *Session) Only() (m *Message) {
	s.mu.Lock()
	if q := &s.queue; q.count == 1 {
		m = q.message
		q.reset()
	}
	s.mu.Unlock()
	return m
}

// OnlyOf is Only for a message that matched one of the session's subscriptions, and tells which.
func (s *Session) OnlyOf() (m *Message, p Pattern) {
	s.mu.Lock()
	if q := &s.queue; q.count == 1 && q.head == 0 { // else it may have matched others, too
		m, p = q.message, q.pattern
		q.count, q.message = 0, nil
	}
	s.mu.Unlock()
	return m, p
}

// drainBytes is what a peer that reads slowly costs in memory, beside its queue: its messages are shared, what is written of them is not.
const drainBytes = 128 << 10

// DrainWithin is Drain for at most limit deliveries of at most size bytes together, but for the first, which may be larger alone.
func (s *Session) DrainWithin(buf []Delivery, limit, size int) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.drainWithin(buf, limit, size)
}

// Return puts drained deliveries that could not be written back in front of the queue, in order, whatever the
// queue's limits: they were counted once. On a session that has ended it does nothing.
func (s *Session) Return(ds []Delivery) { s.wake(s.Requeue(ds)) }

// Requeue is Return without Wake, for a reader that holds a lock which Wake takes, and looks by itself afterwards. It
// tells whether the queue was empty.
func (s *Session) Requeue(ds []Delivery) (edge bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil && len(ds) > 0 {
		edge = s.queue.len() == 0
		s.queue.pushFront(ds)
	}
	s.arrive(edge)
	return edge
}

// Receive returns the next deliveries in order, between 1 and max of them.
//
// It blocks until there is one, ctx ends, or the session ends. Errors: ctx's when it ends first; the session's
// (SlowConsumer, Closed, …) once it has ended.
func (s *Session) Receive(ctx context.Context, limit int) ([]Delivery, error) {
	for {
		s.mu.Lock()
		if s.queue.len() > 0 {
			var buf []Delivery
			for len(buf) < limit && s.queue.len() > 0 {
				buf = append(buf, s.queue.pop())
			}
			s.mu.Unlock()
			return buf, nil
		}
		if s.ended != nil {
			defer s.mu.Unlock()
			return nil, s.ended
		}
		if s.arrived == nil {
			s.arrived, s.awaited = make(chan struct{}), true
		}
		arrived := s.arrived
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends the session: its queue is dropped, its subscriptions end, and readers get reason (nil: an error of kind
// Closed). The first reason stays.
func (s *Session) Close(reason error) {
	if reason == nil {
		reason = &Error{Kind: Closed, Text: "the session was closed"}
	}
	s.mu.Lock()
	subs, first := s.end(reason)
	s.mu.Unlock()
	if first {
		s.finish(subs, reason)
	}
}

// end marks the session ended, under mu, and gives the subscriptions to take down. What waits is not delivered.
func (s *Session) end(reason error) (subs subset, first bool) {
	if s.ended != nil {
		return subset{}, false
	}
	s.ended, s.gone = reason, true
	subs, s.subs = s.subs, subset{}
	s.broker.countLost(lostReason(reason), s.queue.len())
	s.queue = queue{}
	s.arrive(true)
	return subs, true
}

// finish takes an ended session out of the broker, without mu.
func (s *Session) finish(subs subset, reason error) {
	for sub := range subs.all() {
		s.broker.index.remove(sub)
		s.broker.event(Event{Type: EventUnsubscribed, Session: s, Pattern: sub.pattern, Reason: reason})
	}
	s.mu.Lock()
	for _, t := range []*Timer{s.expiry, s.lapse} {
		if t != nil {
			t.Stop()
		}
	}
	s.mu.Unlock()
	s.broker.forget(s, subs.len(), reason)
	s.wake(true)
	if s.opts.Ended != nil {
		s.broker.tasks.Go(func() { s.opts.Ended(s, reason) })
	}
}

// arrive releases a blocked Receive; mu is held.
func (s *Session) arrive(edge bool) {
	if edge && s.awaited {
		close(s.arrived)
		s.arrived, s.awaited = nil, false
	}
}

func (s *Session) wake(edge bool) {
	if edge && s.opts.Wake != nil {
		s.opts.Wake(s)
	}
}

// enqueue queues m for the subscription sub, and tells whether the session will get it. Its bell may be left in x, still to be rung.
func (s *Session) enqueue(m *Message, sub *subscription, x *matching) bool {
	s.mu.Lock()
	if s.gone || sub.left {
		s.mu.Unlock()
		return false
	}
	if sub.hold == nil && s.queue.count == 0 && !s.awaited { // admit would do the same, in twice the instructions
		s.queue.message, s.queue.pattern, s.queue.count = m, sub.pattern, 1
		s.announce(x)
		return true
	}
	return s.admit(Delivery{Message: m, Pattern: sub.pattern}, sub.hold, x)
}

// enqueueMany is enqueue for a message that matched several subscriptions of the session: one delivery. If one of
// them holds back live messages for its replay, the message waits there, so that it cannot overtake the history. What goes
// into Delivery.Also is taken from x.also if it is the same, and left there for the next session. subs is changed.
func (s *Session) enqueueMany(m *Message, subs []*subscription, x *matching) bool {
	s.mu.Lock()
	if s.ended == nil {
		subs = slices.DeleteFunc(subs, func(sub *subscription) bool { return sub.left })
	}
	if s.ended != nil || len(subs) == 0 {
		s.mu.Unlock()
		return false
	}
	d := Delivery{Message: m, Pattern: subs[0].pattern}
	if len(subs) > 1 {
		if !slices.EqualFunc(x.also, subs[1:], func(p Pattern, sub *subscription) bool { return p == sub.pattern }) {
			x.also = make([]Pattern, 0, len(subs)-1)
			for _, sub := range subs[1:] {
				x.also = append(x.also, sub.pattern)
			}
		}
		d.Also = x.also
	}
	var h *hold
	for _, sub := range subs {
		if h = sub.hold; h != nil {
			break
		}
	}
	return s.admit(d, h, x)
}

// admit puts d into the hold, or into the queue under its limits. It is called with mu held and releases it.
func (s *Session) admit(d Delivery, h *hold, x *matching) bool {
	if h != nil {
		h.add(d, s.opts.MaxMessages, s.opts.MaxBytes)
		s.mu.Unlock()
		return true
	}
	if s.queue.count > 0 {
		return s.admitBehind(d, x.size)
	}
	s.queue.setFirst(d)
	s.queue.count = 1
	s.arrive(true)
	s.announce(x)
	return true
}

// announce sees to it that somebody looks into the queue, which was empty. It is called with mu held and releases it.
func (s *Session) announce(x *matching) {
	bell := s.bell
	s.mu.Unlock()
	if bell != nil {
		x.bells = append(x.bells, bell)
	} else {
		s.wake(true)
	}
}

// admitBehind is admit, for a message of that Size, where others wait already, of which somebody knows.
func (s *Session) admitBehind(d Delivery, size int) bool {
	told := false
	for s.queue.count > 0 && !s.queue.fits(size, s.opts.MaxMessages, s.opts.MaxBytes) {
		if s.opts.Overflow == Disconnect {
			s.overflow()
			return false
		}
		s.queue.pop()
		n := s.dropped.Add(1)
		told = told || n&(n-1) == 0 // whenever the number has doubled
		s.broker.countLost(LostOldest, 1)
	}
	if s.queue.count > 0 {
		s.queue.pushBehind(d, size)
	} else {
		s.queue.push(d)
	}
	s.mu.Unlock()
	if told {
		s.broker.event(Event{Type: EventDropped, Session: s})
	}
	return true
}

// overflow ends a session whose queue is full. It is called with mu held and releases it.
func (s *Session) overflow() {
	reason := Errorf(SlowConsumer, "the session was ended: %d messages (%d bytes) were waiting for it to read",
		s.queue.len(), s.queue.size())
	s.broker.countLost(LostSlow, 1)
	subs, _ := s.end(reason)
	s.mu.Unlock()
	// Taking the session down is for another goroutine: this one has a channel to serve.
	s.broker.tasks.Go(func() { s.finish(subs, reason) })
}

// checkIdle runs on the wheel: it ends the session when it has been idle for its TTL, or comes back when that may
// next be so. A sign of life costs one atomic store, not a timer operation.
func (s *Session) checkIdle() {
	left := s.opts.IdleTTL
	if s.held.Load() == 0 {
		left -= time.Duration(s.broker.clock() - s.active.Load())
	}
	if left > 0 {
		s.mu.Lock()
		if s.ended == nil {
			s.expiry.Reset(left)
		}
		s.mu.Unlock()
		return
	}
	s.Close(errExpired)
}
