package xmpp

import (
	"context"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/paging"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/pubsub"
	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"

	"waft/broker"
)

// pubsubFeatures are the parts of XEP-0060 that work.
var pubsubFeatures = []pubsub.Feature{
	pubsub.FeatureAccessOpen,
	pubsub.FeatureAutoCreate,
	pubsub.FeatureItemIDs,
	pubsub.FeaturePersistentItems,
	pubsub.FeaturePublish,
	pubsub.FeatureRetrieveItems,
	pubsub.FeatureSubscribe,
}

// multiItems has no name in mellium: the service takes several items in a node.
const multiItems = pubsub.NS + "#multi-items"

// features is what disco#info says of the service, made once.
var features = func() []byte {
	all := []string{
		disco.NSInfo, disco.NSItems, paging.NS, ping.NS, version.NS, xtime.NS, nsJSON,
		pubsub.NS, pubsub.NSPaging, multiItems,
	}
	for _, f := range pubsubFeatures {
		all = append(all, pubsub.NS+"#"+f.String())
	}
	return appendFeatures(nil, all...)
}()

// nodeFeatures is what disco#info says of a node.
var nodeFeatures = appendFeatures(nil, disco.NSInfo, disco.NSItems, pubsub.NS)

func appendFeatures(b []byte, names ...string) []byte {
	for _, name := range names {
		b = append(attr(append(b, "<feature"...), "var", name), "/>"...)
	}
	return b
}

// discoInfo describes the service (XEP-0060 §5.1) or a node (§5.3).
func (s *Service) discoInfo(ctx context.Context, r *request) error {
	r.out = append(r.out, "<query xmlns='"+disco.NSInfo+"'"...)
	name := r.payload.Attr("node")
	if name == "" {
		r.out = append(r.out, "><identity category='pubsub' type='service'"...)
		r.out = append(attr(r.out, "name", s.opts.Name), "/>"...)
		r.out = append(append(r.out, features...), "</query>"...)
		return nil
	}
	c, err := node(name)
	if err != nil {
		return err
	}
	if !s.knows(ctx, r.who, broker.Pattern(c)) {
		return errNoNode
	}
	r.out = append(attr(r.out, "node", name), "><identity category='pubsub' type='leaf'/>"...)
	r.out = append(append(r.out, nodeFeatures...), "</query>"...)
	return nil
}

// discoItems lists the nodes of the service (XEP-0060 §5.2) or the items of a node (§5.5).
func (s *Service) discoItems(ctx context.Context, r *request) error {
	set, err := readPaging(r.payload, s.opts.MaxPage)
	if err != nil {
		return err
	}
	name := r.payload.Attr("node")
	r.out = append(r.out, "<query xmlns='"+disco.NSItems+"'"...)
	if name == "" {
		err = s.discoNodes(ctx, r, set)
	} else {
		r.out = attr(r.out, "node", name)
		err = s.discoNodeItems(ctx, r, name, set)
	}
	r.out = append(r.out, "</query>"...)
	return err
}

// discoNodes lists the channels with a history that the requester may subscribe to.
func (s *Service) discoNodes(ctx context.Context, r *request, set limits) error {
	nodes, err := s.broker.Channels(ctx, r.who, "/**", "", 0)
	if err != nil {
		return err
	}
	from, to := set.window(len(nodes), func(i int) string { return string(nodes[i].Channel) })
	r.out = append(r.out, '>')
	for _, n := range nodes[from:to] {
		r.out = attr(append(r.out, "<item"...), "jid", s.domain)
		r.out = append(attr(r.out, "node", string(n.Channel)), "/>"...)
	}
	page := window{total: len(nodes), index: from, count: to - from}
	if to > from {
		page.first, page.last = string(nodes[from].Channel), string(nodes[to-1].Channel)
	}
	if set.asked || page.count < page.total {
		r.out = page.append(r.out)
	}
	return nil
}

// discoNodeItems lists item ids: in name, for these are not nodes.
func (s *Service) discoNodeItems(ctx context.Context, r *request, name string, set limits) error {
	c, err := node(name)
	if err != nil {
		return err
	}
	if !s.knows(ctx, r.who, broker.Pattern(c)) {
		return errNoNode
	}
	want, err := set.history()
	if err != nil {
		return err
	}
	page, err := s.history(ctx, r.who, c, want)
	if err != nil {
		return err
	}
	if set.max == 0 {
		page.Messages = nil
	}
	r.out = append(r.out, '>')
	for _, m := range page.Messages {
		r.out = attr(append(r.out, "<item"...), "jid", s.domain)
		r.out = append(attr(r.out, "name", m.ID), "/>"...)
	}
	if set.asked || !page.Complete {
		r.out = windowOf(page, 0, len(page.Messages)).append(r.out)
	}
	return nil
}
