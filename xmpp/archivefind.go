package xmpp

import (
	"context"
	"errors"
	"slices"
	"time"

	"waft/broker"
)

// maxScan bounds the messages that one query looks at for those of a publisher. A page that ends there says that there
// may be more.
const maxScan = 2_000

// search finds the messages of a query.
func (s *Service) search(ctx context.Context, r *request, c broker.Channel, l *leaf, q *excerpt) (broker.Page, error) {
	if q.asked {
		return s.byPosition(ctx, r, c, l, q.ids)
	}
	want, err := q.history()
	if err != nil {
		return broker.Page{}, err
	}
	want.Newest = q.backwards // without a page asked for, an archive begins at its beginning (XEP-0313 §4.3)
	none, err := s.bound(ctx, r, c, l, q, &want)
	if err != nil || none {
		return broker.Page{Complete: true}, err
	}
	match := s.publishedBy(l, q)
	if match == nil {
		return s.history(ctx, r.who, c, l, want)
	}
	return s.scan(ctx, r, c, l, q, want, match)
}

// bound puts the bounds of a query's form into the range; none tells that nothing can lie within.
func (s *Service) bound(ctx context.Context, r *request, c broker.Channel, l *leaf, q *excerpt, want *broker.Range) (none bool, err error) {
	for _, p := range []broker.Position{q.after, q.before, want.After, want.Before} {
		if !p.IsZero() {
			// Each must be a place of this archive, also one that another bound makes idle.
			if _, err := s.history(ctx, r.who, c, l, broker.Range{After: p, Limit: 1}); err != nil {
				return false, err
			}
		}
	}
	later := func(p broker.Position) {
		if want.After.IsZero() || p.Offset > want.After.Offset {
			want.After = p
		}
	}
	earlier := func(p broker.Position) {
		if want.Before.IsZero() || p.Offset < want.Before.Offset {
			want.Before = p
		}
	}
	if !q.after.IsZero() {
		later(q.after)
	}
	if !q.before.IsZero() {
		earlier(q.before)
	}
	if !q.start.IsZero() {
		p, some, err := s.lastBefore(ctx, r, c, l, func(t time.Time) bool { return t.Before(q.start) })
		if err != nil {
			return false, err
		}
		if some {
			later(p)
		}
	}
	if !q.end.IsZero() {
		p, some, err := s.lastBefore(ctx, r, c, l, func(t time.Time) bool { return !t.After(q.end) })
		if err != nil || !some {
			return !some, err
		}
		p.Offset++
		earlier(p)
	}
	return false, nil
}

// lastBefore finds the last message whose time is early, by halving: times grow with positions, but for what several
// publishers do in one moment. some is false when not even the first is.
func (s *Service) lastBefore(ctx context.Context, r *request, c broker.Channel, l *leaf, early func(time.Time) bool) (at broker.Position, some bool, err error) {
	page, err := s.history(ctx, r.who, c, l, broker.Range{Limit: 1})
	if err != nil || len(page.Messages) == 0 || !early(page.Messages[0].Time) {
		return at, false, err
	}
	at = page.Messages[0].Position
	for end := page.Last.Offset; at.Offset < end; { // what follows end is late, or there is nothing
		middle := broker.Position{Epoch: at.Epoch, Offset: at.Offset + (end-at.Offset)/2}
		page, err := s.history(ctx, r.who, c, l, broker.Range{After: middle, Limit: 1})
		switch {
		case errors.Is(err, errNoSuchPosition): // trimmed meanwhile: all the earlier
			at.Offset = middle.Offset + 1
		case err != nil:
			return at, false, err
		case len(page.Messages) == 0 || !early(page.Messages[0].Time):
			end = middle.Offset
		default:
			at = page.Messages[0].Position
		}
	}
	return at, true, nil
}

// publishedBy gives the test for "with", nil if everything passes. An event comes from the service, so with its address
// everything is; a publisher is known where the node names publishers.
func (s *Service) publishedBy(l *leaf, q *excerpt) func(*broker.Message) bool {
	with := q.with.String()
	switch {
	case with == "" || with == s.domain:
		return nil
	case l.config().form()&withPublisher == 0:
		return func(*broker.Message) bool { return false }
	}
	return func(m *broker.Message) bool { return m.Publisher == with }
}

// scan reads on until it has as many messages as were asked for, or has looked at maxScan.
func (s *Service) scan(ctx context.Context, r *request, c broker.Channel, l *leaf, q *excerpt, want broker.Range, match func(*broker.Message) bool) (broker.Page, error) {
	most := want.Limit
	want.Limit = maxScan
	page, err := s.history(ctx, r.who, c, l, want)
	if err != nil {
		return page, err
	}
	all := page.Messages
	page.Messages = nil
	if want.Newest {
		slices.Reverse(all)
	}
	for i, m := range all {
		if match(m) {
			page.Messages = append(page.Messages, m)
		}
		if len(page.Messages) == most {
			page.Complete = page.Complete && i == len(all)-1
			all = nil
			break
		}
	}
	if len(all) > 0 && !page.Complete {
		q.reached = all[len(all)-1].Position
	}
	if want.Newest {
		slices.Reverse(page.Messages)
	}
	return page, nil
}

// byPosition gives the messages at positions, in the archive's order, each once; it is an error if one is not there.
func (s *Service) byPosition(ctx context.Context, r *request, c broker.Channel, l *leaf, at []broker.Position) (broker.Page, error) {
	found := broker.Page{Complete: true}
	slices.SortFunc(at, func(p, q broker.Position) int {
		switch {
		case p.Offset < q.Offset:
			return -1
		case p.Offset > q.Offset:
			return 1
		}
		return 0
	})
	for _, p := range slices.Compact(at) {
		page, err := s.history(ctx, r.who, c, l, broker.Range{After: broker.Position{Epoch: p.Epoch, Offset: p.Offset - 1}, Limit: 1})
		switch {
		case err != nil:
			return found, err
		case len(page.Messages) == 0 || page.Messages[0].Position != p:
			return found, errNoSuchPosition
		}
		found.Messages = append(found.Messages, page.Messages[0])
	}
	return found, nil
}
