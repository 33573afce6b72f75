package auth

import (
	"context"
	"time"

	"waft/broker"
)

// Rule says who may do what with the channels of a pattern, and how much of their history is kept.
type Rule struct {
	Match     broker.Pattern
	Publish   Who              // Unset: Token
	Subscribe Who              // Unset: Anyone
	Read      Who              // Unset: as Subscribe
	History   broker.Retention // zero: none
	ReplayID  bool             // Bayeux events carry their position as a number, for Salesforce's clients; needs History
}

// BuiltIn is the rule after the last, for every channel that no other matches: anyone subscribes, a token publishes,
// and there is enough history (a hundred messages, for an hour) for a reader to resume after a short break and for an
// XMPP client to retrieve items.
func BuiltIn() Rule {
	return Rule{
		Match:     everywhere,
		Publish:   Token,
		Subscribe: Anyone,
		Read:      Anyone,
		History:   broker.Retention{Size: 100, Age: time.Hour},
	}
}

// complete puts the defaults in.
func (r Rule) complete() Rule {
	b := BuiltIn()
	if r.Publish == Unset {
		r.Publish = b.Publish
	}
	if r.Subscribe == Unset {
		r.Subscribe = b.Subscribe
	}
	if r.Read == Unset {
		r.Read = r.Subscribe
	}
	return r
}

// who is whom the rule lets do act. Managing is not a rule's business.
func (r Rule) who(act broker.Action) Who {
	switch act {
	case broker.ActPublish:
		return r.Publish
	case broker.ActSubscribe:
		return r.Subscribe
	case broker.ActRead:
		return r.Read
	case broker.ActManage:
	}
	return Nobody
}

// Rules is a realm's rules in order. It implements broker.Authorizer, gives the broker its Retention, and never
// changes.
type Rules struct {
	list  []Rule // complete, the built-in rule last
	index index
}

// NewRules makes Rules; with none there is only the built-in one. The error is of kind Invalid: a bad pattern or
// number, or a rule that is never reached because one before it matches all its channels.
func NewRules(rules []Rule) (*Rules, error) {
	set := &Rules{list: make([]Rule, 0, len(rules)+1)}
	for i, r := range rules {
		if _, err := broker.ParsePattern(string(r.Match)); err != nil {
			return nil, broker.Errorf(broker.Invalid, "rule %d: %w", i+1, err)
		}
		if max(r.Publish, r.Subscribe, r.Read) > Nobody {
			return nil, broker.Errorf(broker.Invalid, "rule %d (%s): it lets through neither anyone, token nor nobody", i+1, r.Match)
		}
		if r.History.Size < 0 || r.History.Age < 0 || r.History.Bytes < 0 {
			return nil, broker.Errorf(broker.Invalid, "rule %d (%s): the size, bytes and age of a history must not be negative", i+1, r.Match)
		}
		if r.History.Bytes > 0 && r.History.Size == 0 {
			return nil, broker.Errorf(broker.Invalid, "rule %d (%s): a history that is limited in bytes needs a size too, how many messages are kept at most", i+1, r.Match)
		}
		if r.ReplayID && r.History.Size == 0 {
			return nil, broker.Errorf(broker.Invalid, "rule %d (%s): there is nothing to replay: give it a history, or no replay ids", i+1, r.Match)
		}
		for j, earlier := range set.list {
			if earlier.Match.Covers(r.Match) {
				return nil, broker.Errorf(broker.Invalid, "rule %d (%s) is never reached: rule %d (%s) comes first and matches all of it",
					i+1, r.Match, j+1, earlier.Match)
			}
		}
		set.list = append(set.list, r.complete())
	}
	set.list = append(set.list, BuiltIn())
	set.index = newIndex(set.list)
	return set, nil
}

// Authorize implements broker.Authorizer. A channel is decided by the first rule that matches it, a pattern allowed if
// each of its channels is. Managing takes a grant, whatever the rules say.
func (r *Rules) Authorize(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	return r.decide(who, act, p).err(act, p)
}

func (r *Rules) decide(who broker.Principal, act broker.Action, p broker.Pattern) verdict {
	if act == broker.ActManage {
		return Token.judge(who, act, p)
	}
	if c, ok := p.Channel(); ok {
		// No walk through the rules, because every publish comes this way.
		return r.list[r.index.first(c)].who(act).judge(who, act, p)
	}
	worst := allowed
	for _, rule := range r.list {
		part, overlaps := meet(rule.Match, p)
		if !overlaps {
			continue
		}
		// A rule is asked about its own part only: grants for /chat/** are enough for /** where everything else is
		// open. Its part has a channel that is its to decide, or NewRules would have refused it.
		worst = max(worst, rule.who(act).judge(who, act, part))
		if rule.Match.Covers(p) {
			break
		}
	}
	return worst
}

// Retention says how much history a channel has; it is what broker.Options.Retention wants.
func (r *Rules) Retention(c broker.Channel) broker.Retention {
	return r.list[r.index.first(c)].History
}

// NoHistory gives those of p's channels that keep none whatever is published, if there are some; it is what
// broker.Options.NoHistory wants. A rule without history has a channel of its own in p for the same reason as in decide.
func (r *Rules) NoHistory(p broker.Pattern) (none broker.Pattern, gap bool) {
	for _, rule := range r.list {
		part, overlaps := meet(rule.Match, p)
		if overlaps && rule.History.Size == 0 {
			return part, true
		}
		if rule.Match.Covers(p) {
			break
		}
	}
	return "", false
}

// ReplayID tells whether the events of a channel carry their position as a number.
func (r *Rules) ReplayID(c broker.Channel) bool { return r.list[r.index.first(c)].ReplayID }
