package auth

import (
	"slices"

	"waft/broker"
)

// Rights is what somebody may do, as lists: in the claim "waft" of a token (its JSON is the claim's value), for a
// configured key, for a configured user. What is not listed is not allowed.
type Rights struct {
	Publish   []broker.Pattern `json:"publish,omitempty"`
	Subscribe []broker.Pattern `json:"subscribe,omitempty"`
	Read      []broker.Pattern `json:"read,omitempty"`
	Manage    bool             `json:"manage,omitempty"`
}

// everywhere covers every channel.
const everywhere broker.Pattern = "/**"

// Everything is what a key allows unless it is configured to allow less.
func Everything() Rights {
	all := []broker.Pattern{everywhere}
	return Rights{Publish: all, Subscribe: all, Read: all, Manage: true}
}

// Grants gives the rights as a principal or a key holds them. It is never nil: no rights are not the default rights.
func (r Rights) Grants() []broker.Grant {
	grants := make([]broker.Grant, 0, len(r.Publish)+len(r.Subscribe)+len(r.Read)+1)
	add := func(act broker.Action, patterns []broker.Pattern) {
		for _, p := range patterns {
			grants = append(grants, broker.Grant{Action: act, Pattern: p})
		}
	}
	add(broker.ActPublish, r.Publish)
	add(broker.ActSubscribe, r.Subscribe)
	add(broker.ActRead, r.Read)
	if r.Manage {
		add(broker.ActManage, []broker.Pattern{everywhere})
	}
	return grants
}

// narrow gives what both lists allow: a claim can take from its key's grants and never add. No grant of the result
// covers another.
func narrow(key, claim []broker.Grant) []broker.Grant {
	var both []broker.Grant
	for _, c := range claim {
		for _, k := range key {
			if c.Action != k.Action {
				continue
			}
			if p, ok := meet(c.Pattern, k.Pattern); ok {
				both = addGrant(both, broker.Grant{Action: c.Action, Pattern: p})
			}
		}
	}
	return both
}

// addGrant adds g unless it is there, and drops what it makes needless.
func addGrant(list []broker.Grant, g broker.Grant) []broker.Grant {
	if covered(list, g) {
		return list
	}
	list = slices.DeleteFunc(list, func(old broker.Grant) bool {
		return old.Action == g.Action && g.Pattern.Covers(old.Pattern)
	})
	return append(list, g)
}

// covered tells whether one grant of the list allows all that g does.
func covered(list []broker.Grant, g broker.Grant) bool {
	return broker.Principal{Grants: list}.Holds(g.Action, g.Pattern)
}

// checkGrants refuses patterns that did not come from ParsePattern: the algebra of patterns is not made for them.
func checkGrants(grants []broker.Grant) error {
	for _, g := range grants {
		if _, err := broker.ParsePattern(string(g.Pattern)); err != nil {
			return err
		}
	}
	return nil
}
