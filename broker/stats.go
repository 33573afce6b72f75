package broker

import (
	"errors"
	"maps"
	"sync/atomic"
	"time"
)

// EventType says what happened to a session.
type EventType uint8

const (
	EventOpened       EventType = iota // a session began
	EventEnded                         // a session ended: Reason
	EventSubscribed                    // Pattern was added
	EventUnsubscribed                  // Pattern was taken off: by the session, because nothing grants it any longer, or with the session: Reason
	EventReaders                       // the readers behind the subscription to Pattern are others than before: SessionOptions.Readers
	EventDropped                       // deliveries gave way under DropOldest: told at the first, and whenever their number has about doubled
)

// Event is one thing that happened, for logs and hooks. It is told after the fact, and by whoever brought it about: of two that
// happen to a session at once, either may be told first.
type Event struct {
	Type    EventType
	Session *Session // log its Label, never its ID
	Pattern Pattern
	Reason  error
}

func (b *Broker) event(e Event) { b.opts.OnEvent(e) }

// LostReason names a way in which a delivery that had been queued never reached its reader. It is a metric label.
type LostReason uint8

const (
	LostSlow       LostReason = iota // the queue was full and the session ended for it
	LostOldest                       // the queue was full and the oldest gave way
	LostExpired                      // the session idled away with deliveries waiting
	LostShutdown                     // the server shut down
	LostClosed                       // the reader or the adapter closed the session
	LostCredential                   // the session ended with its credential
	lostReasons
)

var lostNames = [lostReasons]string{ //nolint:gosec // G101: no credential is here
	LostSlow: "slow_consumer", LostOldest: "drop_oldest", LostExpired: "session_expired",
	LostShutdown: "shutdown", LostClosed: "session_closed",
	LostCredential: "credential_expired",
}

// String is the reason's metric label.
func (r LostReason) String() string { return lostNames[r] }

var errExpired = &Error{Kind: Closed, Text: "the session expired"}

// ErrShutdown is the reason with which Shutdown ends sessions. An adapter that sees its sessions off before then ends
// them with it too.
var ErrShutdown error = &Error{Kind: Closed, Text: "the server is shutting down"}

// IsExpired tells whether err ended a session that had shown no sign of life for its IdleTTL.
func IsExpired(err error) bool { return errors.Is(err, errExpired) }

// IsShutdown tells whether err ended a session because the server is shutting down.
func IsShutdown(err error) bool { return errors.Is(err, ErrShutdown) }

func lostReason(ended error) LostReason {
	switch {
	case KindOf(ended) == SlowConsumer:
		return LostSlow
	case IsExpired(ended):
		return LostExpired
	case IsShutdown(ended):
		return LostShutdown
	case errors.Is(ended, ErrCredentialExpired):
		return LostCredential
	default:
		return LostClosed
	}
}

func (b *Broker) countLost(r LostReason, n int) {
	if n > 0 {
		b.counters.lost[r].Add(uint64(n))
	}
}

// counters only grow.
type counters struct {
	published, duplicates, removed, delivered, opened atomic.Uint64

	publishedBytes, deliveredBytes atomic.Uint64

	rejected [Closed + 1]atomic.Uint64
	ended    [Closed + 1]atomic.Uint64
	lost     [lostReasons]atomic.Uint64
}

// Stats is a snapshot of a broker's counts. The counters only grow; the gauges say what is now.
type Stats struct {
	Began time.Time // when the counters began to count

	// Counters.
	Published  uint64 // messages accepted, without the duplicates
	Duplicates uint64 // publishes answered from the idempotency window
	Removed    uint64 // items removed from histories
	Delivered  uint64 // messages queued for sessions of this process
	Opened     uint64 // sessions begun

	PublishedBytes uint64                   // of the texts of Published
	DeliveredBytes uint64                   // of the texts of Delivered, once for each session
	SessionTime    map[string]time.Duration // how long sessions have lived, those that live included, by protocol

	Ended    map[Kind]uint64       // sessions ended, by the kind of the reason
	Rejected map[Kind]uint64       // publishes refused
	Lost     map[LostReason]uint64 // queued deliveries that never reached a reader

	// Gauges.
	Sessions      map[string]int // by protocol
	Subscriptions int
	Engine        EngineStats
}

// Stats counts.
func (b *Broker) Stats() Stats {
	c := &b.counters
	s := Stats{
		Began:     b.began,
		Published: c.published.Load(), Duplicates: c.duplicates.Load(), Removed: c.removed.Load(),
		Delivered: c.delivered.Load(), Opened: c.opened.Load(),
		Ended: make(map[Kind]uint64), Rejected: make(map[Kind]uint64), Lost: make(map[LostReason]uint64), Sessions: make(map[string]int),
		Subscriptions: int(b.subscriptions.Load()),
		Engine:        b.engine.Stats(),

		PublishedBytes: c.publishedBytes.Load(), DeliveredBytes: c.deliveredBytes.Load(),
	}
	for k := range Closed + 1 {
		s.Ended[k], s.Rejected[k] = c.ended[k].Load(), c.rejected[k].Load()
	}
	for r := range lostReasons {
		s.Lost[r] = c.lost[r].Load()
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if s.SessionTime = maps.Clone(b.lived); s.SessionTime == nil {
		s.SessionTime = map[string]time.Duration{}
	}
	for _, session := range b.sessions {
		s.Sessions[session.Protocol()]++
		s.SessionTime[session.Protocol()] += time.Since(session.Opened())
	}
	return s
}
