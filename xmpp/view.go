package xmpp

import (
	"context"
	"slices"
	"time"

	"waft/broker"
)

// history reads a node for who: what the channel keeps, and of that what the node shows. The rules have the first word
// (how much is kept), the node the second (max_items, item_expire), and it can only leave out.
func (s *Service) history(ctx context.Context, who broker.Principal, c broker.Channel, l *leaf, want broker.Range) (broker.Page, error) {
	if l == nil || !l.Config.narrows() {
		return s.kept(ctx, who, c, want)
	}
	most := l.Config.MaxItems
	if most == 0 {
		most = s.opts.MaxNodeItems
	}
	page, err := s.kept(ctx, who, c, broker.Range{Limit: most, Newest: true})
	if err != nil {
		return page, err
	}
	return narrow(page, want, l.Config.expiry(time.Now()))
}

// kept is what the broker has.
func (s *Service) kept(ctx context.Context, who broker.Principal, c broker.Channel, want broker.Range) (broker.Page, error) {
	page, err := s.broker.History(ctx, who, c, want)
	if err != nil && broker.KindOf(err) == broker.HistoryLost {
		return page, errNoSuchPosition
	}
	return page, closedNode(err)
}

// narrow answers a range from the newest messages of a history as if those were all of it, without those from before
// expiry. A position in front of them is one that is gone.
func narrow(newest broker.Page, want broker.Range, expiry time.Time) (broker.Page, error) {
	all := newest.Messages
	if !expiry.IsZero() {
		from := slices.IndexFunc(all, func(m *broker.Message) bool { return !m.Time.Before(expiry) })
		if from < 0 {
			from = len(all)
		}
		all = all[from:]
	}
	page := broker.Page{Last: newest.Last, Total: len(all), Complete: true}
	if want.IDs != nil {
		for _, m := range all {
			if slices.Contains(want.IDs, m.ID) {
				page.Messages = append(page.Messages, m)
			}
		}
		if len(page.Messages) > 0 {
			page.Index = slices.Index(all, page.Messages[0])
		}
		return page, nil
	}
	from, to := 0, len(all)
	for i, at := range []broker.Position{want.After, want.Before} {
		oldest := newest.Last.Offset // with nothing to show, only the newest position of all leads on
		if len(all) > 0 {
			oldest = all[0].Position.Offset - 1
		}
		next := newest.Last.Offset + uint64(i) // before what comes next is everything: engines allow it as well
		if !at.IsZero() && (at.Epoch != newest.Last.Epoch || at.Offset < oldest || at.Offset > next) {
			return broker.Page{}, errNoSuchPosition
		}
	}
	if !want.After.IsZero() {
		from, _ = slices.BinarySearchFunc(all, want.After.Offset+1, byOffset)
	}
	if !want.Before.IsZero() {
		to, _ = slices.BinarySearchFunc(all, want.Before.Offset, byOffset)
		to = max(from, to)
	}
	if want.Limit > 0 && to-from > want.Limit {
		page.Complete = false
		if want.Newest {
			from = to - want.Limit
		} else {
			to = from + want.Limit
		}
	}
	if from < to {
		page.Messages, page.Index = all[from:to], from
	}
	return page, nil
}

func byOffset(m *broker.Message, offset uint64) int {
	switch {
	case m.Position.Offset < offset:
		return -1
	case m.Position.Offset > offset:
		return 1
	}
	return 0
}
