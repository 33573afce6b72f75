package xmpp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// A node whose access model is authorize lets in whom an owner lets in (XEP-0060 §8.6). Until then a subscription is
// pending: it counts in its user's limits, is kept in the store as others are, and has no events. Each owner is sent a form;
// the first answer counts, and can come by the form from any of his clients at any time, or by the list of subscriptions.

// formAuthorization is the FORM_TYPE of that form.
const formAuthorization = pubsub.NS + "#subscribe_authorization"

// petition makes a pending subscription and asks the owners. The rules have their say first.
func (s *Service) petition(ctx context.Context, r *request, l *leaf, j jid.JID, w wish) (*subscription, error) {
	p := broker.Pattern(l.Channel)
	if err := s.broker.May(ctx, r.who, broker.ActSubscribe, p); err != nil {
		return nil, closedNode(err)
	}
	if s.audience.waits(j.String(), p) == nil && !s.bell.may(r.user) {
		return nil, errAskedTooOften
	}
	sub, err := s.await(ctx, j, p, w)
	if err != nil {
		return nil, err
	}
	r.then(func(ctx context.Context) {
		s.askOwners(l, l.ownerList(), []*subscription{sub})
		s.settle(ctx, l.Channel) // the node may have changed while the request was being made
	})
	return sub, nil
}

// doorbell keeps somebody from asking owners without end: each request is a message to all of them, and whoever takes one back can
// make another.
type doorbell struct {
	mu sync.Mutex // guards by
	by *limiter
}

func (a *doorbell) may(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by.take(user, time.Now())
}

// await makes a pending subscription of j to p, in memory and in the store.
func (s *Service) await(ctx context.Context, j jid.JID, p broker.Pattern, w wish) (*subscription, error) {
	defer s.shelf.lock(j.Bare().String())()
	sub, err := s.audience.petition(j, p, w, s.opts.MaxPending)
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, sub, sub.preferences()); err != nil {
		s.audience.unsubscribe(sub.jid, p)
		return nil, err
	}
	s.setPreferences(sub, sub.preferences())
	return sub, nil
}

// askOwners sends each of the owners a form for each of the pending subscriptions (XEP-0060 §8.6).
func (s *Service) askOwners(l *leaf, owners []string, pending []*subscription) {
	for _, sub := range pending {
		node := sub.node(string(l.Channel))
		s.tell(s.addresses(owners, l), func(b []byte, owner *subscription) []byte {
			b = append(component.AppendAttr(append(b, "<message from='"...), s.domain), "' to='"...)
			b = s.appendEventID(append(append(b, owner.to...), "' id='"...), owner)
			b = append(b, "'><body>"...)
			b = component.AppendText(b, sub.jid+" asks to subscribe to "+node)
			b = appendForm(append(b, "</body>"...), "form", formAuthorization, []fieldForm{
				{name: "pubsub#node", typ: "text-single", label: "Node", values: []string{node}},
				{name: "pubsub#subscriber_jid", typ: "jid-single", label: "Who asks to subscribe", values: []string{sub.jid}},
				{name: "pubsub#allow", typ: "boolean", label: "Let him?", values: []string{"false"}},
			})
			return append(b, "</message>"...)
		})
	}
}

// addresses makes recipients of bare JIDs: they have subscribed to nothing.
func (s *Service) addresses(users []string, l *leaf) []*subscription {
	all := make([]*subscription, len(users))
	for i, user := range users {
		all[i] = newSubscription(s.seed, user, user, broker.Pattern(l.Channel), true)
	}
	return all
}

// authorizationIn gives the form in a message that answers a request to subscribe, or nil.
func authorizationIn(st *component.Stanza) *component.Element {
	x := st.Element.Child(nsForm, "x")
	if x == nil || st.Type != "" && st.Type != "normal" || x.Attr("type") != "submit" && x.Attr("type") != "cancel" {
		return nil
	}
	for _, f := range x.Children {
		if f.Attr("var") == "FORM_TYPE" && f.Child(nsForm, "value") != nil && f.Child(nsForm, "value").Text == formAuthorization {
			return x
		}
	}
	return nil
}

// authorization takes an owner's answer. Cancelling the form leaves the request pending, and is no answer. Nothing is
// written to out but an error.
func (s *Service) authorization(ctx context.Context, st *component.Stanza, out []byte) []byte {
	if err := s.decide(ctx, st); err != nil {
		e := s.toStanzaError(err)
		return s.appendError(out, st, e)
	}
	return out
}

func (s *Service) decide(ctx context.Context, st *component.Stanza) error {
	f, err := readForm(st.Element, formAuthorization, errNoDecision)
	if err != nil || f.cancel {
		return err
	}
	if !st.FromOK {
		return errNotOwner
	}
	var node, subscriber string
	allow, err := false, error(errNoDecision)
	for _, field := range f.fields {
		switch field.name {
		case "pubsub#node":
			node = field.values[0]
		case "pubsub#subscriber_jid":
			subscriber = field.values[0]
		case "pubsub#allow":
			allow, err = xmlBool(field.values[0])
		}
	}
	j, bad := jid.Parse(subscriber)
	if err != nil || bad != nil || node == "" {
		return errNoDecision
	}
	user := st.FromJID.Bare().String()
	l, err := s.ownedBy(ctx, s.opts.Principal(user), user, node)
	if err != nil {
		return err
	}
	if s.audience.waits(j.String(), broker.Pattern(l.Channel)) == nil {
		return errNoRequest
	}
	if !allow {
		return s.deny(ctx, l, j.String())
	}
	return s.grant(ctx, l, j)
}

// grant lets a petitioner in and tells him. When the rules do not let him any more, he is denied, and the owner told.
func (s *Service) grant(ctx context.Context, l *leaf, j jid.JID) error {
	p := broker.Pattern(l.Channel)
	waits := s.audience.waits(j.String(), p)
	if waits == nil {
		return errNoRequest
	}
	who := s.opts.Principal(waits.user)
	fresh, err := s.enlistPending(ctx, who, j, p)
	if k := broker.KindOf(err); err != nil && (k == broker.Forbidden || k == broker.Unauthenticated) {
		return errors.Join(closedNode(err), s.deny(ctx, l, j.String()))
	}
	if err != nil {
		return err
	}
	s.announceState(l.Channel, l, []*subscription{fresh}, pubsub.SubSubscribed)
	s.tellOwners(l, fresh, pubsub.SubSubscribed)
	if m := s.lastItem(ctx, who, l.Channel, l, fresh); m != nil {
		s.announcer.put(1, func(ctx context.Context) { s.sendLast(ctx, l, fresh, m) })
	}
	return nil
}

// enlistPending makes a pending subscription a real one. Errors: errNoRequest, when it is not pending any more; enlist's.
func (s *Service) enlistPending(ctx context.Context, who broker.Principal, j jid.JID, p broker.Pattern) (*subscription, error) {
	defer s.shelf.lock(j.Bare().String())()
	waits := s.audience.waits(j.String(), p)
	if waits == nil {
		return nil, errNoRequest
	}
	approved := newSubscription(s.seed, waits.jid, waits.user, p, waits.slash)
	if err := s.record(ctx, approved, waits.preferences()); err != nil { // first: when the store fails nothing has changed
		return nil, err
	}
	fresh, _, err := s.audience.subscribe(ctx, who, j, p, wish{slash: waits.slash})
	if err == nil {
		s.setPreferences(fresh, fresh.preferences())
	}
	return fresh, err
}

// deny ends a pending subscription and tells whose it was.
func (s *Service) deny(ctx context.Context, l *leaf, jid string) error {
	waits := s.audience.waits(jid, broker.Pattern(l.Channel))
	if waits == nil {
		return errNoRequest
	}
	if was, err := s.delist(ctx, jid, waits.pattern); err != nil || !was {
		return err
	}
	s.announceState(l.Channel, l, []*subscription{waits}, pubsub.SubNone)
	return nil
}

// settle answers the pending requests that a change of the node has answered: its access model, or what somebody is to it
// (XEP-0060 §8.7.5).
func (s *Service) settle(ctx context.Context, c broker.Channel) {
	for _, sub := range s.audience.petitions(broker.Pattern(c)) {
		l := s.nodes.get(c)
		err := l.byHimself(sub.user)
		switch {
		case errors.Is(err, errNotApproved):
			continue
		case err != nil || l == nil:
			err = s.deny(ctx, l, sub.jid)
		default:
			if j, bad := jid.Parse(sub.jid); bad == nil {
				err = s.grant(ctx, l, j)
			}
		}
		if err != nil {
			_ = s.toStanzaError(err) // logs it. The request waits, and an owner can answer it
		}
	}
}

// nodesWithPending gives the nodes at which requests wait that a user may answer, by name: what the command get-pending
// offers (XEP-0060 §8.7.1).
func (s *Service) nodesWithPending(user string) []string {
	ctx, who := context.Background(), s.opts.Principal(user) // no request of the user's is needed for it
	var names []string
	for _, p := range s.audience.petitioned() {
		if l := s.nodes.get(broker.Channel(p)); l != nil && s.governs(ctx, who, user, l) {
			names = append(names, string(p))
		}
	}
	slices.Sort(names)
	return names
}

// sendPending sends an owner the form of each request that waits at a node: what get-pending does when it is completed
// (XEP-0060 §8.7.4). Errors: errNodeRequired, errNoNode, errNotOwner.
func (s *Service) sendPending(ctx context.Context, who broker.Principal, user, node string) error {
	l, err := s.ownedBy(ctx, who, user, node)
	if err == nil {
		s.askOwners(l, []string{user}, s.audience.petitions(broker.Pattern(l.Channel)))
	}
	return err
}
