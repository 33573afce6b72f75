package presence

import "sync/atomic"

// Stats is a snapshot. The counters only grow; the gauges say what is now.
type Stats struct {
	Published uint64 // messages
	Failed    uint64 // messages that could not be published, and were told later
	Untracked uint64 // times somebody came to a channel that was not told of, for MaxChannels
	Unnamed   uint64 // times a subject was counted as anonymous, for MaxMembers

	Channels int // that are told of now
	Members  int // subjects remembered now
}

type counters struct {
	published, failed, untracked, unnamed atomic.Uint64
	members                               atomic.Int64
}

// Stats counts. That of no tracker is zero.
func (t *Tracker) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	t.mu.Lock()
	channels := len(t.rooms)
	t.mu.Unlock()
	c := &t.counters
	return Stats{
		Published: c.published.Load(), Failed: c.failed.Load(), Untracked: c.untracked.Load(), Unnamed: c.unnamed.Load(),
		Channels: channels, Members: int(c.members.Load()),
	}
}
