package httppub

import (
	"errors"
	"sync/atomic"

	"waft/broker"
)

// counters only grow.
type counters struct {
	pages, messages, unchanged, polls, empty atomic.Uint64

	refused [broker.Closed + 1]atomic.Uint64
}

// refuse counts a request that is refused; what only HTTP knows to be wrong (a method) is Invalid.
func (c *counters) refuse(err error) { c.refused[kindOf(err)].Add(1) }

func kindOf(err error) broker.Kind {
	if _, ok := errors.AsType[*wireError](err); ok {
		return broker.Invalid
	}
	return broker.KindOf(err)
}

// ReaderStats is a snapshot of a Reader's counts. The counters only grow; Held is what is now.
type ReaderStats struct {
	Pages     uint64                 // answers with messages of a channel, or with their absence
	Messages  uint64                 // in them
	Unchanged uint64                 // answers that said that the client's copy is still right: 304
	Polls     uint64                 // requests that were held
	Empty     uint64                 // of them those that ended with nothing new
	Refused   map[broker.Kind]uint64 // requests refused
	Held      int
}

// Stats counts.
func (h *Reader) Stats() ReaderStats {
	c := &h.counters
	s := ReaderStats{
		Pages: c.pages.Load(), Messages: c.messages.Load(), Unchanged: c.unchanged.Load(),
		Polls: c.polls.Load(), Empty: c.empty.Load(), Refused: make(map[broker.Kind]uint64), Held: h.held.count(),
	}
	for k := range broker.Closed + 1 {
		s.Refused[k] = c.refused[k].Load()
	}
	return s
}
