package place

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"waft/broker"
)

// Options says how places are given out and taken back.
type Options struct {
	Broker *broker.Broker

	// Generation tells the lives of a server apart whose histories do not outlive the process: any number, another each time. 0: they do.
	Generation uint32

	// Window is how old a place may be with which a wildcard is resumed.
	Window time.Duration
}

// Stamp names what the server may have forgotten: it is another one after a restart that lost histories, and when some were
// dropped to stay within limits.
func (o *Options) Stamp() uint32 { return o.Generation + uint32(o.Broker.Kept().Mark) }

// Session is a *broker.Session, or does what one does.
type Session interface {
	SubscribeAll(context.Context, broker.Principal, []broker.Subscription) ([]broker.Subscribed, error)
	Pending() int
}

// Opening is a stream on its way: its subscriptions are made, from where its client left off. It belongs to one goroutine.
type Opening struct {
	Cursor *Cursor // where the stream is. Who delivers what has been subscribed moves it

	// Behind says that there is more to replay than a session may queue, and no subscription yet: see CatchUp.
	Behind bool

	opts     *Options
	broker   *broker.Broker
	session  Session
	who      broker.Principal
	patterns []broker.Pattern
	last     *Token // nil: it begins with what comes next

	resumes []bool           // by pattern: it has a place to go on from
	gaps    []bool           // by pattern: some of its channels keep no history
	lost    []broker.Pattern // and to be told
	reset   bool             // something was lost
}

// Open makes the session's subscriptions, each pattern once, from the place last on or, if that is nil, from what comes next. Errors:
// the broker's, about who and the patterns; then there is no subscription.
func (o *Options) Open(ctx context.Context, s Session, who broker.Principal, patterns []broker.Pattern, last *Token) (*Opening, error) {
	x := &Opening{
		Cursor: new(Cursor), opts: o, broker: o.Broker, session: s, who: who, patterns: patterns, last: last,
		resumes: make([]bool, len(patterns)), gaps: make([]bool, len(patterns)),
	}
	err := x.place(ctx)
	if err == nil {
		err = x.subscribe(ctx)
	}
	if err != nil && !errors.Is(err, ErrBehind) {
		return nil, err
	}
	x.Behind = err != nil
	return x, nil
}

// Resumed tells whether it goes on from a place, and nothing has been lost.
func (o *Opening) Resumed() bool { return o.last != nil && !o.reset }

// Lost gives the patterns and channels of which messages may have been lost, each once, and forgets them.
func (o *Opening) Lost() []broker.Pattern {
	slices.Sort(o.lost)
	lost := slices.Compact(o.lost)
	o.lost = nil
	return lost
}

// ErrBehind says that a replay had no end.
var ErrBehind = &broker.Error{Kind: broker.Unavailable, Text: "more was published than could be replayed; come back with the last place to go on from there"}

// place puts the cursor where the id says, as far as that is worth something.
func (o *Opening) place(ctx context.Context) error {
	c, now := o.Cursor, time.Now()
	c.stamp, c.base = o.opts.Stamp, now.Add(-slack).UnixMilli()
	for _, p := range o.patterns {
		if ch, ok := p.Channel(); ok {
			c.named = append(c.named, named{channel: ch, hash: hashOf(ch)})
		} else {
			c.wild = true
		}
	}
	c.fold()
	if o.last == nil {
		return o.noteNew(ctx)
	}
	c.frozen = math.MaxInt
	resumed := false
	for i, p := range o.patterns {
		readable := o.broker.May(ctx, o.who, broker.ActRead, p) == nil
		if ch, ok := p.Channel(); ok {
			if err := o.placeNamed(ctx, i, ch, readable); err != nil {
				return err
			}
			continue
		}
		switch {
		case !o.last.Based && !o.last.Broken: // the place is of a stream without wildcards
		case readable && o.fresh(now):
			o.resumes[i], resumed = true, true
		default:
			o.lose(p)
		}
	}
	if !resumed {
		return o.noteNew(ctx)
	}
	c.base = o.last.Base
	for ch, at := range o.last.wild {
		if c.find(ch) == nil {
			c.note(ch, at, now.UnixMilli()) // it may have had a message as late as that
		}
	}
	return nil
}

// maxNoted is how many channels may be noted at the start of a stream.
const maxNoted = 64

// noteNew notes which channels of the wildcards have had a message just now: for the base alone it would be one that the client is to
// have. Where there are very many channels it is not worth the look: whoever comes back may then get what was published shortly before.
func (o *Opening) noteNew(ctx context.Context) error {
	c, b := o.Cursor, o.broker
	if !c.wild || b.Kept().Channels > maxReplayed {
		return nil
	}
	for _, p := range o.patterns {
		if _, ok := p.Channel(); ok || b.May(ctx, o.who, broker.ActRead, p) != nil {
			continue
		}
		list, err := b.Channels(ctx, o.who, p, "", 0)
		if err != nil {
			return err
		}
		for _, info := range list {
			page, err := b.History(ctx, o.who, info.Channel, broker.Range{Limit: 1, Newest: true})
			if err != nil {
				return err
			}
			if len(page.Messages) == 0 || c.find(info.Channel) != nil || len(c.recent) == maxNoted {
				continue
			}
			if at := page.Messages[0].Time.UnixMilli(); at > c.base {
				c.note(info.Channel, page.Last, at)
			}
		}
	}
	return nil
}

// fresh tells whether the wildcards' part of the place is worth something.
func (o *Opening) fresh(now time.Time) bool {
	return o.last.Based && !o.last.Broken && o.last.Stamped && o.last.Stamp == o.opts.Stamp() &&
		now.UnixMilli()-o.last.Base <= (o.opts.Window+slack).Milliseconds()
}

func (o *Opening) placeNamed(ctx context.Context, i int, ch broker.Channel, readable bool) error {
	n := o.Cursor.find(ch)
	at, known := o.last.named[n.hash]
	if !known {
		at, known = o.last.wild[ch]
	}
	switch {
	case !known: // the place is of a stream without it
		return nil
	case !readable:
		o.lose(o.patterns[i])
		return nil
	}
	o.resumes[i], n.at = true, at
	if at.IsZero() && (!o.last.Stamped || o.last.Stamp != o.opts.Stamp() || !o.broker.Keeps(ch)) {
		return o.relocate(ctx, ch)
	}
	return nil
}

// lose notes what the client is to be told.
func (o *Opening) lose(p broker.Pattern) {
	o.lost, o.reset = append(o.lost, p), true
}

// relocate gives a channel up to where it is now. What comes from here on is not missing.
func (o *Opening) relocate(ctx context.Context, ch broker.Channel) error {
	page, err := o.broker.History(ctx, o.who, ch, broker.Range{IDs: []string{}})
	if err != nil {
		return err
	}
	o.lose(broker.Pattern(ch))
	c := o.Cursor
	if n := c.find(ch); n != nil {
		n.at = page.Last
		return nil
	}
	if page.Last.IsZero() {
		c.forget(ch)
	} else {
		c.note(ch, page.Last, time.Now().UnixMilli())
	}
	return nil
}

// maxAttempts is how often the subscriptions are tried: each time something else may be lost.
const maxAttempts = 50

// subscribe makes the subscriptions, and sets the cursor for what is queued. ErrBehind: there is more than may be queued.
func (o *Opening) subscribe(ctx context.Context) error {
	for range maxAttempts {
		subs, err := o.plan(ctx)
		if err != nil {
			return err
		}
		done, err := o.session.SubscribeAll(ctx, o.who, subs)
		if err == nil {
			o.settle(subs, done)
			return nil
		}
		if err = o.mend(ctx, err); err != nil {
			return err
		}
	}
	return ErrBehind
}

// settle is for when the subscriptions are made.
func (o *Opening) settle(subs []broker.Subscription, done []broker.Subscribed) {
	c := o.Cursor
	for i, s := range subs {
		if ch, ok := s.Pattern.Channel(); ok && !o.resumes[i] {
			c.find(ch).at = done[i].From
		} else if !ok && s.BestEffort && !done[i].Recovered && resumesOne(s.Each) {
			o.lose(s.Pattern) // between planning and reading
		}
	}
	c.frozen = o.session.Pending()
}

func resumesOne(each map[broker.Channel]broker.Start) bool {
	for _, st := range each {
		if !st.Since.IsZero() {
			return true
		}
	}
	return false
}

// mend gives up what made SubscribeAll fail, so that it can be tried again, or gives the error back.
func (o *Opening) mend(ctx context.Context, err error) error {
	batch, ok := errors.AsType[*broker.BatchError](err)
	if kind := broker.KindOf(err); (kind == broker.TooLarge || kind == broker.Unavailable) && slices.Contains(o.resumes, true) {
		return ErrBehind // the error may be about another pattern, because a replay is of all together
	}
	if !ok || !o.resumes[batch.Index] {
		return err
	}
	p := o.patterns[batch.Index]
	about, known := broker.AboutOf(err)
	ch, named := p.Channel()
	switch kind := broker.KindOf(err); {
	case kind == broker.HistoryLost:
		if !named && known {
			ch, named = about.Channel()
		}
		if named {
			return o.relocate(ctx, ch)
		}
		return err
	case kind == broker.Invalid && !named && known && !o.gaps[batch.Index]:
		o.gaps[batch.Index] = true
		o.lose(about)
		return nil
	default:
		return err
	}
}

// plan says where each pattern begins.
func (o *Opening) plan(ctx context.Context) ([]broker.Subscription, error) {
	subs := make([]broker.Subscription, len(o.patterns))
	for i, p := range o.patterns {
		subs[i].Pattern = p
		ch, isChannel := p.Channel()
		switch {
		case isChannel && !o.resumes[i]:
			subs[i].Mark = true
		case isChannel:
			subs[i].SubscribeOptions = from(o.Cursor.find(ch).at)
		case o.resumes[i]:
			each, err := o.planWild(ctx, p)
			if err != nil {
				return nil, err
			}
			if each == nil { // too many
				o.resumes[i] = false
				o.lose(p)
				continue
			}
			subs[i].Each, subs[i].Last, subs[i].BestEffort = each, -1, o.gaps[i]
		}
	}
	return subs, nil
}

func from(at broker.Position) broker.SubscribeOptions {
	if at.IsZero() {
		return broker.SubscribeOptions{Last: -1}
	}
	return broker.SubscribeOptions{Since: at}
}

// maxReplayed is how many channels of a wildcard are resumed. (broker.Options.MaxReplayChannels)
const maxReplayed = 1000

// planWild says where the channels of a wildcard begin that have something kept; nil if they are too many. Those that get
// their first message after this are new to the client, and begin with it.
func (o *Opening) planWild(ctx context.Context, p broker.Pattern) (map[broker.Channel]broker.Start, error) {
	c, b := o.Cursor, o.broker
	list, err := b.Channels(ctx, o.who, p, "", maxReplayed+1)
	if err != nil || len(list) > maxReplayed {
		return nil, err
	}
	each := make(map[broker.Channel]broker.Start, len(list))
	for _, info := range list {
		ch := info.Channel
		if c.find(ch) != nil {
			each[ch] = broker.Start{} // its own subscription says where
		} else if _, known := c.seek(ch); !known {
			if each[ch], err = o.since(ctx, ch); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range slices.Clone(c.recent) { // relocate changes it
		ch := r.channel
		if !p.Matches(ch) {
			continue
		}
		if _, err := b.History(ctx, o.who, ch, broker.Range{After: r.at, IDs: []string{}}); err != nil {
			if broker.KindOf(err) == broker.HistoryLost {
				err = o.relocate(ctx, ch)
			}
			if err != nil {
				return nil, err
			}
			r.at = c.recentPlace(ch)
		}
		if !r.at.IsZero() {
			each[ch] = broker.Start{Since: r.at}
		}
	}
	if len(each) > maxReplayed {
		return nil, nil
	}
	return each, nil
}

// since finds where a channel begins of which the client has had what is older than the base.
func (o *Opening) since(ctx context.Context, ch broker.Channel) (broker.Start, error) {
	for n := 16; ; n *= 4 {
		page, err := o.broker.History(ctx, o.who, ch, broker.Range{Limit: n, Newest: true})
		if err != nil {
			return broker.Start{}, err
		}
		i := 0
		for i < len(page.Messages) && page.Messages[i].Time.UnixMilli() <= o.Cursor.base {
			i++
		}
		switch {
		case i > 0:
			return broker.Start{Since: page.Messages[i-1].Position}, nil
		case len(page.Messages) == 0:
			return broker.Start{Last: -1}, nil // it has expired just now, and what comes is new
		case !page.Complete:
		case page.Messages[0].Position.Offset == 1:
			return broker.Start{Last: -1}, nil
		default: // what came before is no longer kept, and may be newer than the base
			if err := o.relocate(ctx, ch); err != nil {
				return broker.Start{}, err
			}
			return broker.Start{Since: page.Last}, nil
		}
	}
}
