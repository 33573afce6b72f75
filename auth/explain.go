package auth

import (
	"fmt"
	"slices"

	"waft/broker"
)

// Explain tells why Authorize decides as it does: a line for each rule up to the one that settles it, and the verdict.
// It is for the realm's owner (`waft token explain`), not for whoever asked.
func (r *Rules) Explain(who broker.Principal, act broker.Action, p broker.Pattern) []string {
	var lines []string
	if act == broker.ActManage {
		lines = append(lines, "to manage takes a grant, whatever the rules say: "+because(Token, who, act, p))
	} else {
		for i, rule := range r.list {
			name := fmt.Sprintf("rule %d (%s)", i+1, rule.Match)
			if i == len(r.list)-1 {
				name = fmt.Sprintf("the built-in rule (%s)", rule.Match)
			}
			part, overlaps := meet(rule.Match, p)
			if !overlaps {
				lines = append(lines, name+" does not match")
				continue
			}
			settles := rule.Match.Covers(p)
			if !settles {
				name += fmt.Sprintf(" matches a part of %s", p)
			}
			lines = append(lines, fmt.Sprintf("%s: %s may %s %s: %s", name, rule.who(act), verb(act), part,
				because(rule.who(act), who, act, part)))
			if settles {
				break
			}
		}
	}
	if err := r.decide(who, act, p).err(act, p); err != nil {
		return append(lines, "refused: "+err.Error())
	}
	return append(lines, fmt.Sprintf("allowed to %s %s", verb(act), p))
}

// ExplainGrants tells which of who's grants to act cover p: a line for each. The rules may ask about a part of p only.
func ExplainGrants(who broker.Principal, act broker.Action, p broker.Pattern) []string {
	var lines []string
	for _, g := range who.Grants {
		switch part, overlaps := meet(g.Pattern, p); {
		case g.Action != act:
		case !overlaps:
			lines = append(lines, fmt.Sprintf("grant to %s: has nothing of %s", verbOn(g), p))
		case part == p:
			lines = append(lines, fmt.Sprintf("grant to %s: covers %s", verbOn(g), p))
		default:
			lines = append(lines, fmt.Sprintf("grant to %s: covers a part of %s", verbOn(g), p))
		}
	}
	switch {
	case who.Anonymous():
		return []string{"no credential, so no grants"}
	case lines == nil:
		return []string{fmt.Sprintf("the credential has no grant to %s", act)}
	default:
		return lines
	}
}

func verbOn(g broker.Grant) string { return fmt.Sprintf("%s %s", verb(g.Action), g.Pattern) }

// because is one rule's verdict with its reason.
func because(w Who, who broker.Principal, act broker.Action, p broker.Pattern) string {
	switch w.judge(who, act, p) {
	case allowed:
		if w == Anyone {
			return "yes"
		}
		i := slices.IndexFunc(who.Grants, func(g broker.Grant) bool { return g.Action == act && g.Pattern.Covers(p) })
		return fmt.Sprintf("yes, granted by %s %s", act, who.Grants[i].Pattern)
	case tokenless:
		return "no, there is no credential"
	case grantless:
		return fmt.Sprintf("no, none of the credential's grants to %s covers %s", act, p)
	case impossible:
	}
	return "no"
}
