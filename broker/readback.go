package broker

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// reading is one channel whose history a replay needs.
type reading struct {
	channel  Channel
	start    Start
	lenient  bool      // a lost position is no error
	patterns []Pattern // the subscriptions that it is for
	want     int       // the first of them

	since Position // where it begins, once that is known
	page  Page
	lost  bool
}

// mark finds out where new subscriptions begin that want to know, before they begin. What is published between now and
// then is replayed, so that nothing is missing behind the mark.
func (s *Session) mark(ctx context.Context, wants []want) error {
	var covered []bool
	for i := range wants {
		w := &wants[i]
		c, isChannel := w.Pattern.Channel()
		if !w.Mark || !isChannel || w.SubscribeOptions.replays() || s.broker.opts.Retention(c).Size <= 0 {
			continue
		}
		if covered == nil {
			covered = s.covered(wants)
		}
		last, err := s.broker.newest(ctx, c)
		if err != nil {
			return &BatchError{i, err}
		}
		w.mark, w.marked = last, !covered[i]
	}
	return nil
}

// covered tells of which channels the session is given everything already.
func (s *Session) covered(wants []want) []bool {
	covered := make([]bool, len(wants))
	var name []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range wants {
		c, ok := w.Pattern.Channel()
		if !ok || !w.Mark {
			continue
		}
		for base, d := range c.Matching() {
			name = d.appendTo(append(name[:0], base...))
			if covered[i] = s.subs.has(name); covered[i] {
				break
			}
		}
	}
	return covered
}

// newest is the position of the last message published to c; zero if there was none.
func (b *Broker) newest(ctx context.Context, c Channel) (Position, error) {
	page, err := b.engine.History(ctx, c, Range{IDs: []string{}})
	return page.Last, err
}

// start is where a channel of the pattern begins.
func (w *want) start(c Channel) Start {
	if w.marked {
		if w.mark.IsZero() {
			return Start{Last: -1} // nothing there yet: all that comes
		}
		return Start{Since: w.mark}
	}
	if st, ok := w.Each[c]; ok {
		return st
	}
	return Start{Since: w.Since, Last: w.Last}
}

// plan lists the channels to read, in order: those that a subscription names, and of a wildcard those that have history. A
// channel that gets its first message after this has all of it in the hold.
func (s *Session) plan(ctx context.Context, wants []want) ([]*reading, error) {
	b := s.broker
	most := b.limits.Load().MaxReplayChannels
	plan := map[Channel]*reading{}
	matched, err := b.matched(ctx, wants, most)
	if err != nil {
		return nil, err
	}
	for i := range wants {
		w := &wants[i]
		if !w.replays {
			continue
		}
		add := func(c Channel) error {
			r := plan[c]
			if r == nil {
				if len(plan) == most {
					return Errorf(TooLarge, "a replay of %s would have more than %d channels; subscribe to a narrower pattern, or to its channels",
						w.Pattern, most)
				}
				r = &reading{channel: c, want: i}
				plan[c] = r
			}
			r.start = r.start.or(w.start(c))
			r.lenient = r.lenient || w.BestEffort || w.marked
			if !slices.Contains(r.patterns, w.Pattern) {
				r.patterns = append(r.patterns, w.Pattern)
			}
			return nil
		}
		for _, c := range w.channels(matched) {
			if err := add(c); err != nil {
				return nil, &BatchError{i, err}
			}
		}
	}
	list := make([]*reading, 0, len(plan))
	for _, r := range plan {
		if r.start != (Start{}) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *reading) int { return cmp.Compare(a.channel, b.channel) })
	return list, nil
}

// matched gives the channels with history that each of the wildcards matches, in order. All are listed at once, for an engine may look
// through all of its channels, and one more than most in all at the most: each of them will be read.
func (b *Broker) matched(ctx context.Context, wants []want, most int) (map[Pattern][]Channel, error) {
	var wild []Pattern
	first := 0
	for i := range wants {
		w := &wants[i]
		if _, isChannel := w.Pattern.Channel(); isChannel || !w.replays || w.Last == 0 {
			continue
		}
		if wild == nil {
			first = i
		}
		wild = append(wild, w.Pattern)
	}
	if wild == nil {
		return nil, nil
	}
	ps := PatternsOf(wild...)
	found, err := b.engine.Channels(ctx, ps, "", most+1)
	if err != nil {
		return nil, &BatchError{first, err}
	}
	matched := map[Pattern][]Channel{}
	for _, info := range found {
		for p := range ps.Matching(info.Channel) {
			matched[p] = append(matched[p], info.Channel)
		}
	}
	return matched, nil
}

// channels gives those that one subscription wants to be read; some may come twice.
func (w *want) channels(matched map[Pattern][]Channel) []Channel {
	if c, ok := w.Pattern.Channel(); ok {
		return []Channel{c}
	}
	channels := slices.Collect(maps.Keys(w.Each))
	if w.Last != 0 {
		channels = append(channels, matched[w.Pattern]...)
	}
	return channels
}

// or is the start of a channel that two subscriptions ask for: where somebody stopped reading counts before a wildcard's
// wish for everything, and everything before a part.
func (st Start) or(other Start) Start {
	resumes := func(st Start) bool { return !st.Since.IsZero() || st.Number != 0 }
	switch {
	case resumes(st):
		return st
	case resumes(other), other.Last < 0:
		return other
	case st.Last < 0 || st.Last > other.Last:
		return st
	default:
		return other
	}
}

// readBack reads the channels, and stops when there is more than the session may queue. The error is a *BatchError.
func (s *Session) readBack(ctx context.Context, h *hold, readings []*reading) error {
	messages, bytes := 0, 0
	for _, r := range readings {
		room := s.opts.MaxMessages - messages
		if err := s.broker.read(ctx, r, room+1); err != nil {
			return &BatchError{r.want, about(err, r)}
		}
		messages += len(r.page.Messages)
		for _, m := range r.page.Messages {
			bytes += m.Size()
		}
		if messages > s.opts.MaxMessages || bytes > s.opts.MaxBytes && messages > 1 {
			s.mu.Lock()
			missed := h.missed != nil
			s.mu.Unlock()
			if missed {
				return &BatchError{r.want, errMissed(r.patterns[0])}
			}
			return &BatchError{r.want, s.errTooMuch(r.patterns[0])}
		}
	}
	return nil
}

// read reads at most limit messages of one channel from its start.
func (b *Broker) read(ctx context.Context, r *reading, limit int) (err error) {
	r.since = r.start.Since
	if r.start.Number != 0 {
		newest, err := b.newest(ctx, r.channel)
		if err != nil {
			return err
		}
		var ok bool
		if r.since, ok = newest.at(r.start.Number); !ok {
			return r.readLost(ctx, b, limit, errHistoryLost(r.channel))
		}
	}
	find := Range{After: r.since, Limit: limit}
	if r.since.IsZero() && r.start.Last > 0 {
		find.Limit, find.Newest = min(limit, r.start.Last), true
	}
	if r.page, err = b.engine.History(ctx, r.channel, find); err != nil && KindOf(err) == HistoryLost {
		return r.readLost(ctx, b, limit, err)
	}
	return err
}

// readLost reads what is kept instead, if that will do.
func (r *reading) readLost(ctx context.Context, b *Broker, limit int, lost error) (err error) {
	if !r.lenient {
		return lost
	}
	r.since, r.lost = Position{}, true
	r.page, err = b.engine.History(ctx, r.channel, Range{Limit: limit})
	return err
}

// about notes in an error of one of several channels which it was.
func about(err error, r *reading) error {
	if _, single := r.patterns[0].Channel(); single {
		return err
	}
	return &Error{Kind: KindOf(err), Text: TextOf(err), Err: err, About: Pattern(r.channel)}
}

// tell says what the readings were for one subscription.
func (w *want) tell(done *Subscribed, readings []*reading) {
	c, isChannel := w.Pattern.Channel()
	resumed, lost := false, false
	for _, r := range readings {
		if !slices.Contains(r.patterns, w.Pattern) {
			continue
		}
		done.Replayed += len(r.page.Messages)
		resumed = resumed || r.start.Last == 0
		lost = lost || r.lost
		if isChannel && r.channel == c {
			done.Position, done.From = r.page.Last, r.since
		}
	}
	done.Recovered = resumed && !lost && !w.marked
}
