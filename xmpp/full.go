package xmpp

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"waft/broker"
)

// A node with max_items is full when it shows so many. Then the oldest gives way, which takes no doing, or it is removed from the
// channel, or the node refuses what is published (XEP-0060 §7.1.3.4). The latter two are for what comes by XMPP; other protocols
// know nothing of nodes.

// doorkeeper lets those who publish to nodes that refuse do so one after another, or two could take the last place.
type doorkeeper [64]sync.Mutex

// room holds the place for a batch until leave is called, or says that there is none. Items that take the place of others need
// none.
func (s *Service) room(ctx context.Context, r *request, c broker.Channel, l *leaf, batch []broker.Publication) (leave func(), err error) {
	conf := l.config()
	if conf.NodeFull == fullDiscard || conf.MaxItems == 0 || !conf.Persist {
		return func() {}, nil
	}
	mu := &s.doors[maphash.String(s.seed, string(c))%uint64(len(s.doors))]
	mu.Lock()
	if conf.NodeFull == fullRetract {
		return func() {
			defer mu.Unlock()
			if err := s.retractOldest(ctx, r, c, l, len(batch)); err != nil {
				_ = s.toStanzaError(err) // logs it. The node shows no more than it is to show all the same
			}
		}, nil
	}
	var ids []string
	fresh := 0
	for _, p := range batch {
		id := p.Message.ID
		if id == "" {
			fresh++
		} else if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	// A publisher need not be one who may read. Whose node it is knows how full it is.
	page, err := s.history(ctx, s.opts.Principal(l.Creator), c, l, broker.Range{IDs: append([]string{}, ids...)})
	if err != nil {
		page, err = s.history(ctx, r.who, c, l, broker.Range{IDs: append([]string{}, ids...)})
	}
	if err == nil && page.Total+fresh+len(ids)-len(page.Messages) > conf.MaxItems {
		err = errNodeFull
	}
	if err != nil {
		mu.Unlock()
		return nil, err
	}
	return mu.Unlock, nil
}

// retractMore is how many items more than have just been published give way at once: those of other protocols.
const retractMore = 100

// retractOldest removes the items of a channel that its node does not show because newer ones have filled it, the oldest
// first. Subscribers are told if the node says so.
func (s *Service) retractOldest(ctx context.Context, r *request, c broker.Channel, l *leaf, fresh int) error {
	most := l.Config.MaxItems
	want := broker.Range{Limit: most + fresh + retractMore, Newest: true}
	page, err := s.kept(ctx, s.opts.Principal(l.Creator), c, want)
	if err != nil {
		if page, err = s.kept(ctx, r.who, c, want); err != nil {
			return err
		}
	}
	for _, m := range page.Messages[:max(len(page.Messages)-most, 0)] {
		if err := s.broker.Remove(ctx, r.who, c, m.ID, l.Config.NotifyRetract); err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
	}
	return nil
}
