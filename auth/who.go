package auth

import "waft/broker"

// Who is whom a rule lets through.
type Who uint8

const (
	Unset  Who = iota // in a Rule: as the built-in rule has it; Read: as Subscribe
	Anyone            // whoever asks, without a credential too
	Token             // a principal whose grants cover the channels: of a token, or of an XMPP user
	Nobody
)

var whoNames = [...]string{Unset: "", Anyone: "anyone", Token: "token", Nobody: "nobody"}

// String is the word in the configuration, "" for Unset.
func (w Who) String() string {
	if int(w) < len(whoNames) {
		return whoNames[w]
	}
	return "unknown"
}

// ParseWho reads a word of the configuration; "" is Unset. The error is of kind Invalid.
func ParseWho(s string) (Who, error) {
	for w, name := range whoNames {
		if s == name {
			return Who(w), nil
		}
	}
	return Unset, broker.Errorf(broker.Invalid, "%s is none of anyone, token and nobody", broker.Quote(s))
}

// verdict is what a rule says to one who asks; the worse, the greater.
type verdict uint8

const (
	allowed    verdict = iota
	tokenless          // a credential might help
	grantless          // this one does not
	impossible         // none would
)

func (w Who) judge(who broker.Principal, act broker.Action, p broker.Pattern) verdict {
	switch {
	case w == Anyone:
		return allowed
	case w != Token:
		return impossible
	case who.Anonymous():
		return tokenless
	case who.Holds(act, p):
		return allowed
	default:
		return grantless
	}
}

// err puts a verdict into the words that whoever asked may read. They do not tell a rule that hides a channel from a
// grant that is missing: rules are not for strangers; Explain is for their owner.
func (v verdict) err(act broker.Action, p broker.Pattern) error {
	switch v {
	case allowed:
		return nil
	case tokenless:
		return broker.Errorf(broker.Unauthenticated, "a token is needed to %s %s", verb(act), p)
	case grantless, impossible:
	}
	return broker.Errorf(broker.Forbidden, "not allowed to %s %s", verb(act), p)
}

// verb is an action as it stands before a pattern.
func verb(act broker.Action) string {
	switch act {
	case broker.ActPublish:
		return "publish to"
	case broker.ActSubscribe:
		return "subscribe to"
	case broker.ActRead, broker.ActManage:
	}
	return act.String()
}
