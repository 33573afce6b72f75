package xmpp

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// instantNodes is where nodes are made whose name the service chooses.
const instantNodes = "/instant/"

// create makes a channel a node of the requester's own (XEP-0060 §8.1), with a name or without, with a configuration or
// without.
func (s *Service) create(ctx context.Context, r *request) error {
	name, instant := r.verb.Attr("node"), !r.verb.HasAttr("node")
	if instant {
		name = instantNodes + rand.Text()
	}
	c, err := channelOf(name)
	if err != nil {
		if name == "" {
			return err
		}
		return errNodeName.saying(s.toStanzaError(err).text)
	}
	submitted := r.payload.Child(pubsub.NS, "configure")
	if submitted.HasAttr("node") {
		return errNodeTwice
	}
	f, err := readForm(submitted, formNodeConfig, errBadSetting)
	if err != nil {
		return err
	}
	conf := defaultConfig()
	if err := conf.submit(f, &s.opts); err != nil {
		return err
	}
	if err := s.claim(ctx, r, c, conf); err != nil {
		return err
	}
	if instant {
		r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><create"...)
		r.out = append(attr(r.out, "node", name), "/></pubsub>"...)
	}
	return nil
}

// claim makes c a node of the requester's. Who may publish to a channel may do that, as long as nobody else uses it.
func (s *Service) claim(ctx context.Context, r *request, c broker.Channel, conf config) error {
	if r.user == "" {
		return errNotCreator
	}
	if err := s.broker.May(ctx, r.who, broker.ActPublish, broker.Pattern(c)); err != nil {
		return err
	}
	if s.nodes.get(c) != nil {
		return errNodeExists
	}
	if err := s.free(ctx, r, c); err != nil {
		return err
	}
	l := newLeaf(c, r.user, conf)
	if err := s.nodes.create(ctx, l); err != nil {
		return err
	}
	s.evict(r, l)
	return nil
}

// free tells whether the requester may have c for himself: nobody else has subscribed to it, nothing is kept of it that
// others have published, or he is one who manages it. Who may not read a channel cannot know that it is free.
func (s *Service) free(ctx context.Context, r *request, c broker.Channel) error {
	if s.broker.May(ctx, r.who, broker.ActManage, broker.Pattern(c)) == nil {
		return nil
	}
	if slices.ContainsFunc(s.audience.to(broker.Pattern(c)), func(sub *subscription) bool { return sub.user != r.user }) {
		return errInUse
	}
	page, err := s.broker.History(ctx, r.who, c, broker.Range{})
	if k := broker.KindOf(err); err != nil && k != broker.Forbidden && k != broker.Unauthenticated {
		return err
	}
	others := func(m *broker.Message) bool { return m.Publisher == "" || m.Publisher != r.who.Subject }
	if err != nil || slices.ContainsFunc(page.Messages, others) {
		return errInUse
	}
	return nil
}

// owned finds the node of an owner's request.
func (s *Service) owned(ctx context.Context, r *request) (name string, l *leaf, err error) {
	name = r.verb.Attr("node")
	l, err = s.ownedBy(ctx, r.who, r.user, name)
	return name, l, err
}

// ownedBy finds a node that a user owns, or that he may administer. To who may not know of it, or when nobody owns it, it does
// not exist. Errors: errNodeRequired, errNoNode, errNotOwner.
func (s *Service) ownedBy(ctx context.Context, who broker.Principal, user, name string) (*leaf, error) {
	c, err := channelOf(name)
	if err != nil {
		return nil, err
	}
	l := s.nodes.get(c)
	switch {
	case l == nil:
		return nil, errNoNode
	case s.governs(ctx, who, user, l):
		return l, nil
	case !l.visible(user) && l.affiliation(user) != affOutcast:
		return nil, errNoNode
	}
	return nil, errNotOwner
}

// governs tells whether a user may do with a node what its owners may: he is one, or the realm's rules let him manage it. So a
// node whose owners have gone is not lost. For reading and publishing he needs what anybody needs.
func (s *Service) governs(ctx context.Context, who broker.Principal, user string, l *leaf) bool {
	return l.affiliation(user) == affOwner || s.broker.May(ctx, who, broker.ActManage, broker.Pattern(l.Channel)) == nil
}

// change changes a node that the requester owns or administers. The check is made again on what the store has: he may have lost it.
func (s *Service) change(ctx context.Context, r *request, c broker.Channel, how func(*leaf) error) (*leaf, error) {
	return s.nodes.update(ctx, c, func(l *leaf) error {
		if !s.governs(ctx, r.who, r.user, l) {
			return errNotOwner
		}
		return how(l)
	})
}

// configuration shows a node's (XEP-0060 §8.2).
func (s *Service) configuration(ctx context.Context, r *request) error {
	name, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NSOwner+"'><configure"...)
	r.out = append(attr(r.out, "node", name), '>')
	r.out = appendForm(r.out, "form", formNodeConfig, l.Config.fields(&s.opts))
	r.out = append(r.out, "</configure></pubsub>"...)
	return nil
}

// configure changes a node's configuration, all that the form says or nothing (XEP-0060 §8.2.4).
func (s *Service) configure(ctx context.Context, r *request) error {
	_, l, err := s.owned(ctx, r)
	if err != nil {
		return err
	}
	if r.verb.Child(nsForm, "x") == nil {
		return errNoForm
	}
	f, err := readForm(r.verb, formNodeConfig, errBadSetting)
	if err != nil || f.cancel {
		return err
	}
	l, err = s.change(ctx, r, l.Channel, func(l *leaf) error { return l.Config.submit(f, &s.opts) })
	if err != nil {
		return err
	}
	s.evict(r, l)
	if l.Config.NotifyConfig {
		r.then(func(context.Context) { s.announceConfig(l) })
	}
	return nil
}

// announceConfig tells subscribers of a new configuration; where payloads are not delivered, only that there is one.
func (s *Service) announceConfig(l *leaf) {
	var form []byte
	if l.Config.Payloads {
		form = appendForm(nil, "result", formNodeConfig, l.Config.fields(&s.opts))
	}
	s.announce(l.Channel, l, s.audience.to(broker.Pattern(l.Channel)), func(b []byte, _ *subscription, node string) []byte {
		b = append(attr(append(b, "<configuration"...), "node", node), '>')
		return append(append(b, form...), "</configuration>"...)
	})
}

// defaults shows the configuration that a new node begins with (XEP-0060 §8.3).
func (s *Service) defaults(_ context.Context, r *request) error {
	if typ := r.verb.Attr("type"); typ != "" && typ != "leaf" {
		return unsupported(pubsub.FeatureCollections)
	}
	conf := defaultConfig()
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NSOwner+"'><default>"...)
	r.out = appendForm(r.out, "form", formNodeConfig, conf.fields(&s.opts))
	r.out = append(r.out, "</default></pubsub>"...)
	return nil
}

// delete takes everything off a channel that made it a node: items, subscriptions, affiliations, configuration
// (XEP-0060 §8.4). The record goes last, so that a failure on the way leaves a node that can be deleted again.
func (s *Service) delete(ctx context.Context, r *request) error {
	_, l, err := s.owned(ctx, r)
	switch {
	case err != nil:
		return err
	case len(r.verb.Children) > 0:
		return errRedirect
	}
	if err := s.empty(ctx, r, l.Channel); err != nil {
		return err
	}
	ended, err := s.expel(ctx, l.Channel, func(*subscription) bool { return true })
	if err != nil {
		return err
	}
	if err := s.nodes.delete(ctx, l.Channel); err != nil {
		return err
	}
	if l.Config.NotifyDelete {
		r.then(func(context.Context) { s.announceNode(l.Channel, l, ended, "delete") })
	}
	return nil
}

// purge removes a node's items with one event, not one for each (XEP-0060 §8.5).
func (s *Service) purge(ctx context.Context, r *request) error {
	_, l, err := s.owned(ctx, r)
	switch {
	case err != nil:
		return err
	case !l.Config.Persist:
		return unsupported(pubsub.FeaturePersistentItems)
	}
	if err := s.empty(ctx, r, l.Channel); err != nil {
		return err
	}
	if l.Config.NotifyRetract {
		r.then(func(context.Context) { s.announceNode(l.Channel, l, s.reach(l), "purge") })
	}
	return nil
}

// empty removes what is kept of a channel. What is published meanwhile may stay.
func (s *Service) empty(ctx context.Context, r *request, c broker.Channel) error {
	page, err := s.broker.History(ctx, r.who, c, broker.Range{})
	for _, m := range page.Messages {
		if err = s.broker.Remove(ctx, r.who, c, m.ID, false); err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
		err = nil
	}
	return err
}

// reach gives the subscriptions that an item of the node would come to, those to patterns included.
func (s *Service) reach(l *leaf) []*subscription {
	name := string(l.Channel)
	at := strings.LastIndexByte(name, '/')
	patterns := []broker.Pattern{broker.Pattern(name), broker.Pattern(name[:at] + "/*"), broker.Pattern(name[:at] + "/**")}
	for at > 0 {
		at = strings.LastIndexByte(name[:at], '/')
		patterns = append(patterns, broker.Pattern(name[:at]+"/**"))
	}
	var all []*subscription
	told := make(map[string]bool)
	for _, p := range patterns {
		for _, sub := range s.audience.to(p) {
			if !told[sub.jid] && !s.bars(l, sub) {
				told[sub.jid] = true
				all = append(all, sub)
			}
		}
	}
	return all
}

// evict ends, once the result is sent, the subscriptions of those who may not read the node any more, and tells them; who
// may now without being asked for is let in. Subscriptions to patterns stay; they have no events of this node.
func (s *Service) evict(r *request, l *leaf) {
	r.then(func(ctx context.Context) { s.settle(ctx, l.Channel) })
	if l.open() {
		return
	}
	r.then(func(ctx context.Context) {
		ended, err := s.expel(ctx, l.Channel, func(sub *subscription) bool { return !sub.pending && s.bars(s.nodes.get(l.Channel), sub) })
		if err != nil {
			_ = s.toStanzaError(err) // logs it. They have no events all the same
		}
		s.announceState(l.Channel, l, ended, pubsub.SubNone)
	})
}

// expel ends the subscriptions to this very channel that are chosen, and gives them. Pending ones are among those to choose
// from.
func (s *Service) expel(ctx context.Context, c broker.Channel, choose func(*subscription) bool) (ended []*subscription, err error) {
	p := broker.Pattern(c)
	for _, sub := range append(s.audience.to(p), s.audience.petitions(p)...) {
		if !choose(sub) {
			continue
		}
		if _, err := s.delist(ctx, sub.jid, sub.pattern); err != nil {
			return ended, err
		}
		ended = append(ended, sub)
	}
	return ended, nil
}
