package xmpp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
)

// preferences are what a subscriber wants of his subscription (XEP-0060 §6.3, §16.4.2). The zero value is what everybody
// begins with.
type preferences struct {
	Mute     bool      `json:"mute,omitempty"`     // no items for now: deliver is off
	Presence bool      `json:"presence,omitempty"` // it ends when he goes offline
	Expire   time.Time `json:"expire,omitzero"`    // it ends then
	Shows    shows     `json:"shows,omitempty"`    // only while he is one of these; none: at any time
}

// formSubscribeOptions is the FORM_TYPE of the form.
const formSubscribeOptions = pubsub.NS + "#subscribe_options"

// untilOffline is the expiry of a subscription that ends with presence (XEP-0060 §12.4).
const untilOffline = "presence"

// shows is a set of what somebody's presence can be (RFC 6121 §4.7.2.1).
type shows uint8

// showNames are the words for the set's members. "online" is an available presence that says no more.
var showNames = []string{"away", "chat", "dnd", "online", "xa"}

const everyShow shows = 1<<5 - 1

// showOf reads the content of <show/>; what RFC 6121 does not know is online.
func showOf(text string) shows {
	i := slices.Index(showNames, text)
	if i < 0 {
		i = slices.Index(showNames, "online")
	}
	return 1 << i
}

func (s shows) names() []string {
	if s == 0 {
		s = everyShow
	}
	var names []string
	for i, name := range showNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// MarshalJSON writes the names, which a later version may know more of.
func (s shows) MarshalJSON() ([]byte, error) { return json.Marshal(s.names()) }

// UnmarshalJSON passes over names that it does not know.
func (s *shows) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = 0
	for _, name := range names {
		if i := slices.Index(showNames, name); i >= 0 {
			*s |= 1 << i
		}
	}
	return nil
}

// fields are the preferences for a form.
func (p *preferences) fields() []fieldForm {
	deliver, expire := "1", ""
	if p.Mute {
		deliver = "0"
	}
	switch {
	case p.Presence:
		expire = untilOffline
	case !p.Expire.IsZero():
		expire = p.Expire.UTC().Format(time.RFC3339)
	}
	return []fieldForm{
		{name: "pubsub#deliver", typ: "boolean", label: "Receive items", values: []string{deliver}},
		{name: "pubsub#expire", typ: "text-single", label: "When the subscription ends: a DateTime, or presence", values: []string{expire}},
		{name: "pubsub#show-values", typ: "list-multi", label: "Receive items only while available as", values: p.Shows.names(), options: showNames},
	}
}

// submit gives the preferences with what a form changes. Fields that nobody knows are passed over (XEP-0004 §3.2), but not
// wishes that are known and not granted.
func (p preferences) submit(f form, now time.Time) (preferences, error) {
	for _, field := range f.fields {
		value := field.values[0]
		if len(field.values) > 1 && field.name != "pubsub#show-values" {
			return p, errInvalidOptions.saying(broker.Quote(field.name) + " has more than one value")
		}
		var err error
		switch field.name {
		case "pubsub#deliver":
			var on bool
			on, err = xmlBool(value)
			p.Mute = !on
		case "pubsub#expire":
			err = p.expires(value, now)
		case "pubsub#show-values":
			p.Shows = 0
			for _, v := range field.values {
				i := slices.Index(showNames, v)
				if i < 0 {
					return p, errInvalidOptions.saying(fmt.Sprintf("show-values cannot have %s; it has some of %q", broker.Quote(v), showNames))
				}
				p.Shows |= 1 << i
			}
			if p.Shows == everyShow {
				p.Shows = 0
			}
		case "pubsub#digest", "pubsub#include_body":
			if on, bad := xmlBool(value); on || bad != nil {
				return p, errInvalidOptions.saying(broker.Quote(field.name) + " is not offered")
			}
		}
		if err != nil {
			return p, errInvalidOptions.saying(broker.Quote(field.name) + " cannot be " + broker.Quote(value))
		}
	}
	return p, nil
}

// expires reads pubsub#expire.
func (p *preferences) expires(value string, now time.Time) error {
	p.Presence, p.Expire = value == untilOffline, time.Time{}
	if value == "" || p.Presence {
		return nil
	}
	at, err := time.Parse(time.RFC3339, value) // XEP-0082
	if err == nil && !at.After(now) {
		err = errInvalidOptions
	}
	p.Expire = at
	return err
}

// subscribedWith finds the requester's subscription that an <options/> element is about.
func (s *Service) subscribedWith(ctx context.Context, r *request) (*subscription, jid.JID, error) {
	p, err := subscribable(r.verb.Attr("node"))
	if err != nil {
		return nil, jid.JID{}, err
	}
	j, err := subscriberJID(r)
	switch {
	case err != nil:
		return nil, j, err
	case !j.Bare().Equal(r.FromJID.Bare()):
		return nil, j, errOthersOptions
	case r.verb.Attr("subid") != "":
		return nil, j, errInvalidSubID
	}
	sub := s.audience.get(j.String(), p)
	switch {
	case sub != nil:
		return sub, j, nil
	case !s.knows(ctx, r, p):
		return nil, j, errNoNode
	}
	return nil, j, errNoOptions
}

// subscriptionOptions shows the options of a subscription (XEP-0060 §6.3.2).
func (s *Service) subscriptionOptions(ctx context.Context, r *request) error {
	sub, j, err := s.subscribedWith(ctx, r)
	if err != nil {
		return err
	}
	prefs := sub.preferences()
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><options"...)
	r.out = append(attr(attr(r.out, "node", r.verb.Attr("node")), "jid", j.String()), '>')
	r.out = appendForm(r.out, "form", formSubscribeOptions, prefs.fields())
	r.out = append(r.out, "</options></pubsub>"...)
	return nil
}

// setSubscriptionOptions changes them, all that the form says or nothing (XEP-0060 §6.3.5).
func (s *Service) setSubscriptionOptions(ctx context.Context, r *request) error {
	sub, _, err := s.subscribedWith(ctx, r)
	if err != nil {
		return err
	}
	if r.verb.Child(nsForm, "x") == nil {
		return errInvalidOptions
	}
	f, err := readForm(r.verb, formSubscribeOptions, errInvalidOptions)
	if err != nil || f.cancel {
		return err
	}
	if err := s.prefer(ctx, sub, f); err != nil {
		return err
	}
	s.courtPresence(r, sub)
	return nil
}

// prefer applies a form to a subscription, in the store first.
func (s *Service) prefer(ctx context.Context, sub *subscription, f form) error {
	defer s.shelf.lock(sub.user)()
	now := sub.preferences()
	prefs, err := now.submit(f, time.Now())
	if err != nil || prefs == now {
		return err
	}
	if sub.isOver() {
		return errNoOptions
	}
	if err := s.record(ctx, sub, prefs); err != nil {
		return err
	}
	s.setPreferences(sub, prefs)
	return nil
}

// defaultOptions shows what a subscription begins with (XEP-0060 §6.4), to any node.
func (s *Service) defaultOptions(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	if _, err := s.filter(ctx, r, name); err != nil {
		return err
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><default"...)
	if name != "" {
		r.out = attr(r.out, "node", name)
	}
	r.out = appendForm(append(r.out, '>'), "form", formSubscribeOptions, new(preferences).fields())
	r.out = append(r.out, "</default></pubsub>"...)
	return nil
}

// wished reads the options that may come with a request to subscribe (XEP-0060 §6.3.7); nil if there are none.
func wished(r *request) (*preferences, error) {
	options := r.payload.Child(pubsub.NS, "options")
	if options == nil {
		return nil, nil
	}
	f, err := readForm(options, formSubscribeOptions, errInvalidOptions)
	if err != nil || len(f.fields) == 0 {
		return nil, err
	}
	prefs, err := preferences{}.submit(f, time.Now())
	return &prefs, err
}

func (s *subscription) preferences() preferences {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prefs
}

func (s *subscription) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// setPreferences gives a subscription its preferences, and a timer if it is to end by itself.
func (s *Service) setPreferences(sub *subscription, prefs preferences) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.prefs = prefs
	if sub.lease != nil {
		sub.lease.Stop()
		sub.lease = nil
	}
	if !prefs.Expire.IsZero() && !sub.over {
		sub.lease = s.broker.Wheel().AfterFunc(time.Until(prefs.Expire), func() {
			s.announcer.put(0, func(ctx context.Context) { s.lapse(ctx, sub) }) // the store may have to be asked
		})
	}
}

// lapse ends a subscription whose time has come, unless it has been renewed, and tells whose it was (XEP-0060 §12.18).
func (s *Service) lapse(ctx context.Context, sub *subscription) {
	if e := sub.preferences().Expire; e.IsZero() || e.After(time.Now()) || sub.isOver() {
		return // renewed, or ended by somebody: another may have taken its place
	}
	was, err := s.delist(ctx, sub.jid, sub.pattern)
	if err != nil {
		_ = s.toStanzaError(err) // logs it
		s.broker.Wheel().AfterFunc(lapseRetry, func() {
			s.announcer.put(0, func(ctx context.Context) { s.lapse(ctx, sub) })
		})
		return
	}
	if was {
		s.count.ended.Add(1)
		c := broker.Channel(sub.pattern)
		l := s.nodes.get(c)
		s.announceState(c, l, []*subscription{sub}, pubsub.SubNone)
		s.tellOwners(l, sub, pubsub.SubNone)
	}
}

// lapseRetry is how long a subscription that could not be taken out of the store lives on.
const lapseRetry = time.Minute

// wants tells whether a subscriber is to have an item of the node now. His subscription's mu is held.
func (s *Service) wants(l *leaf, sub *subscription) bool {
	switch {
	case sub.prefs.Mute:
		return false
	case sub.prefs.Shows == 0 && !l.config().PresenceDelivery:
		return true
	}
	return s.where.present(sub.user, sub.jid, sub.prefs.Shows)
}
