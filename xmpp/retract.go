package xmpp

import (
	"context"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// retract removes one item (XEP-0060 §7.2). Its subscribers are told if the request says so, or else if the node does.
// Owners, publishers and who may manage the channel remove any item, others what they have published. On a channel that nobody claimed, who may
// publish may remove, as on every other protocol.
func (s *Service) retract(ctx context.Context, r *request) error {
	c, err := channelOf(r.verb.Attr("node"))
	if err != nil {
		return err
	}
	items := r.verb.Children
	if len(items) != 1 || items[0].Name.Space != pubsub.NS || items[0].Name.Local != "item" || items[0].Attr("id") == "" {
		return errOneItem
	}
	id, l := items[0].Attr("id"), s.nodes.get(c)
	conf := l.config()
	notify := conf.NotifyRetract
	if r.verb.HasAttr("notify") {
		if notify, err = xmlBool(r.verb.Attr("notify")); err != nil {
			return errNotifyValue
		}
	}
	if err := s.mayRemove(ctx, r, c, l, id); err != nil {
		return err
	}
	if !conf.Persist {
		return unsupported(pubsub.FeaturePersistentItems)
	}
	err = s.broker.Remove(ctx, r.who, c, id, notify)
	if err != nil && broker.KindOf(err) == broker.NotFound {
		return errNoItem
	}
	return err
}

// mayRemove says whether the requester may remove an item, as far as the node is concerned.
func (s *Service) mayRemove(ctx context.Context, r *request, c broker.Channel, l *leaf, id string) error {
	if l.mayRemoveAny(r.user) || s.governs(ctx, r.who, r.user, l) {
		return nil
	}
	if err := l.mayPublish(r.user, func() bool { return s.audience.subscribed(r.user, broker.Pattern(c)) }); err != nil {
		return err
	}
	page, err := s.broker.History(ctx, r.who, c, broker.Range{IDs: []string{id}})
	switch {
	case err != nil:
		return err
	case len(page.Messages) == 0:
		return errNoItem
	case page.Messages[0].Publisher == "" || page.Messages[0].Publisher != r.who.Subject:
		return errNotYourItem
	}
	return nil
}
