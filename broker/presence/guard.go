package presence

import (
	"context"
	"strings"

	"waft/broker"
)

// Authorizer is next, but that nobody publishes to a presence channel, nor removes what was published there, whatever next says.
func (t *Tracker) Authorizer(next broker.Authorizer) broker.Authorizer { return &guard{t, next} }

type guard struct {
	tracker *Tracker
	next    broker.Authorizer
}

// ownKey is how the tracker's own publishing is known: no stranger has a say in a context's values.
type ownKey struct{}

// Authorize implements broker.Authorizer.
func (g *guard) Authorize(ctx context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	if c, ok := p.Channel(); ok && act == broker.ActPublish {
		if _, ours := g.tracker.PresenceOf(c); ours {
			if ctx.Value(ownKey{}) == g.tracker {
				return nil
			}
			return broker.Errorf(broker.Forbidden, "%s tells who is present, and is published to by the server alone", c)
		}
	}
	return g.next.Authorize(ctx, who, act, p)
}

// tracks tells whether the presence of c is told. That of a presence channel never is, nor of another with such a name.
func (t *Tracker) tracks(c broker.Channel) bool {
	for _, p := range t.opts.Match {
		if p.Matches(c) {
			_, last := cutLast(c)
			return last != t.opts.Segment && !c.Reserved() && t.fits(c)
		}
	}
	return false
}

// fits tells whether the name of the presence channel is not too long for a channel.
func (t *Tracker) fits(c broker.Channel) bool {
	return len(c)+len("/")+len(t.opts.Segment) <= broker.MaxChannelBytes && strings.Count(string(c), "/") < broker.MaxChannelSegments
}

// channelOf is the presence channel of c.
func (t *Tracker) channelOf(c broker.Channel) broker.Channel {
	return c + "/" + broker.Channel(t.opts.Segment)
}

// PresenceOf tells whether c is a presence channel, and of which channel.
func (t *Tracker) PresenceOf(c broker.Channel) (of broker.Channel, ok bool) {
	of, last := cutLast(c)
	return of, last == t.opts.Segment && of != "" && t.tracks(of)
}

// cutLast cuts the last segment off.
func cutLast(c broker.Channel) (base broker.Channel, last string) {
	i := max(strings.LastIndexByte(string(c), '/'), 0)
	return c[:i], strings.TrimPrefix(string(c[i:]), "/")
}
