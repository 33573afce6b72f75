package xmpp

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"

	"waft/broker"
	"waft/xmpp/component"
)

// audience is who has subscribed to what. To the broker the whole service is one session: its subscription to a pattern
// begins with the first JID and ends with the last.
type audience struct {
	// Static.
	session        *broker.Session
	seed           maphash.Seed
	perUser, total int

	// change is held while a subscription is made or ended, the broker included; so the last JID that leaves a pattern
	// cannot take the broker's subscription from the one that has just come. Taken before mu and subscription.mu.
	change sync.Mutex

	mu       sync.RWMutex // guards the rest; to write it takes change as well
	patterns map[broker.Pattern]*listeners
	users    map[string][]*subscription // by bare JID
	count    int
}

// listeners are the subscriptions to one pattern.
type listeners struct {
	byJID map[string]*subscription
	list  []*subscription // in the order they were made; ended ones stay until there are many. Never changed in place
	ended int             // how many of the list
}

// subscription is one JID's interest in one pattern.
type subscription struct {
	// Static.
	jid     string
	user    string // its bare JID
	pattern broker.Pattern
	to      []byte // the jid, escaped
	mark    uint64 // of the jid, in the ids of its events

	mu    sync.Mutex // guards the rest. It is held while an event is queued, so that none follows after end
	slash bool       // the subscriber writes channels with their leading slash
	over  bool
	floor broker.Position // of the channel's last item, which was sent by itself: nothing up to it is an event
	seen  broker.Position // of the newest message that was an event
}

func newAudience(session *broker.Session, seed maphash.Seed, perUser, total int) *audience {
	return &audience{
		session: session, seed: seed, perUser: perUser, total: total,
		patterns: make(map[broker.Pattern]*listeners), users: make(map[string][]*subscription),
	}
}

// subscribe makes j a subscriber of p. The broker is asked each time, for it is the one who knows what j may do. fresh is
// the subscription if it is new; changed tells that it is new or spelt anew. Errors: errTooMany, errTooManyInAll, the
// broker's.
func (a *audience) subscribe(ctx context.Context, who broker.Principal, j jid.JID, p broker.Pattern, slash bool) (fresh *subscription, changed bool, err error) {
	a.change.Lock()
	defer a.change.Unlock()
	name, user := j.String(), j.Bare().String()
	old := a.find(name, p)
	switch {
	case old != nil:
	case len(a.users[user]) >= a.perUser:
		return nil, false, errTooMany
	case a.count >= a.total:
		return nil, false, errTooManyInAll
	}
	if _, err := a.session.Subscribe(ctx, who, p, broker.SubscribeOptions{}); err != nil {
		return nil, false, err
	}
	if old != nil {
		return nil, old.spell(slash), nil
	}
	fresh = &subscription{
		jid: name, user: user, pattern: p, slash: slash, to: component.AppendAttr(nil, name), mark: maphash.String(a.seed, name),
	}
	a.add(user, fresh)
	return fresh, true, nil
}

// find looks up a subscription; change is held.
func (a *audience) find(jid string, p broker.Pattern) *subscription {
	if l := a.patterns[p]; l != nil {
		return l.byJID[jid]
	}
	return nil
}

func (a *audience) add(user string, sub *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.patterns[sub.pattern]
	if l == nil {
		l = &listeners{byJID: make(map[string]*subscription)}
		a.patterns[sub.pattern] = l
	}
	l.byJID[sub.jid] = sub
	l.list = append(l.list, sub) // beyond what anybody who holds the list sees
	a.users[user] = append(a.users[user], sub)
	a.count++
}

// unsubscribe ends a subscription and tells whether there was one.
func (a *audience) unsubscribe(jid string, p broker.Pattern) bool {
	a.change.Lock()
	defer a.change.Unlock()
	sub := a.find(jid, p)
	if sub != nil {
		a.end(sub)
	}
	return sub != nil
}

// drop ends all subscriptions of exactly this JID, and gives them.
func (a *audience) drop(jid string) (ended []*subscription) {
	a.change.Lock()
	defer a.change.Unlock()
	for _, sub := range slices.Clone(a.users[bare(jid)]) {
		if sub.jid == jid {
			a.end(sub)
			ended = append(ended, sub)
		}
	}
	return ended
}

// end takes a subscription off, from the broker too when it was the pattern's last; change is held.
func (a *audience) end(sub *subscription) {
	sub.end()
	if last := a.remove(sub); last {
		a.session.Unsubscribe(sub.pattern)
	}
}

func (a *audience) remove(sub *subscription) (last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	user := sub.user
	others := a.users[user]
	i := slices.Index(others, sub)
	if others = slices.Delete(others, i, i+1); len(others) == 0 {
		delete(a.users, user)
	} else {
		a.users[user] = others
	}
	a.count--
	l := a.patterns[sub.pattern]
	delete(l.byJID, sub.jid)
	if len(l.byJID) == 0 {
		delete(a.patterns, sub.pattern)
		return true
	}
	if l.ended++; l.ended > len(l.list)/2 {
		l.list, l.ended = slices.Collect(l.living()), 0
	}
	return false
}

// living gives the subscriptions that have not ended; audience.mu is held.
func (l *listeners) living() func(yield func(*subscription) bool) {
	return func(yield func(*subscription) bool) {
		for _, sub := range l.list {
			if l.byJID[sub.jid] == sub && !yield(sub) {
				return
			}
		}
	}
}

// of gives the subscriptions that a delivery is for, those to the narrowest pattern first. When several patterns match,
// a JID may be among them more than once. Some may be over.
func (a *audience) of(d broker.Delivery) []*subscription {
	if d.Also == nil {
		return a.listeners(d.Pattern)
	}
	patterns := slices.Collect(d.Patterns())
	slices.SortFunc(patterns, func(p, q broker.Pattern) int { // all match one channel, so of two one covers the other
		switch {
		case p == q:
			return 0
		case q.Covers(p):
			return -1
		}
		return 1
	})
	var all []*subscription
	for _, p := range patterns {
		all = append(all, a.listeners(p)...)
	}
	return all
}

func (a *audience) listeners(p broker.Pattern) []*subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if l := a.patterns[p]; l != nil {
		return l.list
	}
	return nil
}

// byUser gives the subscriptions of a bare JID and its resources, in the order they were made.
func (a *audience) byUser(user string) []*subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Clone(a.users[user])
}

// subscribed tells whether a user has a subscription to this very pattern, with any of his addresses.
func (a *audience) subscribed(user string, p broker.Pattern) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.ContainsFunc(a.users[user], func(sub *subscription) bool { return sub.pattern == p })
}

// to gives the living subscriptions to this very pattern, in the order they were made.
func (a *audience) to(p broker.Pattern) []*subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if l := a.patterns[p]; l != nil {
		return slices.Collect(l.living())
	}
	return nil
}

// size is how many subscriptions, users and patterns there are.
func (a *audience) size() (subscriptions, users, patterns int) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.count, len(a.users), len(a.patterns)
}

func (s *subscription) spell(slash bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, s.slash = s.slash != slash, slash
	return changed
}

// node is the pattern, or a channel that it matches, as the subscriber spells it.
func (s *subscription) node(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slash {
		return name
	}
	return name[1:]
}

// end makes it over. When it returns, no event of this subscription will be queued any more.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
