package broker

import (
	"iter"
	"strings"
)

// Pattern is what a subscription asks for: a channel ("/chat/42"), the channels one segment below a base
// ("/chat/*"), or all below it at any depth ("/chat/**"). Neither wildcard matches the base itself.
// "/*" and "/**" have the empty base. ParsePattern is the only way in from outside.
type Pattern string

// ParsePattern checks s as a whole; a wildcard may only be the last segment. The error is of kind Invalid.
func ParsePattern(s string) (Pattern, error) {
	base, d := Pattern(s).Split()
	if base == "" && d != Exact {
		return Pattern(s), nil
	}
	if err := checkName(base, s); err != nil {
		return "", err
	}
	if d != Exact && strings.Count(base, "/") >= MaxChannelSegments {
		return "", Errorf(Invalid, "no channel can match %s: it has more than %d segments", Quote(s), MaxChannelSegments)
	}
	return Pattern(s), nil
}

// ParsePatternName is ParsePattern for doors whose users write names without the leading slash.
func ParsePatternName(s string) (Pattern, error) { return ParsePattern(withSlash(s)) }

// Depth says how far below its base a pattern reaches.
type Depth uint8

const (
	Exact Depth = iota // the base itself
	One                // base/*
	Deep               // base/**
)

// Split gives the pattern's base ("" for "/*" and "/**") and depth.
func (p Pattern) Split() (base string, d Depth) {
	if base, ok := strings.CutSuffix(string(p), "/**"); ok {
		return base, Deep
	}
	if base, ok := strings.CutSuffix(string(p), "/*"); ok {
		return base, One
	}
	return string(p), Exact
}

// appendTo makes the name of a pattern of its base.
func (d Depth) appendTo(base []byte) []byte {
	switch d {
	case One:
		return append(base, "/*"...)
	case Deep:
		return append(base, "/**"...)
	case Exact:
	}
	return base
}

// Matching yields the n+2 patterns that match a channel of n segments, each split: the channel itself, its parent's
// "/*", and the "/**" of every base above it. The bases are parts of c, so whoever indexes patterns by base and
// depth finds a channel's with n+2 look-ups and without allocating.
func (c Channel) Matching() iter.Seq2[string, Depth] {
	return func(yield func(string, Depth) bool) {
		base := string(c)
		if !yield(base, Exact) || !yield(parent(base), One) {
			return
		}
		for base != "" {
			base = parent(base)
			if !yield(base, Deep) {
				return
			}
		}
	}
}

// Channel gives the one channel that p names; ok is false when p has a wildcard.
func (p Pattern) Channel() (c Channel, ok bool) {
	base, d := p.Split()
	return Channel(base), d == Exact
}

// Reserved tells whether p asks for nothing but channels that belong to Bayeux: /meta, /service and all below
// them. "/*" and "/**" are not reserved; they simply never meet a message of those spaces.
func (p Pattern) Reserved() bool { return reserved(string(p)) }

// Matches tells whether p asks for c.
func (p Pattern) Matches(c Channel) bool { return p.Covers(Pattern(c)) }

// Covers tells whether every channel that q matches is matched by p.
func (p Pattern) Covers(q Pattern) bool {
	pBase, pDepth := p.Split()
	qBase, qDepth := q.Split()
	switch pDepth {
	case Exact:
		return p == q
	case One:
		return p == q || qDepth == Exact && parent(qBase) == pBase
	case Deep:
		return below(qBase, pBase) || qDepth != Exact && qBase == pBase
	}
	return false
}

// Overlaps tells whether some channel is matched by both p and q.
func (p Pattern) Overlaps(q Pattern) bool {
	pBase, pDepth := p.Split()
	qBase, qDepth := q.Split()
	switch {
	case qDepth == Exact:
		return p.Covers(q)
	case pDepth == Exact:
		return q.Covers(p)
	case pDepth == One && qDepth == One:
		return pBase == qBase
	case pDepth == One:
		return pBase == qBase || below(pBase, qBase)
	case qDepth == One:
		return pBase == qBase || below(qBase, pBase)
	default:
		return pBase == qBase || below(pBase, qBase) || below(qBase, pBase)
	}
}

// parent is the name one segment up: "" for "/a".
func parent(name string) string { return name[:strings.LastIndexByte(name, '/')] }

// below tells whether name lies under base, at any depth.
func below(name, base string) bool {
	return len(name) > len(base) && name[len(base)] == '/' && name[:len(base)] == base
}
