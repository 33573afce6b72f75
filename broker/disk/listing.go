package disk

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Channels implements broker.Engine. It reads the heads on the disk: what is stored is there before it is delivered.
func (e *Engine) Channels(ctx context.Context, ps broker.Patterns, behind broker.Channel, limit int) ([]broker.ChannelInfo, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	e.db.pebbleMu.RLock()
	defer e.db.pebbleMu.RUnlock()
	var found []broker.ChannelInfo
	var failed error
	seen, now := 0, time.Now()
	full := func() bool { return limit > 0 && len(found) >= limit }
	for _, fixed := range stretches(ps.All()) {
		err := e.eachHead(headKey(e.realm, max(behind, broker.Channel(fixed))), func(c broker.Channel, h *head) bool {
			if seen++; seen%1024 == 0 && ctx.Err() != nil {
				failed = ctx.Err()
				return false
			}
			if !strings.HasPrefix(string(c), fixed) {
				return false
			}
			if c <= behind || !ps.Match(c) {
				return true
			}
			if failed = e.expired(c, h, now); failed != nil {
				return false
			}
			if h.count > 0 {
				epoch := h.birth ^ e.db.salt.Load()
				found = append(found, broker.ChannelInfo{Channel: c, Messages: int(h.count), Last: broker.Position{Epoch: epoch, Offset: h.last}})
			}
			return !full()
		})
		if err == nil {
			err = failed
		}
		if err != nil && ctx.Err() == nil {
			err = unavailable(err)
		}
		if err != nil || full() {
			return found, err
		}
	}
	return found, nil
}

// stretches gives, in order, how the names begin that some of the patterns can match. None is the beginning of another, so that no
// head is read twice.
func stretches(patterns []broker.Pattern) []string {
	var list []string
	for _, p := range patterns {
		fixed, _, _ := strings.Cut(string(p), "*")
		list = append(list, fixed)
	}
	slices.Sort(list)
	disjoint := list[:0]
	for _, fixed := range list {
		if n := len(disjoint); n == 0 || !strings.HasPrefix(fixed, disjoint[n-1]) {
			disjoint = append(disjoint, fixed)
		}
	}
	return disjoint
}

// expired takes off a head what has grown too old since it was written.
func (e *Engine) expired(c broker.Channel, h *head, now time.Time) error {
	if h.age <= 0 || h.count == 0 {
		return nil
	}
	messages := channelKey(messageKind, e.realm, c)
	it, err := e.db.pebble.NewIter(&pebble.IterOptions{LowerBound: offsetKey(messages, h.lost+1), UpperBound: offsetKey(messages, h.last+1)})
	if err != nil {
		return err
	}
	defer it.Close()
	return h.expire(now, it)
}
