package httppub

import (
	"sync/atomic"

	"waft/broker"
)

// limitedBy names a rate. It is a metric label.
type limitedBy uint8

const (
	byKey limitedBy = iota
	byChannel
	byAddress
	limitedBys
)

var limitedNames = [limitedBys]string{byKey: "key", byChannel: "channel", byAddress: "address"}

// releasedFor says why an item that waited for another one does no longer. It is a metric label.
type releasedFor uint8

const (
	followed   releasedFor = iota // the other one has been published
	overdue                       // its time was up
	overfull                      // too many waited
	atShutdown                    // waft stops
	releasedFors
)

var releasedNames = [releasedFors]string{followed: "in_order", overdue: "timeout", overfull: "full", atShutdown: "shutdown"}

// intakeCounters only grow.
type intakeCounters struct {
	requests [broker.Closed + 1]atomic.Uint64 // refused, by kind
	limited  [limitedBys]atomic.Uint64

	held, lost atomic.Uint64
	released   [releasedFors]atomic.Uint64

	repeats, keysReused atomic.Uint64

	lines, refusedLines, cutStreams atomic.Uint64
}

// IntakeStats is a snapshot of an Intake's counts. The counters only grow; what ends in Now is what is now.
type IntakeStats struct {
	Refused map[broker.Kind]uint64 // requests; what only HTTP knows to be wrong (a method) is Invalid
	Limited map[string]uint64      // of them, and of lines that had to wait, those above a rate: key, channel, address

	Held     uint64            // items that waited for the one before them
	Released map[string]uint64 // and do no longer: in_order, timeout, full, shutdown
	Lost     uint64            // of them those that then could not be published
	HeldNow  int

	Repeats    uint64 // requests with an Idempotency-Key that had come before
	KeysReused uint64 // and with another body: refused

	Lines        uint64 // of bulk loads, that were published
	RefusedLines uint64 // that were not
	CutStreams   uint64 // bulk loads that ended before their end
	StreamsNow   int
}

// Stats counts.
func (in *Intake) Stats() IntakeStats {
	c := &in.counters
	s := IntakeStats{
		Refused: make(map[broker.Kind]uint64), Limited: map[string]uint64{}, Released: map[string]uint64{},
		Held: c.held.Load(), Lost: c.lost.Load(), Repeats: c.repeats.Load(), KeysReused: c.keysReused.Load(),
		Lines: c.lines.Load(), RefusedLines: c.refusedLines.Load(), CutStreams: c.cutStreams.Load(),
		StreamsNow: in.streams.count(),
	}
	for k := range broker.Closed + 1 {
		s.Refused[k] = c.requests[k].Load()
	}
	for by, name := range limitedNames {
		s.Limited[name] = c.limited[by].Load()
	}
	for why, name := range releasedNames {
		s.Released[name] = c.released[why].Load()
	}
	in.order.mu.Lock()
	s.HeldNow = in.order.held
	in.order.mu.Unlock()
	return s
}

// refused counts a request that is.
func (in *Intake) refused(err error) {
	if in != nil {
		in.counters.requests[kindOf(err)].Add(1)
	}
}
