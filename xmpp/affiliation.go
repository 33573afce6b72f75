package xmpp

import (
	"errors"
	"slices"

	"waft/broker"
)

// affiliation is what somebody, by bare JID, is to a node (XEP-0060 §4.1). Having none is not being in its list.
type affiliation string

const (
	affNone        affiliation = "none"
	affOutcast     affiliation = "outcast"
	affMember      affiliation = "member"
	affPublishOnly affiliation = "publish-only"
	affPublisher   affiliation = "publisher"
	affOwner       affiliation = "owner"
)

// affiliations are all of them.
var affiliations = []affiliation{affNone, affOutcast, affMember, affPublishOnly, affPublisher, affOwner}

func (a affiliation) known() bool { return slices.Contains(affiliations, a) }

// affiliation is what the user of a bare JID is to the node. A channel that nobody claimed (nil) knows nobody.
func (l *leaf) affiliation(user string) affiliation {
	if l != nil && user != "" {
		if a, ok := l.Affiliations[user]; ok {
			return a
		}
	}
	return affNone
}

// These are the further filter behind the rules: the broker's authorizer is asked in any case, and none of them makes
// possible what it forbids.

// mayRead says whether a user may subscribe to the node, read it and be notified. approved tells whether an owner has let
// him subscribe; it is asked where that matters. errNotApproved is for those who may ask an owner.
func (l *leaf) mayRead(user string, approved func() bool) error {
	if l == nil {
		return nil
	}
	switch l.affiliation(user) {
	case affOwner, affPublisher, affMember:
		return nil
	case affOutcast, affPublishOnly:
		return errOutcast
	case affNone:
	}
	switch l.Config.AccessModel {
	case accessOpen:
		return nil
	case accessAuthorize:
		if approved() {
			return nil
		}
		return errNotApproved
	}
	return errClosedNode
}

// byHimself is mayRead without what owners have said to anybody's request.
func (l *leaf) byHimself(user string) error {
	return l.mayRead(user, func() bool { return false })
}

// mayRead says whether a user may subscribe to a channel and read it, as far as nodes are concerned; l is its own, if it has
// one. Who has a subscription to the very node has been let in by its owners. To hear who is present somebody has to be
// one of those who may be.
func (s *Service) mayRead(c broker.Channel, l *leaf, user string) error {
	approved := func(l *leaf) func() bool {
		return func() bool { return s.audience.subscribed(user, broker.Pattern(l.Channel)) }
	}
	if g := s.guardian(c); g.mayRead(user, approved(g)) != nil {
		return errClosedNode
	}
	return l.mayRead(user, approved(l))
}

// guardian is the node whose presence the channel tells, or nil.
func (s *Service) guardian(c broker.Channel) *leaf {
	if s.opts.PresenceOf == nil || c == "" {
		return nil
	}
	of, ok := s.opts.PresenceOf(c)
	if !ok {
		return nil
	}
	return s.nodes.get(of)
}

// bars tells whether a subscriber is not to have what comes from the node, or from the channel that tells of its presence.
func (s *Service) bars(l *leaf, sub *subscription) bool {
	return l.mayRead(sub.user, func() bool {
		p := broker.Pattern(l.Channel)
		return sub.pattern == p || s.audience.subscribed(sub.user, p)
	}) != nil
}

// open tells that everybody may read, so that nobody needs to be looked up.
func (l *leaf) open() bool { return l == nil || l.Config.AccessModel == accessOpen && !l.shuts }

// mayPublish says whether a user may publish; subscribed tells whether he has a subscription to the node.
func (l *leaf) mayPublish(user string, subscribed func() bool) error {
	if l == nil {
		return nil
	}
	switch l.affiliation(user) {
	case affOwner, affPublisher, affPublishOnly:
		return nil
	case affOutcast:
		return errNotPublisher
	case affMember, affNone:
	}
	switch l.Config.PublishModel {
	case publishOpen:
		return nil
	case publishSubscribers:
		if subscribed() {
			return nil
		}
	}
	return errNotPublisher
}

// mayRemoveAny tells whether a user may remove items that others have published. Everybody else may remove his own.
func (l *leaf) mayRemoveAny(user string) bool {
	a := l.affiliation(user)
	return l == nil || a == affOwner || a == affPublisher
}

// visible tells whether a user may know of the node.
func (l *leaf) visible(user string) bool {
	a, err := l.affiliation(user), l.byHimself(user)
	return err == nil || errors.Is(err, errNotApproved) || a != affNone && a != affOutcast
}

// owners counts the owners.
func (l *leaf) owners() (n int) {
	for _, a := range l.Affiliations {
		if a == affOwner {
			n++
		}
	}
	return n
}

// ownerList gives their bare JIDs, in order.
func (l *leaf) ownerList() []string {
	var list []string
	for user, a := range l.Affiliations {
		if a == affOwner {
			list = append(list, user)
		}
	}
	slices.Sort(list)
	return list
}
