package auth

import "waft/broker"

// meet gives the pattern of the channels that p and q share; ok is false when there are none.
//
// Two patterns that share a channel are always one inside the other. With the same base, "*" is inside "**". Else the
// shared channel lies below the higher base by way of the lower one, so the pattern with the higher base reaches
// through the lower: either the lower pattern is that channel, or the higher is a "**", which takes all of the lower.
// So the meeting is p or q, never a third pattern.
func meet(p, q broker.Pattern) (shared broker.Pattern, ok bool) {
	switch {
	case p.Covers(q):
		return q, true
	case q.Covers(p):
		return p, true
	default:
		return "", false
	}
}
