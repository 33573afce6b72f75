package auth

import (
	"strings"

	"waft/broker"
)

// XMPPIssuer vouches for the users of an XMPP server: the Issuer of their principals, and the id of no realm.
const XMPPIssuer = "xmpp"

// User gives grants to the XMPP users that Match names: "alice@example.org" one of them, "example.org" the server or
// component of that name, "@example.org" everybody with an account there, "*" whoever can reach the component, which
// with an open federation is all the world.
type User struct {
	Match  string
	Grants []broker.Grant
}

// Users maps bare JIDs to principals. It never changes.
type Users struct {
	list []User
	by   map[string]int // Match → number of its only user
}

// NewUsers makes Users. Matches are compared in lower case. The error is of kind Invalid: a match that is no bare JID
// or that an earlier one takes everything from.
func NewUsers(users []User) (*Users, error) {
	set := &Users{by: make(map[string]int, len(users))}
	for i, u := range users {
		match := strings.ToLower(u.Match)
		if err := checkMatch(match); err != nil {
			return nil, broker.Errorf(broker.Invalid, "user %d: %w", i+1, err)
		}
		if err := checkGrants(u.Grants); err != nil {
			return nil, broker.Errorf(broker.Invalid, "user %d (%s): %w", i+1, match, err)
		}
		if j, ok := set.first(match); ok {
			return nil, broker.Errorf(broker.Invalid, "user %d (%s) is never reached: user %d (%s) comes first",
				i+1, match, j+1, set.list[j].Match)
		}
		set.by[match] = i
		set.list = append(set.list, User{Match: match, Grants: u.Grants})
	}
	return set, nil
}

// checkMatch takes "*", or a bare JID whose local part may be empty. It is not a JID parser: what it lets through and
// no server would issue simply never matches.
func checkMatch(s string) error {
	_, domain, at := strings.Cut(s, "@")
	if !at {
		domain = s
	}
	switch {
	case s == "*":
		return nil
	case domain == "" || strings.Contains(domain, "@") || strings.ContainsAny(s, "*/ \t\r\n"):
		return broker.Errorf(broker.Invalid, "%s is neither a bare JID, \"@domain\" nor \"*\"", broker.Quote(s))
	default:
		return nil
	}
}

// Principal gives who a bare JID is, as the server behind the component link vouches for it. jid must be normalised
// (lower case, no resource). Nobody's match is a principal without grants, who may still do what rules open to anyone.
func (u *Users) Principal(jid string) broker.Principal {
	if jid == "" {
		return broker.Principal{}
	}
	who := broker.Principal{Subject: jid, Issuer: XMPPIssuer}
	if i, ok := u.first(jid); ok {
		who.Grants = u.list[i].Grants
	}
	return who
}

// first finds the first user that a JID (or another match) falls under.
func (u *Users) first(jid string) (number int, ok bool) {
	number = len(u.list)
	look := func(match string) {
		if i, ok := u.by[match]; ok {
			number = min(number, i)
		}
	}
	look(jid)
	look("*")
	// A local part cannot have an "@", so the first one ends it: what follows it is the server's own word.
	if at := strings.IndexByte(jid, '@'); at >= 0 {
		look(jid[at:])
	}
	return number, number < len(u.list)
}
