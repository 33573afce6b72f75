package xmpp

import (
	"context"
	"slices"
	"strconv"
	"time"

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
	pubsub.FeatureAccessAuthorize,
	pubsub.FeatureAccessOpen,
	pubsub.FeatureAccessWhitelist,
	pubsub.FeatureAutoCreate,
	pubsub.FeatureConfigNode,
	pubsub.FeatureCreateAndConfigure,
	pubsub.FeatureCreateNodes,
	pubsub.FeatureDeleteItems,
	pubsub.FeatureDeleteNodes,
	pubsub.FeatureGetPending,
	pubsub.FeatureInstantNodes,
	pubsub.FeatureItemIDs,
	pubsub.FeatureLeasedSubscription,
	pubsub.FeatureManageSubscriptions,
	pubsub.FeatureMemberAffiliation,
	pubsub.FeatureMetaData,
	pubsub.FeatureModifyAffiliations,
	pubsub.FeatureOutcastAffiliation,
	pubsub.FeaturePersistentItems,
	pubsub.FeaturePresenceNotifications,
	pubsub.FeaturePublish,
	pubsub.FeaturePublishOnlyAffiliation,
	pubsub.FeaturePublishOptions,
	pubsub.FeaturePublisherAffiliation,
	pubsub.FeaturePurgeNodes,
	pubsub.FeatureRetractItems,
	pubsub.FeatureRetrieveAffiliations,
	pubsub.FeatureRetrieveDefault,
	pubsub.FeatureRetrieveItems,
	pubsub.FeatureRetrieveSubscriptions,
	pubsub.FeatureSubscribe,
	pubsub.FeatureSubscriptionNotifications,
	pubsub.FeatureSubscriptionOptions,
}

// Features that have no name in mellium: a node takes several items, max_items takes "max", and what a subscription begins with
// can be asked for.
const (
	multiItems = pubsub.NS + "#multi-items"
	configMax  = pubsub.NS + "#config-node-max"
	defaultSub = pubsub.NS + "#retrieve-default-sub"
)

// features is what disco#info says of the service, made once.
var features = func() []byte {
	all := []string{
		disco.NSInfo, disco.NSItems, nsCommands, nsForm, paging.NS, ping.NS, version.NS, xtime.NS, nsJSON,
		pubsub.NS, pubsub.NSPaging, multiItems, configMax, defaultSub,
	}
	for _, f := range pubsubFeatures {
		all = append(all, pubsub.NS+"#"+f.String())
	}
	return appendFeatures(nil, all...)
}()

// nodeFeatures is what disco#info says of a node.
var nodeFeatures = appendFeatures(nil, disco.NSInfo, disco.NSItems, pubsub.NS)

// archiveFeatures is what it says of one that has an archive (XEP-0313 §7).
var archiveFeatures = appendFeatures(nil, nsArchive, nsArchiveExtended)

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
	if isCommandNode(name) {
		return s.commandInfo(ctx, r, name)
	}
	c, err := channelOf(name)
	if err != nil {
		return err
	}
	if !s.knows(ctx, r, broker.Pattern(c)) {
		return errNoNode
	}
	l := s.nodes.get(c)
	r.out = append(attr(r.out, "node", name), "><identity category='pubsub' type='leaf'"...)
	if l != nil && l.Config.Title != "" {
		r.out = attr(r.out, "name", l.Config.Title)
	}
	r.out = append(append(r.out, "/>"...), nodeFeatures...)
	if l.config().Persist {
		r.out = append(r.out, archiveFeatures...)
	}
	if l != nil {
		r.out = appendForm(r.out, "result", formMetaData, s.metaData(l))
	}
	r.out = append(r.out, "</query>"...)
	return nil
}

// metaData is what a node's description says of it (XEP-0060 §5.4). A channel that nobody claimed has none.
func (s *Service) metaData(l *leaf) []fieldForm {
	var all []fieldForm
	for _, f := range l.Config.fields(&s.opts) {
		switch f.name {
		case "pubsub#title", "pubsub#description", "pubsub#type", "pubsub#access_model", "pubsub#publish_model", "pubsub#max_items":
			all = append(all, f)
		}
	}
	subscribers := len(s.audience.to(broker.Pattern(l.Channel)))
	return append(all,
		fieldForm{name: "pubsub#creation_date", typ: "text-single", values: []string{l.Created.Format(time.RFC3339)}},
		fieldForm{name: "pubsub#creator", typ: "jid-single", values: []string{l.Creator}},
		fieldForm{name: "pubsub#owner", typ: "jid-multi", values: l.ownerList()},
		fieldForm{name: "pubsub#num_subscribers", typ: "text-single", values: []string{strconv.Itoa(subscribers)}},
	)
}

// discoItems lists the nodes of the service (XEP-0060 §5.2) or the items of a node (§5.5).
func (s *Service) discoItems(ctx context.Context, r *request) error {
	set, err := readPaging(r.payload, s.opts.MaxPage)
	if err != nil {
		return err
	}
	name := r.payload.Attr("node")
	r.out = append(r.out, "<query xmlns='"+disco.NSItems+"'"...)
	if name != "" {
		r.out = attr(r.out, "node", name)
	}
	switch {
	case name == "":
		err = s.discoNodes(ctx, r, set)
	case isCommandNode(name):
		err = s.discoCommands(ctx, r, name, set)
	default:
		err = s.discoNodeItems(ctx, r, name, set)
	}
	r.out = append(r.out, "</query>"...)
	return err
}

// nodesFor gives, by name, the channels with a history that the requester may subscribe to and those that somebody has
// made nodes and that he may know of.
func (s *Service) nodesFor(ctx context.Context, r *request) ([]string, error) {
	kept, err := s.broker.Channels(ctx, r.who, "/**", "", 0)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range kept {
		if !s.hides(ctx, r, n.Channel) {
			names = append(names, string(n.Channel))
		}
	}
	for _, l := range s.nodes.all(func(*leaf) bool { return true }) {
		if s.shows(ctx, r, l) && s.broker.May(ctx, r.who, broker.ActSubscribe, broker.Pattern(l.Channel)) == nil {
			names = append(names, string(l.Channel))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// discoNodes lists them.
func (s *Service) discoNodes(ctx context.Context, r *request, set limits) error {
	nodes, err := s.nodesFor(ctx, r)
	if err != nil {
		return err
	}
	from, to := set.window(len(nodes), func(i int) string { return nodes[i] })
	r.out = append(r.out, '>')
	for _, n := range nodes[from:to] {
		r.out = attr(append(r.out, "<item"...), "jid", s.domain)
		r.out = append(attr(r.out, "node", n), "/>"...)
	}
	page := window{total: len(nodes), index: from, count: to - from}
	if to > from {
		page.first, page.last = nodes[from], nodes[to-1]
	}
	if set.asked || page.count < page.total {
		r.out = page.append(r.out)
	}
	return nil
}

// discoNodeItems lists item ids: in name, for these are not nodes.
func (s *Service) discoNodeItems(ctx context.Context, r *request, name string, set limits) error {
	c, err := channelOf(name)
	if err != nil {
		return err
	}
	if !s.knows(ctx, r, broker.Pattern(c)) {
		return errNoNode
	}
	l := s.nodes.get(c)
	if err := s.mayRead(c, l, r.user); err != nil {
		return err
	}
	if conf := l.config(); !conf.Persist {
		r.out = append(r.out, '>') // it has no items to list
		return nil
	}
	want, err := set.history()
	if err != nil {
		return err
	}
	page, err := s.history(ctx, r.who, c, l, want)
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
