package xmpp

import (
	"context"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"
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
	if err := s.audience.subscribe(ctx, r.who, j, p, name[0] == '/'); err != nil {
		return closedNode(err)
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
	case s.audience.unsubscribe(j.String(), p):
		return nil
	case !s.knows(ctx, r.who, p):
		return errNoNode
	}
	return errNotSubscribed
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
