package xmpp

import (
	"maps"
	"sync"
	"sync/atomic"

	"waft/xmpp/component"
)

// Stats is a snapshot of a service's counts. They count from New and never go down, but for the gauges.
type Stats struct {
	Link component.Stats

	Requests    uint64            // iq get and set that were answered, refused ones included
	Refused     map[string]uint64 // of them, those answered with an error, by condition ("item-not-found")
	TurnedAway  uint64            // stanzas that were not let in: there was no room, or the sender is too fast
	TooFast     uint64            // of them, the latter
	RepliesLost uint64            // answers that the link could not take
	Published   uint64            // items

	Commands       uint64 // of the API by stanza that were done
	CommandsFailed uint64 // or were not
	Chats          uint64 // answers in chats
	ChatsIgnored   uint64 // chats of admins that were passed over: too many, or nobody's own words

	Stanzas     uint64 // messages that items carried, queued on the link
	StanzasLost uint64 // or not: it was full or down

	Events       uint64 // queued on the link, one for each recipient
	Naked        uint64 // messages whose events lack the payload, which is too big for a stanza
	Skipped      uint64 // messages without a form for XMPP
	Dropped      uint64 // messages that gave way in the queue, by Options.QueueMessages and QueueBytes
	Bounces      uint64 // events that came back
	StrayBounces uint64 // message errors that answer no event
	Ended        uint64 // subscriptions ended by bounces and farewells
	Unnoted      uint64 // presences that were not noted, for there were too many
	Unsaid       uint64 // announcements that were dropped, one for each recipient

	// Gauges.
	Subscriptions int
	Pending       int // of them, those that wait for an owner's word
	Subscribers   int // bare JIDs
	Presences     int // resources known to be online
	Nodes         int // that somebody has made his own
	Patterns      int
	OpenCommands  int
	Waiting       int // messages that wait for the link
	Announcing    int // recipients of announcements that wait for it
}

// counters is updated from every goroutine.
type counters struct {
	requests, turnedAway, repliesLost, published, events, naked, skipped atomic.Uint64
	bounces, strayBounces, ended, unsaid, tooFast                        atomic.Uint64
	commands, commandsFailed, chats, chatsIgnored, stanzas, stanzasLost  atomic.Uint64
	eventIDs                                                             atomic.Uint64 // the last one given

	mu      sync.Mutex
	refused map[string]uint64
}

// request counts an answer; e is nil for a result.
func (c *counters) request(e *stanzaError) {
	c.requests.Add(1)
	if e == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[string]uint64)
	}
	c.refused[string(e.condition)]++ // one of our own table: bounded
}

// Stats returns the counts as they are now.
func (s *Service) Stats() Stats {
	c := &s.count
	st := Stats{
		Link:     s.link.Stats(),
		Requests: c.requests.Load(), TurnedAway: c.turnedAway.Load(), TooFast: c.tooFast.Load(), RepliesLost: c.repliesLost.Load(),
		Published: c.published.Load(), Events: c.events.Load(), Naked: c.naked.Load(), Skipped: c.skipped.Load(),
		Dropped: s.session.Dropped(), Bounces: c.bounces.Load(), StrayBounces: c.strayBounces.Load(), Ended: c.ended.Load(),
		Unnoted: s.where.turnedAway.Load(), Presences: s.where.size(), Unsaid: c.unsaid.Load(), Announcing: s.announcer.size(),
		Waiting: s.session.Pending(), Nodes: s.nodes.size(), Pending: s.audience.petitioners(), Refused: make(map[string]uint64),
		Commands: c.commands.Load(), CommandsFailed: c.commandsFailed.Load(), Chats: c.chats.Load(), ChatsIgnored: c.chatsIgnored.Load(),
		Stanzas: c.stanzas.Load(), StanzasLost: c.stanzasLost.Load(), OpenCommands: s.runs.size(),
	}
	st.Subscriptions, st.Subscribers, st.Patterns = s.audience.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(st.Refused, c.refused)
	return st
}
