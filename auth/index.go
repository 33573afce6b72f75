package auth

import (
	"math"
	"strings"

	"waft/broker"
)

// index finds the first rule of a channel without looking at every rule: a channel of n segments has n+2 patterns
// that match it, and each is one look-up by its base. Bases are parts of the channel's name, so nothing is allocated.
type index struct {
	exact, one, deep map[string]int // base → number of its first rule: /a, /a/*, /a/**
}

// newIndex indexes rules, one of which matches everything.
func newIndex(rules []Rule) index {
	x := index{exact: map[string]int{}, one: map[string]int{}, deep: map[string]int{}}
	for i, r := range rules {
		base, at := string(r.Match), x.exact
		if b, ok := strings.CutSuffix(base, "/**"); ok {
			base, at = b, x.deep
		} else if b, ok := strings.CutSuffix(base, "/*"); ok {
			base, at = b, x.one
		}
		if _, ok := at[base]; !ok {
			at[base] = i
		}
	}
	return x
}

// first gives the number of the first rule that matches c.
func (x index) first(c broker.Channel) int {
	first := math.MaxInt
	look := func(at map[string]int, base string) {
		if i, ok := at[base]; ok {
			first = min(first, i)
		}
	}
	name := string(c)
	look(x.exact, name)
	parent := name[:strings.LastIndexByte(name, '/')]
	look(x.one, parent)
	for base := parent; ; base = base[:strings.LastIndexByte(base, '/')] {
		look(x.deep, base)
		if base == "" {
			return first
		}
	}
}
