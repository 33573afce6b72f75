package broker

import (
	"iter"
	"slices"
)

// Patterns is a set of patterns. To find those that match a channel of n segments takes n+2 look-ups, however many there are. It is
// not changed once it is made.
type Patterns struct {
	all    []Pattern
	byBase *[Deep + 1]map[string]Pattern // by depth; nil if they are so few that going through them is quicker
}

// fewPatterns are quicker gone through than looked up.
const fewPatterns = 8

// PatternsOf makes a set.
func PatternsOf(all ...Pattern) Patterns {
	if len(all) <= fewPatterns {
		return Patterns{all: slices.Compact(slices.Sorted(slices.Values(all)))}
	}
	ps := Patterns{byBase: new([Deep + 1]map[string]Pattern)}
	for _, p := range all {
		base, d := p.Split()
		if ps.byBase[d] == nil {
			ps.byBase[d] = map[string]Pattern{}
		}
		if _, again := ps.byBase[d][base]; !again {
			ps.byBase[d][base] = p
			ps.all = append(ps.all, p)
		}
	}
	return ps
}

// All gives the patterns, each once.
func (ps Patterns) All() []Pattern { return ps.all }

// Match tells whether a pattern of the set matches c.
func (ps Patterns) Match(c Channel) bool {
	for range ps.Matching(c) {
		return true
	}
	return false
}

// Matching yields the patterns of the set that match c.
func (ps Patterns) Matching(c Channel) iter.Seq[Pattern] {
	return func(yield func(Pattern) bool) {
		if ps.byBase == nil {
			for _, p := range ps.all {
				if p.Matches(c) && !yield(p) {
					return
				}
			}
			return
		}
		for base, d := range c.Matching() {
			if p, ok := ps.byBase[d][base]; ok && !yield(p) {
				return
			}
		}
	}
}
