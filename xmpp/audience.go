package xmpp

import (
	"context"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
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
	pending  map[broker.Pattern]map[string]*subscription // those that wait for an owner's word, by JID
	users    map[string][]*subscription                  // by bare JID, pending ones too
	count    int                                         // likewise
	waiting  int                                         // pending ones
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
	pending bool   // an owner has not said yes. It has no events; when he does, another takes its place

	mu    sync.Mutex // guards the rest. It is held while an event is queued, so that none follows after end
	slash bool       // the subscriber writes channels with their leading slash
	over  bool
	prefs preferences
	lease *broker.Timer   // ends it, if it is to end by itself
	floor broker.Position // of the channel's last item, which was sent by itself: nothing up to it is an event
	seen  broker.Position // of the newest message that was an event
}

func newAudience(session *broker.Session, seed maphash.Seed, perUser, total int) *audience {
	return &audience{
		session: session, seed: seed, perUser: perUser, total: total,
		patterns: make(map[broker.Pattern]*listeners), pending: make(map[broker.Pattern]map[string]*subscription),
		users: make(map[string][]*subscription),
	}
}

// newSubscription makes one that nobody knows of yet.
func newSubscription(seed maphash.Seed, name, user string, p broker.Pattern, slash bool) *subscription {
	return &subscription{
		jid: name, user: user, pattern: p, slash: slash, to: component.AppendAttr(nil, name), mark: maphash.String(seed, name),
	}
}

// room tells whether a user may have one more subscription; change is held.
func (a *audience) room(user string) error {
	switch {
	case len(a.users[user]) >= a.perUser:
		return errTooMany
	case a.count >= a.total:
		return errTooManyInAll
	}
	return nil
}

// wish is what comes with a request to subscribe.
type wish struct {
	slash bool         // the channel is written with its leading slash
	prefs *preferences // nil: those that there are, or the usual ones
}

// subscribe makes j a subscriber of p; a pending subscription gives way to that. The broker is asked each time, for it is
// the one who knows what j may do. fresh is the subscription if it is new; changed tells that it is new or spelt anew.
// Errors: errTooMany, errTooManyInAll, the broker's.
func (a *audience) subscribe(ctx context.Context, who broker.Principal, j jid.JID, p broker.Pattern, w wish) (fresh *subscription, changed bool, err error) {
	a.change.Lock()
	defer a.change.Unlock()
	name, user := j.String(), j.Bare().String()
	old, waits := a.find(name, p), a.pending[p][name]
	if old == nil && waits == nil {
		if err := a.room(user); err != nil {
			return nil, false, err
		}
	}
	if _, err := a.session.Subscribe(ctx, who, p, broker.SubscribeOptions{}); err != nil {
		return nil, false, err
	}
	if old != nil {
		return nil, old.spell(w.slash), nil
	}
	fresh = newSubscription(a.seed, name, user, p, w.slash)
	if waits != nil {
		fresh.prefs = waits.preferences()
		a.end(waits)
	}
	if w.prefs != nil {
		fresh.prefs = *w.prefs
	}
	a.add(fresh)
	a.session.ReadersChanged(p)
	return fresh, true, nil
}

// petition makes a pending subscription of j to p, unless most of them wait already. Errors: errPending, errTooManyPending,
// errTooMany, errTooManyInAll.
func (a *audience) petition(j jid.JID, p broker.Pattern, w wish, most int) (*subscription, error) {
	a.change.Lock()
	defer a.change.Unlock()
	name, user := j.String(), j.Bare().String()
	if a.pending[p][name] != nil {
		return nil, errPending
	}
	if err := a.room(user); err != nil {
		return nil, err
	}
	if len(a.pending[p]) >= most {
		return nil, errTooManyPending
	}
	sub := newSubscription(a.seed, name, user, p, w.slash)
	sub.pending = true
	if w.prefs != nil {
		sub.prefs = *w.prefs
	}
	a.add(sub)
	return sub, nil
}

// get gives the subscription of a JID, pending or not, or nil.
func (a *audience) get(jid string, p broker.Pattern) *subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if sub := a.find(jid, p); sub != nil {
		return sub
	}
	return a.pending[p][jid]
}

// usersWith gives the users who have a subscription that passes.
func (a *audience) usersWith(pass func(*subscription) bool) (users []string) {
	a.mu.RLock()
	all := make([][]*subscription, 0, len(a.users))
	for _, subs := range a.users {
		all = append(all, slices.Clone(subs))
	}
	a.mu.RUnlock()
	for _, subs := range all {
		if slices.ContainsFunc(subs, pass) {
			users = append(users, subs[0].user)
		}
	}
	slices.Sort(users)
	return users
}

// rest stops the timers of all subscriptions: the service is ending.
func (a *audience) rest() {
	for _, sub := range a.every() {
		sub.mu.Lock()
		if sub.lease != nil {
			sub.lease.Stop()
		}
		sub.mu.Unlock()
	}
}

func (a *audience) every() (all []*subscription) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, subs := range a.users {
		all = append(all, subs...)
	}
	return all
}

// waits gives the pending subscription of a JID, or nil.
func (a *audience) waits(jid string, p broker.Pattern) *subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.pending[p][jid]
}

// petitions gives the pending subscriptions to a node, by JID.
func (a *audience) petitions(p broker.Pattern) []*subscription {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.SortedFunc(maps.Values(a.pending[p]), func(x, y *subscription) int { return strings.Compare(x.jid, y.jid) })
}

// find looks up a subscription; change or mu is held.
func (a *audience) find(jid string, p broker.Pattern) *subscription {
	if l := a.patterns[p]; l != nil {
		return l.byJID[jid]
	}
	return nil
}

func (a *audience) add(sub *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[sub.user] = append(a.users[sub.user], sub)
	a.count++
	if sub.pending {
		a.waiting++
		if a.pending[sub.pattern] == nil {
			a.pending[sub.pattern] = make(map[string]*subscription)
		}
		a.pending[sub.pattern][sub.jid] = sub
		return
	}
	l := a.patterns[sub.pattern]
	if l == nil {
		l = &listeners{byJID: make(map[string]*subscription)}
		a.patterns[sub.pattern] = l
	}
	l.byJID[sub.jid] = sub
	l.list = append(l.list, sub) // beyond what anybody who holds the list sees
}

// unsubscribe ends a subscription, pending or not, and tells whether there was one.
func (a *audience) unsubscribe(jid string, p broker.Pattern) bool {
	a.change.Lock()
	defer a.change.Unlock()
	sub := a.find(jid, p)
	if sub == nil {
		sub = a.pending[p][jid]
	}
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
	} else if !sub.pending {
		a.session.ReadersChanged(sub.pattern)
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
	if sub.pending {
		a.waiting--
		if delete(a.pending[sub.pattern], sub.jid); len(a.pending[sub.pattern]) == 0 {
			delete(a.pending, sub.pattern)
		}
		return false
	}
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
	return slices.ContainsFunc(a.users[user], func(sub *subscription) bool { return sub.pattern == p && !sub.pending })
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

// petitioned gives the nodes with pending subscriptions, in no order.
func (a *audience) petitioned() []broker.Pattern {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Collect(maps.Keys(a.pending))
}

// petitioners is how many subscriptions are pending.
func (a *audience) petitioners() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.waiting
}

// readers gives the bare JID of each living subscription to this very pattern: for the broker, who counts and names them.
func (a *audience) readers(p broker.Pattern) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, sub := range a.to(p) {
			if !yield(sub.user) {
				return
			}
		}
	}
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

func (s *subscription) spelt() (slash bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slash
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
	if s.lease != nil {
		s.lease.Stop()
		s.lease = nil
	}
}
