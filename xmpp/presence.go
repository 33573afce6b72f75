package xmpp

import (
	"context"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// presence answers what must be answered (RFC 6121 §3.1.3, §4.3) and nothing else, or two services would never stop, and
// notes who comes and goes. The service is open to everybody and always available.
func (s *Service) presence(ctx context.Context, st *component.Stanza, out []byte) []byte {
	if st.Refused != component.NotRefused {
		return out
	}
	switch st.Type {
	case "subscribe":
		// Unanswered, Prosody asks again at each login.
		if s.addressed(st) != s.domain {
			return s.appendPresence(out, st, "unsubscribed")
		}
		return s.appendPresence(out, st, "subscribed")
	case "unsubscribe":
		return s.appendPresence(out, st, "unsubscribed")
	case "probe":
		if s.addressed(st) == s.domain {
			return s.appendPresence(out, st, "")
		}
	case "":
		if st.FromOK && st.FromJID.Resourcepart() != "" && s.addressed(st) == s.domain {
			s.arrived(ctx, st)
		}
	case "unavailable":
		s.runs.drop(st.From)
		if st.FromOK {
			s.left(ctx, st)
		}
	}
	return out
}

// appendPresence appends a presence to the user st came from; typ "" is available.
func (s *Service) appendPresence(b []byte, st *component.Stanza, typ string) []byte {
	b = append(b, "<presence"...)
	if typ != "" {
		b = attr(b, "type", typ)
	}
	b = attr(attr(b, "from", s.addressed(st)), "to", bare(st.From))
	return append(b, "/>"...)
}

// arrived notes where somebody is and, when he comes online, sends him the last items that he is to have then and has not had:
// to a bare JID's subscriptions with the user's first resource, to a full one's with that.
func (s *Service) arrived(ctx context.Context, st *component.Stanza) {
	user, resource := st.FromJID.Bare().String(), st.FromJID.Resourcepart()
	show := showOf("")
	if e := st.Element.Child(st.Element.Name.Space, "show"); e != nil {
		show = showOf(e.Text)
	}
	freshResource, freshUser := s.where.arrive(user, resource, show)
	if !freshResource {
		return
	}
	who := s.opts.Principal(user)
	for _, sub := range s.audience.byUser(user) {
		if sub.pending || sub.jid != st.FromJID.String() && !(freshUser && sub.jid == user) {
			continue
		}
		c := broker.Channel(sub.pattern) // no node if it is a pattern
		l := s.nodes.get(c)
		if l == nil || l.Config.SendLast != lastOnPresence || s.bars(l, sub) {
			continue
		}
		if m := s.lastItem(ctx, who, c, l, sub); m != nil {
			s.announcer.put(1, func(ctx context.Context) { s.sendLast(ctx, l, sub, m) })
		}
	}
}

// left ends what somebody subscribed to with the full JID that has gone: nobody would be there to read it, and the resource may
// come back as somebody else. When his last one has gone, what was to last as long as he is online ends too.
func (s *Service) left(ctx context.Context, st *component.Stanza) {
	user := st.FromJID.Bare().String()
	if st.FromJID.Resourcepart() != "" {
		s.dropAll(ctx, st.FromJID.String())
	}
	if !s.where.leave(user, st.FromJID.Resourcepart()) {
		return
	}
	s.purgeOffline(ctx, user)
	for _, sub := range s.audience.byUser(user) {
		if sub.jid != user || s.lasting(sub, sub.preferences()) {
			continue
		}
		if was, err := s.delist(ctx, sub.jid, sub.pattern); err != nil {
			_ = s.toStanzaError(err) // logs it
		} else if was {
			s.count.ended.Add(1)
			s.tellOwners(s.nodes.get(broker.Channel(sub.pattern)), sub, pubsub.SubNone)
		}
	}
}

// purgeOffline removes what a user has published from the nodes that keep it only while he is online (XEP-0060 §16.4.4).
// Subscribers are told if the node says so.
func (s *Service) purgeOffline(ctx context.Context, user string) {
	who := s.opts.Principal(user)
	for _, l := range s.nodes.all(func(l *leaf) bool { return l.Config.PurgeOffline }) {
		page, err := s.kept(ctx, s.opts.Principal(l.Creator), l.Channel, broker.Range{Limit: s.opts.MaxNodeItems, Newest: true})
		for _, m := range page.Messages {
			if m.Publisher != user {
				continue
			}
			if err = s.broker.Remove(ctx, who, l.Channel, m.ID, l.Config.NotifyRetract); broker.KindOf(err) == broker.NotFound {
				err = nil
			}
		}
		if err != nil {
			_ = s.toStanzaError(err) // logs it
		}
	}
}

// lasting tells whether a subscription is to outlast its user's being online, and so belongs in the store.
func (s *Service) lasting(sub *subscription, prefs preferences) bool {
	if sub.jid != sub.user || prefs.Presence {
		return false
	}
	l := s.nodes.get(broker.Channel(sub.pattern))
	return l == nil || !l.Config.TempSub
}

// needsPresence tells whether a subscription cannot work without its user's presence.
func (s *Service) needsPresence(sub *subscription) bool {
	prefs, conf := sub.preferences(), s.nodes.get(broker.Channel(sub.pattern)).config()
	return prefs.Presence || prefs.Shows != 0 || conf.PresenceDelivery || conf.TempSub || conf.SendLast == lastOnPresence
}

// courtPublisher asks a publisher, once he has his answer, to let the service see when he goes offline, if the node is to lose his
// items then and nothing is known of him.
func (s *Service) courtPublisher(r *request, l *leaf) {
	if r.user == "" || !l.config().PurgeOffline || s.where.knows(r.user) {
		return
	}
	r.then(func(ctx context.Context) { s.send(ctx, s.appendAsk(nil, "subscribe", r.user)) })
}

// courtPresence asks the requester, once he has his answer, to let the service see his presence (XEP-0060 §12.5), if his
// subscription needs it and nothing is known of him.
func (s *Service) courtPresence(r *request, sub *subscription) {
	if sub == nil || !s.needsPresence(sub) || s.where.knows(r.user) {
		return
	}
	r.then(func(ctx context.Context) { s.send(ctx, s.appendAsk(nil, "subscribe", r.user)) })
}

// appendAsk appends a presence of the service's own accord.
func (s *Service) appendAsk(b []byte, typ, user string) []byte {
	return append(attr(attr(attr(append(b, "<presence"...), "type", typ), "from", s.domain), "to", user), "/>"...)
}

// linkUp runs on the link's goroutine when there is a new one. Whose presence the service may see is asked where they are
// (RFC 6121 §4.3): servers pass over the question about everybody else.
func (s *Service) linkUp() {
	s.where.relinked()
	if s.probing.Swap(true) {
		return
	}
	s.announcer.put(0, func(ctx context.Context) {
		s.probing.Store(false)
		var b []byte
		for _, user := range s.audience.usersWith(s.needsPresence) {
			b = s.appendAsk(b[:0], "probe", user)
			if s.gate.try(ctx, false, func() error { return s.link.Send(b) }) != nil {
				return // the link is down again: the next one begins anew
			}
		}
	})
}
