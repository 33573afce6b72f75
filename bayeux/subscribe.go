package bayeux

import (
	"errors"

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
	from, f := m.starts()
	if !f.ok() {
		x.refuse(m, s, f)
		return
	}
	who, err := x.principal(m, s)
	if err != nil {
		x.fail(m, s, err, "")
		return
	}
	all := from.subscriptions(patterns, s.placed)
	if from != nil {
		s.replaying.Lock()
		defer s.replaying.Unlock()
	}
	done, err := s.queue.SubscribeAll(x.ctx, who, all)
	if err != nil {
		x.failSubscribe(m, s, from, all, err)
		return
	}
	r := x.accepted(m, s, jsonSubscribe)
	if s.placed {
		r.addStarts(all, done)
	}
	x.replies.add(&r)
}

// failSubscribe says which of the subscriptions was at fault: none of them has been made.
func (x *exchange) failSubscribe(m *message, s *session, from *starts, all []broker.Subscription, err error) {
	if s.queue.Err() != nil {
		x.refuse(m, nil, unknownClient(s.id()))
		return
	}
	if broker.KindOf(err) == broker.Internal {
		x.h.log.sampled(&x.h.log.body, "an operation failed", err)
	}
	about, known := broker.AboutOf(err)
	if batch, ok := errors.AsType[*broker.BatchError](err); ok && !known && batch.Index < len(all) {
		about = all[batch.Index].Pattern
	}
	x.refuse(m, s, from.fault(err, about))
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
	r := x.accepted(m, s, jsonUnsubscribe)
	x.replies.add(&r)
}

// accepted is the reply that m was done. The subscription is repeated as it came: a client that sent a string
// cannot read an array.
func (x *exchange) accepted(m *message, s *session, channel string) reply {
	return reply{id: m.id, clientID: s.id(), channel: channel, successful: true, subscription: m.subscription.Raw}
}

// subscriptions reads the field: a string or an array of them, each taken once. /service channels are left out: clients subscribe
// to them, and nothing is ever published there.
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
	seen := map[broker.Pattern]bool{}
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
		case !seen[p]:
			seen[p] = true
			patterns = append(patterns, broker.Pattern(keep(string(p))))
		}
		return f.ok()
	})
	return patterns, f
}
