package xmpp

import (
	"context"
	"errors"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// subscribe is XEP-0060 §6.1. Subscribing again changes how the node is spelt in events, which is as it was written last, and
// the options, if there are some with it.
func (s *Service) subscribe(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	p, err := subscribable(name)
	if err != nil {
		return err
	}
	j, err := subscriberJID(r)
	if err != nil {
		return err
	}
	if !j.Equal(r.FromJID) && !j.Equal(r.FromJID.Bare()) {
		return errInvalidJID
	}
	prefs, err := wished(r)
	if err != nil {
		return err
	}
	state, err := s.admit(ctx, r, j, p, wish{name[0] == '/', prefs})
	if err != nil {
		return err
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><subscription"...)
	r.out = attr(attr(r.out, "node", name), "jid", j.String())
	r.out = append(attr(r.out, "subscription", state.String()), "/></pubsub>"...)
	return nil
}

// admit makes the requester a subscriber of p, or has him wait for an owner's word.
func (s *Service) admit(ctx context.Context, r *request, j jid.JID, p broker.Pattern, w wish) (pubsub.SubType, error) {
	c, isChannel := p.Channel()
	if !isChannel {
		c = "" // of a pattern it is the channel above those that it matches
	}
	l := s.nodes.get(c)
	switch err := s.mayRead(c, l, r.user); {
	case errors.Is(err, errNotApproved):
		sub, err := s.petition(ctx, r, l, j, w)
		s.courtPresence(r, sub)
		return pubsub.SubPending, err
	case err != nil:
		return pubsub.SubNone, err
	}
	fresh, err := s.enlist(ctx, r.who, j, p, w)
	if err == nil && isChannel {
		err = s.welcome(ctx, r, c, j.String(), fresh)
	}
	if err == nil {
		s.courtPresence(r, fresh)
	}
	return pubsub.SubSubscribed, closedNode(err)
}

// unsubscribe is XEP-0060 §6.2. Once its result is sent, no event follows.
func (s *Service) unsubscribe(ctx context.Context, r *request) error {
	p, err := subscribable(r.verb.Attr("node"))
	if err != nil {
		return err
	}
	j, err := subscriberJID(r)
	if err != nil {
		return err
	}
	switch {
	case !j.Bare().Equal(r.FromJID.Bare()):
		return errOthersJID
	case r.verb.Attr("subid") != "":
		return errInvalidSubID
	}
	sub := s.audience.get(j.String(), p)
	was, err := s.delist(ctx, j.String(), p)
	switch {
	case was && sub != nil && !sub.pending:
		r.then(func(context.Context) { s.tellOwners(s.nodes.get(broker.Channel(p)), sub, pubsub.SubNone) })
		return nil
	case was || err != nil:
		return err
	case !s.knows(ctx, r, p):
		return errNoNode
	}
	return errNotSubscribed
}

// welcome looks at the node again, which its owner may have closed while the subscription was being made, and sees to a
// new subscriber's last item.
func (s *Service) welcome(ctx context.Context, r *request, c broker.Channel, jid string, fresh *subscription) error {
	l := s.nodes.get(c)
	if err := s.mayRead(c, l, r.user); err != nil {
		_, _ = s.delist(ctx, jid, broker.Pattern(c)) // a record that stays does no more than wait for the node to open
		return err
	}
	if fresh != nil {
		r.then(func(context.Context) { s.tellOwners(l, fresh, pubsub.SubSubscribed) })
	}
	if m := s.lastItem(ctx, r.who, c, l, fresh); m != nil {
		r.then(func(context.Context) { s.announcer.put(1, func(ctx context.Context) { s.sendLast(ctx, l, fresh, m) }) })
	}
	return nil
}

// subscriberJID reads the jid of a verb.
func subscriberJID(r *request) (jid.JID, error) {
	if r.verb.Attr("jid") == "" {
		return jid.JID{}, errJIDRequired
	}
	j, err := jid.Parse(r.verb.Attr("jid"))
	if err != nil {
		return jid.JID{}, errInvalidJID
	}
	return j, nil
}
