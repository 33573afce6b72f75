package xmpp

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"waft/broker"
)

// A node with max_items is full when it shows so many. Then the oldest gives way, which takes no doing, or the node refuses
// what comes by XMPP (XEP-0060 §7.1.3.4); other protocols know nothing of nodes.

// doorkeeper lets those who publish to nodes that refuse do so one after another, or two could take the last place.
type doorkeeper [64]sync.Mutex

// room holds the place for a batch until leave is called, or says that there is none. Items that take the place of others need
// none.
func (s *Service) room(ctx context.Context, r *request, c broker.Channel, l *leaf, batch []broker.Publication) (leave func(), err error) {
	conf := l.config()
	if conf.NodeFull != fullReject || conf.MaxItems == 0 || !conf.Persist {
		return func() {}, nil
	}
	mu := &s.doors[maphash.String(s.seed, string(c))%uint64(len(s.doors))]
	mu.Lock()
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
