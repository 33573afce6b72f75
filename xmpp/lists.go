package xmpp

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// ownSubscriptions lists what the requester has subscribed to with any of his addresses (XEP-0060 §5.6), patterns too.
func (s *Service) ownSubscriptions(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	only, err := s.filter(ctx, r, name)
	if err != nil {
		return err
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><subscriptions"...)
	if name != "" {
		r.out = attr(r.out, "node", name)
	}
	r.out = append(r.out, '>')
	for _, sub := range s.audience.byUser(r.user) {
		if only != "" && sub.pattern != only {
			continue
		}
		node := name
		if node == "" {
			node = sub.node(string(sub.pattern))
		}
		r.out = attr(attr(append(r.out, "<subscription"...), "node", node), "jid", sub.jid)
		r.out = append(attr(r.out, "subscription", sub.state().String()), "/>"...)
	}
	r.out = append(r.out, "</subscriptions></pubsub>"...)
	return nil
}

// state is what XEP-0060 §4.2 calls it.
func (s *subscription) state() pubsub.SubType {
	if s.pending {
		return pubsub.SubPending
	}
	return pubsub.SubSubscribed
}

// ownAffiliations lists the nodes that the requester is something to (XEP-0060 §5.7).
func (s *Service) ownAffiliations(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	only, err := s.filter(ctx, r, name)
	if err != nil {
		return err
	}
	mine := s.nodes.all(func(l *leaf) bool {
		return l.affiliation(r.user) != affNone && (only == "" || broker.Pattern(l.Channel) == only)
	})
	slices.SortFunc(mine, func(a, b *leaf) int { return strings.Compare(string(a.Channel), string(b.Channel)) })
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><affiliations"...)
	if name != "" {
		r.out = attr(r.out, "node", name)
	}
	r.out = append(r.out, '>')
	for _, l := range mine {
		node := name
		if node == "" {
			node = string(l.Channel)
		}
		r.out = attr(append(r.out, "<affiliation"...), "node", node)
		r.out = append(attr(r.out, "affiliation", string(l.affiliation(r.user))), "/>"...)
	}
	r.out = append(r.out, "</affiliations></pubsub>"...)
	return nil
}

// filter reads the node that a list is asked about, "" for all.
func (s *Service) filter(ctx context.Context, r *request, name string) (broker.Pattern, error) {
	if name == "" {
		return "", nil
	}
	p, err := subscribable(name)
	if err == nil && !s.knows(ctx, r, p) {
		return "", errNoNode
	}
	return p, err
}

// affiliations lists who is what to a node (XEP-0060 §8.9.1).
func (s *Service) affiliations(ctx context.Context, r *request) error {
	name, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	users := make([]string, 0, len(l.Affiliations))
	for user := range l.Affiliations {
		users = append(users, user)
	}
	slices.Sort(users)
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NSOwner+"'><affiliations"...)
	r.out = append(attr(r.out, "node", name), '>')
	for _, user := range users {
		r.out = appendAffiliation(r.out, user, string(l.Affiliations[user]))
	}
	r.out = append(r.out, "</affiliations></pubsub>"...)
	return nil
}

func appendAffiliation(b []byte, user, a string) []byte {
	return append(attr(attr(append(b, "<affiliation"...), "jid", user), "affiliation", a), "/>"...)
}

// entry is one line of a list that an owner sends.
type entry struct {
	written string // the jid, as it was
	jid     jid.JID
	ok      bool // the jid is one
	value   string
	failed  bool
}

// entries reads a list of elements of a name, with their JIDs as they count: bare, or as they are.
func entries(list *component.Element, name string, asBare bool) ([]*entry, error) {
	if len(list.Children) == 0 {
		return nil, errListEntry
	}
	var all []*entry
	seen := make(map[string]bool)
	for _, c := range list.Children {
		if c.Name.Space != pubsub.NSOwner || c.Name.Local != name {
			return nil, errListEntry
		}
		e := &entry{written: c.Attr("jid"), value: c.Attr(name)}
		j, err := jid.Parse(e.written)
		if e.ok = err == nil; e.ok {
			if e.jid = j; asBare {
				e.jid = j.Bare()
			}
			if seen[e.jid.String()] {
				return nil, errListTwice
			}
			seen[e.jid.String()] = true
		}
		all = append(all, e)
	}
	return all, nil
}

// setAffiliations changes who is what to a node (XEP-0060 §8.9.2): what can be set is, the rest is listed in the error
// with its old values. The last owner stays.
func (s *Service) setAffiliations(ctx context.Context, r *request) error {
	name, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	list, err := entries(r.verb, "affiliation", true)
	if err != nil {
		return err
	}
	old := l
	l, err = s.change(ctx, r, l.Channel, func(l *leaf) error {
		old = l.copy()
		for _, e := range list {
			e.failed = !s.affiliate(l, e)
		}
		if l.owners() == 0 {
			for _, e := range list {
				if user := e.jid.String(); e.ok && old.Affiliations[user] == affOwner {
					l.Affiliations[user], e.failed = affOwner, true
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.evict(r, l)
	return partly(list, func(b []byte) []byte {
		b = append(attr(append(b, "<affiliations"...), "node", name), '>')
		for _, e := range list {
			if e.failed {
				b = appendAffiliation(b, e.written, string(old.affiliation(e.jid.String())))
			}
		}
		return append(b, "</affiliations>"...)
	})
}

// affiliate sets one entry, if that can be.
func (s *Service) affiliate(l *leaf, e *entry) bool {
	a, user := affiliation(e.value), e.jid.String()
	_, had := l.Affiliations[user]
	switch {
	case !e.ok || !a.known():
		return false
	case a == affNone:
		delete(l.Affiliations, user)
		return true
	case !had && len(l.Affiliations) >= s.opts.MaxAffiliations:
		return false
	}
	l.Affiliations[user] = a
	return true
}

// partly is the result of a list: the error that shows what of it could not be set, if anything.
func partly(list []*entry, failures func([]byte) []byte) error {
	if !slices.ContainsFunc(list, func(e *entry) bool { return e.failed }) {
		return nil
	}
	e := *errListPart
	e.payload = append(failures([]byte("<pubsub xmlns='"+pubsub.NSOwner+"'>")), "</pubsub>"...)
	return &e
}

// subscriptions lists who has subscribed to a node or asks to (XEP-0060 §8.8.1, which would rather not have the latter
// shown: but an owner can answer them by this list). Who has subscribed by a pattern is not among them.
func (s *Service) subscriptions(ctx context.Context, r *request) error {
	name, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NSOwner+"'><subscriptions"...)
	r.out = append(attr(r.out, "node", name), '>')
	p := broker.Pattern(l.Channel)
	for _, sub := range append(s.audience.to(p), s.audience.petitions(p)...) {
		r.out = appendSubscription(r.out, sub.jid, sub.state())
	}
	r.out = append(r.out, "</subscriptions></pubsub>"...)
	return nil
}

func appendSubscription(b []byte, jid string, state pubsub.SubType) []byte {
	return append(attr(attr(append(b, "<subscription"...), "jid", jid), "subscription", state.String()), "/>"...)
}

// setSubscriptions makes others subscribers of a node or ends their subscriptions (XEP-0060 §8.8.2), and tells them. To
// subscribe somebody who may not subscribe himself fails.
func (s *Service) setSubscriptions(ctx context.Context, r *request) error {
	name, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	list, err := entries(r.verb, "subscription", false)
	if err != nil {
		return err
	}
	p := broker.Pattern(l.Channel)
	made, ended := []*subscription(nil), []*subscription(nil)
	for _, e := range list {
		user := e.jid.Bare().String()
		switch {
		case !e.ok:
			e.failed = true
		case e.value == pubsub.SubPending.String():
			e.failed = s.audience.waits(e.jid.String(), p) == nil
		case e.value == pubsub.SubSubscribed.String():
			if err := l.byHimself(user); err != nil && !errors.Is(err, errNotApproved) {
				e.failed = true
				continue
			}
			if slices.ContainsFunc(s.audience.to(p), func(sub *subscription) bool { return sub.jid == e.jid.String() }) {
				continue
			}
			sub, err := s.enlist(ctx, s.opts.Principal(user), e.jid, p, wish{slash: name[0] == '/'})
			if e.failed = err != nil; sub != nil {
				made = append(made, sub)
			}
		case e.value == pubsub.SubNone.String():
			gone, err := s.expel(ctx, l.Channel, func(sub *subscription) bool { return sub.jid == e.jid.String() })
			e.failed = err != nil
			ended = append(ended, gone...)
		default:
			e.failed = true
		}
	}
	tell := func(context.Context) {
		s.announceState(l.Channel, l, made, pubsub.SubSubscribed)
		s.announceState(l.Channel, l, ended, pubsub.SubNone)
		for _, sub := range made {
			s.tellOwners(l, sub, pubsub.SubSubscribed)
		}
		for _, sub := range ended {
			s.tellOwners(l, sub, pubsub.SubNone)
		}
	}
	r.then(tell)
	return partly(list, func(b []byte) []byte {
		b = append(attr(append(b, "<subscriptions"...), "node", name), '>')
		for _, e := range list {
			if e.failed {
				state := pubsub.SubNone
				if s.audience.waits(e.jid.String(), p) != nil {
					state = pubsub.SubPending
				}
				if slices.ContainsFunc(s.audience.to(p), func(sub *subscription) bool { return sub.jid == e.jid.String() }) {
					state = pubsub.SubSubscribed
				}
				b = appendSubscription(b, e.written, state)
			}
		}
		return append(b, "</subscriptions>"...)
	})
}
