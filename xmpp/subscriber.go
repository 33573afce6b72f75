package xmpp

import (
	"context"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// subscribe is XEP-0060 §6.1. Subscribing again changes nothing but how the node is spelt in events: as it was
// written last.
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
	c, isChannel := p.Channel()
	if err := s.nodes.get(c).mayRead(r.user); err != nil {
		return err
	}
	fresh, err := s.enlist(ctx, r.who, j, p, name[0] == '/')
	if err != nil {
		return closedNode(err)
	}
	if isChannel {
		if err := s.welcome(ctx, r, c, j.String(), fresh); err != nil {
			return err
		}
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><subscription"...)
	r.out = attr(attr(r.out, "node", name), "jid", j.String())
	r.out = append(attr(r.out, "subscription", pubsub.SubSubscribed.String()), "/></pubsub>"...)
	return nil
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
	was, err := s.delist(ctx, j.String(), p)
	switch {
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
	if err := l.mayRead(r.user); err != nil {
		_, _ = s.delist(ctx, jid, broker.Pattern(c)) // a record that stays does no more than wait for the node to open
		return err
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
