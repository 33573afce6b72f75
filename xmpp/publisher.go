package xmpp

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// publish stores items in a node, all of them or none (XEP-0060 §7.1, §12.11). An item with an id takes the place of an
// earlier one. The result does not wait for anybody to be notified.
func (s *Service) publish(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	c, err := channelOf(name)
	if err != nil {
		return err
	}
	l := s.nodes.get(c)
	if err := l.mayPublish(r.user, func() bool { return s.audience.subscribed(r.user, broker.Pattern(c)) }); err != nil {
		return err
	}
	conf, create, err := s.publishOptions(ctx, r, c, l)
	if err != nil {
		return err
	}
	batch, err := s.batch(r, c, conf)
	if err != nil {
		return err
	}
	leave, err := s.room(ctx, r, c, l, batch)
	if err != nil {
		return err
	}
	defer leave()
	if create {
		if err := s.claim(ctx, r, c, *conf); err != nil {
			return err
		}
	}
	receipts, err := s.broker.PublishAll(ctx, r.who, batch)
	s.count.published.Add(uint64(len(receipts)))
	if err != nil {
		if create && len(receipts) == 0 {
			_ = s.nodes.delete(ctx, c) // no node remains of a publish that failed; the error to tell is the first
		}
		return s.notPublished(r.verb.Children, len(receipts), err)
	}
	s.courtPublisher(r, l)
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><publish"...)
	r.out = append(attr(r.out, "node", name), '>')
	for _, receipt := range receipts {
		if len(r.verb.Children) > 0 {
			r.out = append(attr(append(r.out, "<item"...), "id", receipt.ID), "/>"...)
		}
	}
	r.out = append(r.out, "</publish></pubsub>"...)
	return nil
}

// publishOptions looks at the options of a publish (XEP-0060 §7.1.5): each is a precondition. If the node does not meet them
// and is nobody's yet, the publish is to create one that does.
func (s *Service) publishOptions(ctx context.Context, r *request, c broker.Channel, l *leaf) (conf *config, create bool, err error) {
	conf = l.config()
	options, err := readForm(r.payload.Child(pubsub.NS, "publish-options"), formPublishOptions, errBadOptions)
	if err != nil || len(options.fields) == 0 {
		return conf, false, err
	}
	unmet := conf.meets(options, &s.opts)
	if unmet == nil || l != nil || s.free(ctx, r, c) != nil {
		return conf, false, unmet
	}
	fresh := defaultConfig()
	return &fresh, true, fresh.become(options, &s.opts)
}

// batch makes messages of what is to be published.
func (s *Service) batch(r *request, c broker.Channel, conf *config) ([]broker.Publication, error) {
	if conf.bare() {
		if len(r.verb.Children) > 0 {
			return nil, errItemForbidden
		}
		return []broker.Publication{{Message: &broker.Message{Channel: c, Data: []byte("null")}}}, nil
	}
	items, err := s.itemsOf(r.verb)
	if err != nil {
		return nil, err
	}
	batch := make([]broker.Publication, len(items))
	for i, item := range items {
		data, err := payload(item, conf.payloadLimit(&s.opts))
		if err != nil {
			return nil, ofItem(i, len(items), err)
		}
		batch[i] = broker.Publication{
			Message:        &broker.Message{ID: item.Attr("id"), Channel: c, Data: data},
			PublishOptions: broker.PublishOptions{Replace: item.Attr("id") != ""},
		}
	}
	return batch, nil
}

// itemsOf is the items of a <publish/>.
func (s *Service) itemsOf(publish *component.Element) ([]*component.Element, error) {
	items := publish.Children
	switch {
	case len(items) == 0:
		return nil, errItemRequired
	case len(items) > s.opts.MaxItems:
		return nil, errTooManyItems
	}
	for _, item := range items {
		switch {
		case item.Name.Space != pubsub.NS || item.Name.Local != "item":
			return nil, errItemRequired
		case len(item.Attr("id")) > broker.MaxIDBytes:
			return nil, errItemID
		}
	}
	return items, nil
}

// notPublished makes the answer to a batch that failed. The broker calls a payload and an id alike invalid; XEP-0060
// does not.
func (s *Service) notPublished(items []*component.Element, stored int, err error) error {
	b, ok := errors.AsType[*broker.BatchError](err)
	if !ok {
		return err
	}
	e := s.toStanzaError(b.Err)
	if broker.KindOf(b.Err) == broker.Invalid && len(items) > 0 {
		if _, bad := broker.CompactJSON([]byte(items[b.Index].Children[0].Text)); bad != nil {
			e = errInvalidPayload.saying(broker.TextOf(bad))
		}
	}
	if stored > 0 {
		e = e.saying(fmt.Sprintf("%s (the %d before it were published)", e.text, stored))
	}
	return ofItem(b.Index, len(items), e)
}

// ofItem says which item of several an error is about.
func ofItem(i, n int, err error) error {
	if e, ok := errors.AsType[*stanzaError](err); ok && n > 1 {
		return e.saying(fmt.Sprintf("item %d: %s", i+1, e.text))
	}
	return err
}
