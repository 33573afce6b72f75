package disk

import (
	"context"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Channels implements broker.Engine. It reads the heads on the disk: what is stored is there before it is delivered.
func (e *Engine) Channels(ctx context.Context, p broker.Pattern, behind broker.Channel, limit int) ([]broker.ChannelInfo, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	e.db.pebbleMu.RLock()
	defer e.db.pebbleMu.RUnlock()
	fixed := string(p)
	if i := strings.IndexByte(fixed, '*'); i >= 0 {
		fixed = fixed[:i]
	}
	from := headKey(e.realm, max(behind, broker.Channel(fixed)))
	var found []broker.ChannelInfo
	var failed error
	seen, now := 0, time.Now()
	err := e.eachHead(from, func(c broker.Channel, h *head) bool {
		if seen++; seen%1024 == 0 && ctx.Err() != nil {
			failed = ctx.Err()
			return false
		}
		if !strings.HasPrefix(string(c), fixed) {
			return false
		}
		if c <= behind || !p.Matches(c) {
			return true
		}
		if failed = e.expired(c, h, now); failed != nil {
			return false
		}
		if h.count > 0 {
			epoch := h.birth ^ e.db.salt.Load()
			found = append(found, broker.ChannelInfo{Channel: c, Messages: int(h.count), Last: broker.Position{Epoch: epoch, Offset: h.last}})
		}
		return limit <= 0 || len(found) < limit
	})
	if err == nil {
		err = failed
	}
	if err != nil && ctx.Err() == nil {
		err = unavailable(err)
	}
	return found, err
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
