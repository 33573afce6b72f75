package xmpp

import (
	"context"

	"waft/broker"
)

// A node is a channel. It needs no creating: what the rules let somebody subscribe to or publish to is there for that
// person, and what they do not is not, so that nobody learns from an answer which closed channels are in use.
//
// Somebody can make a channel his own. A leaf is what that adds to it.
//
// A pattern ("/chat/*", "/chat/**") can be subscribed to and unsubscribed from as if it were a node, and nothing else.

// channelOf reads the channel that an attribute names, with or without its leading slash.
func channelOf(name string) (broker.Channel, error) {
	if name == "" {
		return "", errNodeRequired
	}
	c, err := broker.ParseName(name)
	if err != nil {
		return "", errNoNode.saying(broker.TextOf(err))
	}
	if c.Reserved() {
		return "", errNoNode
	}
	return c, nil
}

// subscribable is channelOf for what may be a pattern as well.
func subscribable(name string) (broker.Pattern, error) {
	if name == "" {
		return "", errNodeRequired
	}
	p, err := broker.ParsePatternName(name)
	if err != nil {
		return "", errNoNode.saying(broker.TextOf(err))
	}
	if p.Reserved() {
		return "", errNoNode
	}
	return p, nil
}

// knows tells whether p is there for the requester: the rules let him subscribe or publish to it, and its owner, if it has
// one, does not hide it from him.
func (s *Service) knows(ctx context.Context, r *request, p broker.Pattern) bool {
	if c, ok := p.Channel(); ok && s.hides(ctx, r, c) {
		return false
	}
	return s.broker.May(ctx, r.who, broker.ActSubscribe, p) == nil || s.broker.May(ctx, r.who, broker.ActPublish, p) == nil
}

// hides tells whether an owner keeps a channel from the requester: that of the node itself, or of the one whose presence it
// tells.
func (s *Service) hides(ctx context.Context, r *request, c broker.Channel) bool {
	for _, l := range []*leaf{s.nodes.get(c), s.guardian(c)} {
		if l != nil && !s.shows(ctx, r, l) {
			return true
		}
	}
	return false
}

// shows tells whether the requester may know of a node: its owner does not hide it from him, or he may manage it.
func (s *Service) shows(ctx context.Context, r *request, l *leaf) bool {
	return l.visible(r.user) || s.governs(ctx, r.who, r.user, l)
}

// closedNode is what a reader is told whom the rules keep out: to XEP-0060 §6.1.3.4 a channel with rules is a node with
// a whitelist. Other errors it lets be.
func closedNode(err error) error {
	if k := broker.KindOf(err); k == broker.Forbidden || k == broker.Unauthenticated {
		return errClosedNode
	}
	return err
}
