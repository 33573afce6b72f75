package sse

import (
	"context"
	"errors"
	"maps"
	"math"
	"net"
	"slices"

	"waft/broker"
)

// A replay that is more than a session may queue is written from the history itself, page by page, as fast as the client reads, until
// the rest fits. Each event has its id, so whoever is cut off in the middle goes on from there.

const (
	pageSize  = 100      // messages read at a time
	chunkSize = 32 << 10 // bytes written at a time
	maxRounds = 10       // through all channels
)

// catchUp ends with the subscriptions made. Errors: errBehind, the broker's, the connection's (of kind Internal).
func (o *opening) catchUp(ctx context.Context, nc net.Conn) error {
	for range maxRounds {
		subs, err := o.plan(ctx)
		if err != nil {
			return err
		}
		written := 0
		for i, s := range subs {
			for ch, start := range starts(s) {
				n, err := o.replay(ctx, nc, ch, start.Since)
				if err != nil {
					return err
				}
				written += n
			}
			if written == 0 && i == len(subs)-1 {
				o.giveUp()
			}
		}
		o.h.counters.replayed.Add(uint64(written))
		err = o.subscribe(ctx)
		if len(o.lost) > 0 {
			if err := write(nc, o.appendReset(nil)); err != nil {
				return err
			}
		}
		if !errors.Is(err, errBehind) {
			o.st.behind = false
			return err
		}
	}
	return errBehind
}

// giveUp is for a replay that is refused although there is nothing to replay: of a wildcard with too many channels.
func (o *opening) giveUp() {
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

// replay writes what a channel has after a position, and tells how much.
func (o *opening) replay(ctx context.Context, nc net.Conn, ch broker.Channel, after broker.Position) (n int, err error) {
	var chunk, raw []byte
	o.st.cursor.frozen = math.MaxInt
	for {
		page, err := o.h.broker.History(ctx, o.who, ch, broker.Range{After: after, Limit: pageSize})
		if broker.KindOf(err) == broker.HistoryLost {
			return n, o.relocate(ctx, ch)
		}
		if err != nil {
			return n, err
		}
		for _, m := range page.Messages {
			chunk = o.st.appendEvent(chunk, &raw, m)
			if after, n = m.Position, n+1; len(chunk) >= chunkSize {
				if err := write(nc, chunk); err != nil {
					return n, err
				}
				chunk = chunk[:0]
			}
		}
		if page.Complete {
			if len(chunk) > 0 {
				err = write(nc, chunk)
			}
			return n, err
		}
	}
}
