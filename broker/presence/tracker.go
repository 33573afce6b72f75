package presence

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"waft/broker"
)

// Options says whose presence is told. Match is required; the zero value of everything else works.
type Options struct {
	Match   []broker.Pattern // the channels whose presence is told
	Segment string           // what their presence channel has for its last segment; "" means "presence"

	Interval time.Duration // between two messages about a channel, at least; 0 means 1 second
	Grace    time.Duration // how long one must be gone to have left; 0 means 5 seconds

	MaxNames    int // subjects that a list in a message names; 0 means 100
	MaxChannels int // channels with somebody in them that are told of; 0 means 10,000. The others are left alone
	MaxMembers  int // subjects that are remembered, of all channels; 0 means 100,000. Further ones count as anonymous
}

// Tracker is the presence of one realm. Make it before the broker, which is to have its Authorizer and Observe; Start it with the
// broker, and Close it before sessions are ended.
type Tracker struct {
	// static
	opts    Options
	broker  *broker.Broker // from Start on
	life    context.Context
	endLife context.CancelFunc

	telling sync.WaitGroup

	mu     sync.Mutex // guards the rest
	rooms  map[broker.Channel]*room
	due    []*room // whose time has come
	busy   bool    // somebody tells
	closed bool

	members int // owned by who tells

	counters counters
}

// New checks the options. Errors are of kind Invalid.
func New(o Options) (*Tracker, error) {
	o.Segment = cmp.Or(o.Segment, "presence")
	if len(o.Match) == 0 {
		return nil, broker.Errorf(broker.Invalid, "presence of no channels: match is empty")
	}
	for _, p := range o.Match {
		if _, err := broker.ParsePattern(string(p)); err != nil {
			return nil, err
		}
		if p.Reserved() {
			return nil, broker.Errorf(broker.Invalid, "%s belongs to Bayeux and has no presence", p)
		}
	}
	if _, err := broker.ParseChannel("/" + o.Segment); err != nil || strings.Contains(o.Segment, "/") {
		return nil, broker.Errorf(broker.Invalid, "%s is not one segment of a channel name", broker.Quote(o.Segment))
	}
	if min(o.Interval, o.Grace) < 0 || min(o.MaxNames, o.MaxChannels, o.MaxMembers) < 0 {
		return nil, broker.Errorf(broker.Invalid, "presence: times and limits must not be negative")
	}
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	o.MaxNames = cmp.Or(o.MaxNames, 100)
	o.MaxChannels = cmp.Or(o.MaxChannels, 10_000)
	o.MaxMembers = cmp.Or(o.MaxMembers, 100_000)
	t := &Tracker{opts: o, rooms: map[broker.Channel]*room{}}
	t.life, t.endLife = context.WithCancel(context.Background())
	return t, nil
}

// Start names the broker that the tracker observes. It comes before the first session.
func (t *Tracker) Start(b *broker.Broker) { t.broker = b }

// Close ends it and waits for the message that is being published. Nobody is told anything any more.
func (t *Tracker) Close() {
	t.mu.Lock()
	t.closed = true
	for _, r := range t.rooms {
		r.timer.Stop()
	}
	t.rooms, t.due = nil, nil
	t.mu.Unlock()
	t.endLife()
	t.telling.Wait()
}

// Observe is for broker.Options.OnEvent.
func (t *Tracker) Observe(e broker.Event) {
	switch e.Type {
	case broker.EventSubscribed, broker.EventUnsubscribed, broker.EventReaders:
	case broker.EventOpened, broker.EventEnded, broker.EventDropped:
		return
	}
	c, ok := e.Pattern.Channel()
	if !ok || broker.IsShutdown(e.Reason) {
		return
	}
	if t.tracks(c) {
		t.look(c, e.Type != broker.EventUnsubscribed, false)
	} else if of, ok := t.PresenceOf(c); ok && e.Type != broker.EventUnsubscribed {
		t.look(of, true, true)
	}
}

// look has a channel looked at within an interval. Somebody may have come, unless none has; asked is for somebody who wants to
// know in any case. A channel of which nothing is known nobody can have left.
func (t *Tracker) look(c broker.Channel, come, asked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	r := t.rooms[c]
	switch {
	case r != nil:
	case !come:
		return
	case len(t.rooms) >= t.opts.MaxChannels:
		t.counters.untracked.Add(1)
		return
	default:
		r = &room{channel: c}
		t.rooms[c] = r
	}
	r.asked = r.asked || asked
	t.schedule(r, t.opts.Interval)
}

// schedule has the room looked at after d, or sooner if that was said before; mu is held.
func (t *Tracker) schedule(r *room, d time.Duration) {
	at := time.Now().Add(d)
	switch {
	case r.scheduled && !at.Before(r.at):
		return
	case r.timer == nil:
		r.timer = t.broker.Wheel().AfterFunc(d, func() { t.ring(r) })
	default:
		r.timer.Reset(d)
	}
	r.scheduled, r.at = true, at
}

// ring runs on the wheel, which must not wait for a publish.
func (t *Tracker) ring(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !r.scheduled {
		return
	}
	t.due = append(t.due, r)
	if !t.busy {
		t.busy = true
		t.telling.Go(t.tell)
	}
}

// tell sees to the rooms that are due, until none is.
func (t *Tracker) tell() {
	for {
		t.mu.Lock()
		if len(t.due) == 0 {
			t.due, t.busy = nil, false
			t.mu.Unlock()
			return
		}
		r := t.due[0]
		t.due = t.due[1:]
		asked := r.asked
		r.scheduled, r.asked = false, false
		t.mu.Unlock()

		next, told := t.visit(r, asked)

		t.mu.Lock()
		r.asked = r.asked || asked && !told
		switch {
		case t.closed:
		case !told:
			t.schedule(r, t.opts.Interval)
		case next > 0:
			t.schedule(r, max(next, t.opts.Interval))
		case !r.scheduled && r.empty():
			delete(t.rooms, r.channel)
		}
		t.mu.Unlock()
	}
}
