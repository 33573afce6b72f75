package broker

import "strings"

// Pattern is what a subscription asks for: a channel ("/chat/42"), the channels one segment below a base
// ("/chat/*"), or all below it at any depth ("/chat/**"). Neither wildcard matches the base itself.
// "/*" and "/**" have the empty base. ParsePattern is the only way in from outside.
type Pattern string

// ParsePattern checks s as a whole; a wildcard may only be the last segment. The error is of kind Invalid.
func ParsePattern(s string) (Pattern, error) {
	base, d := Pattern(s).split()
	if base == "" && d != exact {
		return Pattern(s), nil
	}
	if err := checkName(base, s); err != nil {
		return "", err
	}
	if d != exact && strings.Count(base, "/") >= MaxChannelSegments {
		return "", Errorf(Invalid, "no channel can match %s: it has more than %d segments", Quote(s), MaxChannelSegments)
	}
	return Pattern(s), nil
}

// ParsePatternName is ParsePattern for doors whose users write names without the leading slash.
func ParsePatternName(s string) (Pattern, error) { return ParsePattern(withSlash(s)) }

// depth says how far below its base a pattern reaches.
type depth uint8

const (
	exact depth = iota // the base itself
	one                // base/*
	deep               // base/**
)

// split gives the pattern's base ("" for "/*" and "/**") and depth.
func (p Pattern) split() (base string, d depth) {
	if base, ok := strings.CutSuffix(string(p), "/**"); ok {
		return base, deep
	}
	if base, ok := strings.CutSuffix(string(p), "/*"); ok {
		return base, one
	}
	return string(p), exact
}

// Channel gives the one channel that p names; ok is false when p has a wildcard.
func (p Pattern) Channel() (c Channel, ok bool) {
	base, d := p.split()
	return Channel(base), d == exact
}

// Reserved tells whether p asks for nothing but channels that belong to Bayeux: /meta, /service and all below
// them. "/*" and "/**" are not reserved; they simply never meet a message of those spaces.
func (p Pattern) Reserved() bool { return reserved(string(p)) }

// Matches tells whether p asks for c.
func (p Pattern) Matches(c Channel) bool { return p.Covers(Pattern(c)) }

// Covers tells whether every channel that q matches is matched by p.
func (p Pattern) Covers(q Pattern) bool {
	pBase, pDepth := p.split()
	qBase, qDepth := q.split()
	switch pDepth {
	case exact:
		return p == q
	case one:
		return p == q || qDepth == exact && parent(qBase) == pBase
	case deep:
		return below(qBase, pBase) || qDepth != exact && qBase == pBase
	}
	return false
}

// Overlaps tells whether some channel is matched by both p and q.
func (p Pattern) Overlaps(q Pattern) bool {
	pBase, pDepth := p.split()
	qBase, qDepth := q.split()
	switch {
	case qDepth == exact:
		return p.Covers(q)
	case pDepth == exact:
		return q.Covers(p)
	case pDepth == one && qDepth == one:
		return pBase == qBase
	case pDepth == one:
		return pBase == qBase || below(pBase, qBase)
	case qDepth == one:
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
