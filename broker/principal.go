package broker

import (
	"context"
	"time"
)

// Principal is who asks. The zero Principal is anonymous.
type Principal struct {
	Subject string    // who: a token's sub, a bare JID
	Issuer  string    // who vouches: the realm for its tokens, "xmpp" for a server behind the component link
	Grants  []Grant   // what the credential allows, at most
	Expires time.Time // when the credential ends; zero: never

	Credential Credential // which one vouches; for an Authorizer that takes single ones back
}

// Credential tells one credential from others of the same holder. The zero Credential tells nothing.
type Credential struct {
	ID     string    // of a token its jti, of a static key its id
	Key    string    // the id of the key that signed the token
	Issued time.Time // when; zero: it does not say
	Static bool      // it is a key in the configuration and no token
}

// Anonymous tells whether nobody vouches for p.
func (p Principal) Anonymous() bool { return p.Issuer == "" }

// ExpiredAt tells whether p's credential has ended by then.
func (p *Principal) ExpiredAt(now time.Time) bool {
	return !p.Expires.IsZero() && !now.Before(p.Expires)
}

// Action is what a principal wants to do with channels.
type Action uint8

const (
	ActPublish   Action = iota // publish, replace and remove items
	ActSubscribe               // receive what is published from now on
	ActRead                    // read what was published before
	ActManage                  // see and end sessions, administer channels
)

var actionNames = [...]string{ActPublish: "publish", ActSubscribe: "subscribe", ActRead: "read", ActManage: "manage"}

// String is the action's verb.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// Grant allows one action on the channels of one pattern.
type Grant struct {
	Action  Action
	Pattern Pattern
}

// Holds tells whether one of p's grants covers the action on all of the pattern.
func (p Principal) Holds(act Action, on Pattern) bool {
	for _, g := range p.Grants {
		if g.Action == act && g.Pattern.Covers(on) {
			return true
		}
	}
	return false
}

// Replaces tells whether p is the holder of old and may do all that old may. Credentials without a subject are all of one
// holder, and still may differ in what they grant.
func (p *Principal) Replaces(old *Principal) bool {
	if p.Issuer != old.Issuer || p.Subject != old.Subject {
		return false
	}
	for _, g := range old.Grants {
		if !p.Holds(g.Action, g.Pattern) {
			return false
		}
	}
	return true
}

// Authorizer answers the one question: may who do act on every channel of p? The broker asks it once for each
// right an operation uses and nobody else does. nil means yes. An error of kind Unauthenticated says that a credential might help,
// Forbidden that this one does not. It is called by many goroutines, before anything has been changed, and must
// not call back into the broker.
type Authorizer interface {
	Authorize(ctx context.Context, who Principal, act Action, p Pattern) error
}

// ErrCredentialExpired says of a credential that it was good, and is no longer. Whoever has it should get a new one,
// where whoever has a bad one should not come back.
var ErrCredentialExpired error = &Error{Kind: Unauthenticated, Text: "the credential has expired"}

// Authenticator turns a credential (a bearer token) into a principal. Adapters call it at their edge. Errors are
// of kind Unauthenticated, with a text that may be shown to whoever holds the credential; one that was good and has expired
// is ErrCredentialExpired, or wraps it. Of kind Unavailable they say that it cannot be verified now.
type Authenticator interface {
	Authenticate(ctx context.Context, credential string) (Principal, error)
}
