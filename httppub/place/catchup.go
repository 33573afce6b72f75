package place

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"waft/broker"
)

// A replay that is more than a session may queue is delivered from the history itself, page by page, as fast as the client reads, until
// the rest fits. Whoever is cut off in the middle goes on from there.

const (
	pageSize  = 100 // messages read at a time
	maxRounds = 10  // through all channels
)

// Catcher takes what is replayed from the history itself.
type Catcher interface {
	// Replay delivers messages of one channel, in order, and has them pass the cursor before it returns.
	Replay([]*broker.Message) error
	// Lost is called when Opening.Lost has something to tell.
	Lost() error
}

// CatchUp ends with the subscriptions made. Errors: ErrBehind, the broker's, the Catcher's.
func (o *Opening) CatchUp(ctx context.Context, to Catcher) error {
	for range maxRounds {
		subs, err := o.plan(ctx)
		if err != nil {
			return err
		}
		written := 0
		for i, s := range subs {
			for ch, start := range starts(s) {
				n, err := o.replay(ctx, to, ch, start.Since)
				if err != nil {
					return err
				}
				written += n
			}
			if written == 0 && i == len(subs)-1 {
				o.giveUp()
			}
		}
		err = o.subscribe(ctx)
		if len(o.lost) > 0 {
			if err := to.Lost(); err != nil {
				return err
			}
		}
		if !errors.Is(err, ErrBehind) {
			o.Behind = false
			return err
		}
	}
	return ErrBehind
}

// giveUp is for a replay that is refused although there is nothing to replay: of a wildcard with too many channels.
func (o *Opening) giveUp() {
	for i, p := range o.patterns {
		if _, named := p.Channel(); !named && o.resumes[i] {
			o.resumes[i] = false
			o.lose(p)
		}
	}
}

// starts lists the channels to read, by name.
func starts(s broker.Subscription) func(yield func(broker.Channel, broker.Start) bool) {
	return func(yield func(broker.Channel, broker.Start) bool) {
		if ch, ok := s.Pattern.Channel(); ok {
			if !s.Mark {
				yield(ch, broker.Start{Since: s.Since, Last: s.Last})
			}
			return
		}
		for _, ch := range slices.Sorted(maps.Keys(s.Each)) {
			if st := s.Each[ch]; st != (broker.Start{}) && !yield(ch, st) {
				return
			}
		}
	}
}

// replay delivers what a channel has after a position, and tells how much.
func (o *Opening) replay(ctx context.Context, to Catcher, ch broker.Channel, after broker.Position) (n int, err error) {
	o.Cursor.frozen = math.MaxInt
	for {
		page, err := o.broker.History(ctx, o.who, ch, broker.Range{After: after, Limit: pageSize})
		if broker.KindOf(err) == broker.HistoryLost {
			return n, o.relocate(ctx, ch)
		}
		if err != nil {
			return n, err
		}
		if len(page.Messages) > 0 {
			if err := to.Replay(page.Messages); err != nil {
				return n, err
			}
			n += len(page.Messages)
			after = page.Messages[len(page.Messages)-1].Position
		}
		if page.Complete {
			return n, nil
		}
	}
}
