package ws

import (
	"context"
	"errors"
	"slices"

	"waft/broker"
	"waft/httppub/place"
)

// tasks are subscribes and unsubscribes: they are done one after the other, in the order in which they came. One that has more to replay
// than a session may queue goes on by itself (catchup.go), and those that come meanwhile wait. Guarded by socket.mu.
type tasks struct {
	busy    bool
	waiting []*frame
	lapsed  []lapse // that came while the feed was paused
}

// maxWaiting is how many may wait.
const maxWaiting = 32

var errWaiting = &broker.Error{Kind: broker.RateLimited, Text: "too many subscriptions wait for one that replays its history; wait for answers"}

// perform does f, or has it wait for its turn.
func (s *socket) perform(f *frame) {
	s.mu.Lock()
	t := &s.tasks
	if t.busy && len(t.waiting) >= maxWaiting {
		s.mu.Unlock()
		s.fail(f, errWaiting)
		return
	}
	if t.busy {
		t.waiting = append(t.waiting, f)
		s.mu.Unlock()
		return
	}
	t.busy = true
	s.mu.Unlock()
	for ; f != nil; f = s.nextTask() {
		if g, o := s.do(f); o != nil {
			s.working.Go(func() { s.goOn(g, o) })
			return
		}
	}
}

// goOn is the goroutine of a subscription that catches up, and of what waits behind it.
func (s *socket) goOn(g *group, o *place.Opening) {
	s.catchUp(g, o)
	for f := s.nextTask(); f != nil; f = s.nextTask() {
		if g, o := s.do(f); o != nil {
			s.catchUp(g, o)
		}
	}
}

func (s *socket) nextTask() *frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.tasks
	if len(t.waiting) == 0 || s.over {
		t.busy, t.waiting = false, nil
		return nil
	}
	f := t.waiting[0]
	t.waiting = t.waiting[1:]
	return f
}

// do does f. An opening says that there is more to replay than may be queued.
func (s *socket) do(f *frame) (*group, *place.Opening) {
	if f.kind == "unsubscribe" {
		s.unsubscribe(f)
		return nil, nil
	}
	g, o, err := s.subscribe(f)
	switch {
	case err != nil && s.session.Err() != nil: // the close frame says why
		return nil, nil
	case err != nil:
		s.fail(f, err)
		return nil, nil
	case o.Behind:
		return g, o
	default:
		return nil, nil
	}
}

// subscribe makes the subscriptions and answers, before any message of theirs.
func (s *socket) subscribe(f *frame) (*group, *place.Opening, error) {
	s.mu.Lock()
	for _, p := range f.patterns {
		if s.feed.groups[p] != nil {
			s.mu.Unlock()
			return nil, nil, broker.Errorf(broker.Conflict, "%s is subscribed to already; unsubscribe it first", p)
		}
	}
	s.mu.Unlock()
	from, err := f.place()
	if err != nil {
		return nil, nil, err
	}
	o, err := s.h.places.Open(s.life, gate{s}, s.principal(), f.patterns, from)
	if err != nil {
		return nil, nil, err
	}
	s.prove()
	g := &group{ref: f.ref, patterns: f.patterns, cursor: o.Cursor}
	resumed, lost := o.Resumed(), o.Lost()
	if from != nil {
		s.h.counters.resumed.Add(1)
	}
	if len(lost) > 0 {
		s.h.counters.lost.Add(1)
	}
	s.tell(&answer{Type: "subscribed", Ref: f.ref, Channels: g.patterns, Resumed: &resumed, Lost: lost, Place: g.place()})
	if !o.Behind {
		s.goLive(g)
	}
	return g, o, nil
}

// place reads since and seen. nil: there is neither.
func (f *frame) place() (t *place.Token, err error) {
	if f.since != "" {
		if t, err = place.Parse(f.since, f.patterns); err != nil {
			return nil, err
		}
	}
	for c, at := range f.at {
		var ok bool
		if t, ok = t.See(c, at, f.patterns); ok {
			continue
		}
		if slices.ContainsFunc(f.patterns, func(p broker.Pattern) bool { return p.Matches(c) }) {
			return nil, broker.Errorf(broker.Invalid, "seen has %s, and since has no place of the wildcard that brings it", c)
		}
		return nil, broker.Errorf(broker.Invalid, "seen has %s, which is none of the channels that are subscribed to", c)
	}
	return t, nil
}

// gate makes subscriptions with the feed paused from the moment that something of theirs is queued: its cursor has to be set first. The
// feed stays paused, if they were made, until goLive.
type gate struct{ *socket }

// SubscribeAll implements place.Session.
func (g gate) SubscribeAll(ctx context.Context, who broker.Principal, subs []broker.Subscription) ([]broker.Subscribed, error) {
	g.mu.Lock()
	g.feed.paused = true
	g.mu.Unlock()
	done, err := g.session.SubscribeAll(ctx, who, subs)
	if err != nil {
		g.resume()
	}
	return done, err
}

// Pending implements place.Session.
func (g gate) Pending() int { return g.session.Pending() }

// goLive lets the messages of g flow.
func (s *socket) goLive(g *group) {
	s.mu.Lock()
	s.feed.add(g)
	s.mu.Unlock()
	s.resume()
}

// resume ends the feed's pause.
func (s *socket) resume() {
	s.mu.Lock()
	s.feed.paused = false
	late := s.tasks.lapsed
	s.tasks.lapsed = nil
	s.mu.Unlock()
	s.conn.Load().Ready()
	for _, l := range late {
		s.lose(l)
	}
}

// unsubscribe takes patterns off: all, or none.
func (s *socket) unsubscribe(f *frame) {
	s.mu.Lock()
	for _, p := range f.patterns {
		if s.feed.groups[p] == nil {
			s.mu.Unlock()
			s.fail(f, broker.Errorf(broker.NotFound, "%s is not subscribed to", p))
			return
		}
	}
	for _, p := range f.patterns {
		s.feed.drop(p)
	}
	s.mu.Unlock()
	for _, p := range f.patterns {
		s.session.Unsubscribe(p)
	}
	s.tell(&answer{Type: "unsubscribed", Ref: f.ref, Channels: f.patterns})
}

// lapse is a subscription that has ended because nothing grants it any longer.
type lapse struct {
	pattern broker.Pattern
	reason  error
}

// lapsed implements broker.SessionOptions.Lapsed: a socket lasts as long as its credential, a subscription as long as its rights.
func (s *socket) lapsed(_ *broker.Session, p broker.Pattern, reason error) {
	if errors.Is(reason, broker.ErrCredentialExpired) {
		s.session.Close(broker.ErrCredentialExpired)
		return
	}
	s.mu.Lock()
	if s.feed.paused {
		s.tasks.lapsed = append(s.tasks.lapsed, lapse{p, reason})
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.lose(lapse{p, reason})
}

func (s *socket) lose(l lapse) {
	s.mu.Lock()
	had := s.feed.drop(l.pattern)
	s.mu.Unlock()
	if !had {
		return
	}
	s.h.counters.revoked.Add(1)
	a := problem(l.reason)
	a.Type, a.Channels = "unsubscribed", []broker.Pattern{l.pattern}
	s.tell(&a)
}
