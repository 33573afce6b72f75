package bayeux

import (
	"github.com/tidwall/gjson"

	"waft/broker"
)

// subscribe adds one pattern or, all or none, an array of them. Bayeux: /meta/subscribe.
func (x *exchange) subscribe(m *message) {
	s, f := x.session(m)
	if !f.ok() {
		x.refuse(m, nil, f)
		return
	}
	patterns, f := subscriptions(m.subscription)
	if !f.ok() {
		x.refuse(m, s, f)
		return
	}
	who, err := x.principal(m, s)
	if err != nil {
		x.fail(m, s, err, "")
		return
	}
	if p, err := x.subscribeAll(s, who, patterns); err != nil {
		if s.queue.Err() != nil {
			x.refuse(m, nil, unknownClient(s.id))
			return
		}
		x.fail(m, s, err, string(p))
		return
	}
	x.accept(m, s, jsonSubscribe)
}

// subscribeAll makes every subscription or none, and names the pattern that was at fault. To ask before the first one
// is made keeps a refusal in the middle from being seen as a subscription that comes and goes; a failure beyond that
// is rolled back.
func (x *exchange) subscribeAll(s *session, who broker.Principal, patterns []broker.Pattern) (broker.Pattern, error) {
	if len(patterns) > 1 {
		for _, p := range patterns {
			if err := x.h.broker.May(x.ctx, who, broker.ActSubscribe, p); err != nil {
				return p, err
			}
		}
	}
	var made []broker.Pattern
	for _, p := range patterns {
		done, err := s.queue.Subscribe(x.ctx, who, p, broker.SubscribeOptions{})
		if err != nil {
			for _, p := range made {
				s.queue.Unsubscribe(p)
			}
			return p, err
		}
		if !done.Already {
			made = append(made, p)
		}
	}
	return "", nil
}

// unsubscribe takes patterns off; that one was not subscribed is no error. Bayeux: /meta/unsubscribe.
func (x *exchange) unsubscribe(m *message) {
	s, f := x.session(m)
	if !f.ok() {
		x.refuse(m, nil, f)
		return
	}
	patterns, f := subscriptions(m.subscription)
	if !f.ok() {
		x.refuse(m, s, f)
		return
	}
	for _, p := range patterns {
		s.queue.Unsubscribe(p)
	}
	x.accept(m, s, jsonUnsubscribe)
}

// accept replies that m was done. The subscription is repeated as it came: a client that sent a string
// cannot read an array.
func (x *exchange) accept(m *message, s *session, channel string) {
	x.replies.add(&reply{id: m.id, clientID: s.id, channel: channel, successful: true, subscription: m.subscription.Raw})
}

// subscriptions reads the field: a string or an array of them. /service channels are left out: clients subscribe to
// them, and nothing is ever published there.
func subscriptions(v gjson.Result) ([]broker.Pattern, fault) {
	switch {
	case v.IsArray():
	case v.Type == gjson.String && v.Str != "":
	case !v.Exists() || v.Type == gjson.Null || v.Type == gjson.String:
		return nil, missing("subscription")
	default:
		return nil, invalidChannel(v.Raw)
	}
	var patterns []broker.Pattern
	var f fault
	v.ForEach(func(_, v gjson.Result) bool {
		p, err := broker.ParsePattern(v.Str)
		switch {
		case v.Type != gjson.String:
			f = invalidChannel(v.Raw)
		case err != nil:
			f = invalidChannel(v.Str)
		case isService(string(p)):
		case p.Reserved():
			f = forbiddenChannel(v.Str)
		default:
			patterns = append(patterns, p)
		}
		return f.ok()
	})
	return patterns, f
}
