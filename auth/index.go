package auth

import (
	"math"

	"waft/broker"
)

// index finds the first rule of a channel without looking at every rule: one look-up for each pattern that matches it.
type index [broker.Deep + 1]map[string]int // by depth: base → number of its first rule

// newIndex indexes rules, one of which matches everything.
func newIndex(rules []Rule) (x index) {
	for d := range x {
		x[d] = map[string]int{}
	}
	for i, r := range rules {
		base, d := r.Match.Split()
		if _, ok := x[d][base]; !ok {
			x[d][base] = i
		}
	}
	return x
}

// first gives the number of the first rule that matches c.
func (x *index) first(c broker.Channel) int {
	first := math.MaxInt
	for base, d := range c.Matching() {
		if i, ok := x[d][base]; ok {
			first = min(first, i)
		}
	}
	return first
}
