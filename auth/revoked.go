package auth

import (
	"time"

	"waft/broker"
)

// Revocation takes tokens back before they expire: those to which everything applies that is given here. At least one
// thing must be.
type Revocation struct {
	ID      string    // their jti
	Subject string    // their sub
	Key     string    // the id of the key that signed them, in Keys or in a JWK set; it need not exist any more
	Before  time.Time // they were issued before; zero: whenever. What does not say when (iat) counts as before
}

// Revoked is the list of what has been taken back. It never changes. The nil *Revoked is empty.
type Revoked struct {
	// A revocation is in the first of these that it has a name for, so that a list of many thousands costs nothing.
	byID, bySubject, byKey map[string][]Revocation
	all                    []Revocation
}

// NewRevoked makes a list. The error is of kind Invalid: a revocation of everything, for all time.
func NewRevoked(list []Revocation) (*Revoked, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // the empty one
	}
	r := &Revoked{byID: map[string][]Revocation{}, bySubject: map[string][]Revocation{}, byKey: map[string][]Revocation{}}
	for i, x := range list {
		switch {
		case x.ID != "":
			r.byID[x.ID] = append(r.byID[x.ID], x)
		case x.Subject != "":
			r.bySubject[x.Subject] = append(r.bySubject[x.Subject], x)
		case x.Key != "":
			r.byKey[x.Key] = append(r.byKey[x.Key], x)
		case !x.Before.IsZero():
			r.all = append(r.all, x)
		default:
			return nil, broker.Errorf(broker.Invalid, "revocation %d: it says neither which tokens (id, subject, key) nor of what time (before)", i+1)
		}
	}
	return r, nil
}

// judge decides about a token whose signature and claims are good. now is for those that claim to be of the future: their
// issuer counts in something else than seconds, and they would never be revoked.
func (r *Revoked) judge(who broker.Principal, now time.Time) error {
	if r == nil {
		return nil
	}
	token := who.Credential
	for _, list := range [...][]Revocation{r.byID[token.ID], r.bySubject[who.Subject], r.byKey[token.Key], r.all} {
		for _, x := range list {
			if x.ID != "" && x.ID != token.ID || x.Subject != "" && x.Subject != who.Subject || x.Key != "" && x.Key != token.Key {
				continue
			}
			if err := x.timely(token.Issued, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// timely refuses a token that a revocation applies to but for its time.
func (x Revocation) timely(issued, now time.Time) error {
	switch {
	case x.Before.IsZero():
		return refuse("the token has been revoked")
	case issued.IsZero():
		return refuse("the token does not say when it was issued (iat), and those of before %s have been revoked", stamp(x.Before))
	case issued.After(now.Add(Leeway)):
		return refuse("the token says that it is issued at %s, in the future%s", stamp(issued), milliseconds(issued, now))
	case issued.Before(x.Before):
		return refuse("the token was issued at %s, and those of before %s have been revoked", stamp(issued), stamp(x.Before))
	default:
		return nil
	}
}

// issuing fills in what revocations go by. A realm that revokes nothing takes any iat and jti, as it always did.
func (r *Revoked) issuing(c *claims) (broker.Credential, error) {
	var token broker.Credential
	var bad error
	if token.ID, bad = readMember(c.others, "jti", readString); bad != nil && r != nil {
		return token, bad
	}
	issued, bad := readMember(c.others, "iat", readTime)
	switch {
	case bad != nil && r != nil:
		return token, bad
	case bad == nil && issued != nil:
		token.Issued = issued.Time
	}
	return token, nil
}
