package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// ChannelStatus describes a channel to somebody who manages the realm.
type ChannelStatus struct {
	ChannelInfo                  // Last is zero for one that keeps no message: see Broker.History
	Subscriptions map[string]int // of this process, to the channel itself and not by a wildcard; by protocol
}

// ListChannels lists the channels that keep a message or that somebody is subscribed to by name: those whose name begins
// with prefix, sorted, after the given one, at most limit of them (0: all), and whether there are more. It looks at every
// channel of the realm. It asks for ActManage. Errors: the Authorizer's, the engine's.
func (b *Broker) ListChannels(ctx context.Context, who Principal, prefix string, after Channel, limit int) (page []ChannelStatus, more bool, err error) {
	if err := b.authorize(ctx, who, ActManage, everything); err != nil {
		return nil, false, err
	}
	kept, err := b.engine.Channels(ctx, PatternsOf(everything), after, 0)
	if err != nil {
		return nil, false, err
	}
	infos := make(map[Channel]ChannelInfo, len(kept))
	for _, info := range kept {
		if strings.HasPrefix(string(info.Channel), prefix) {
			infos[info.Channel] = info
		}
	}
	b.index.each(func(c Channel) {
		if _, known := infos[c]; !known && c > after && strings.HasPrefix(string(c), prefix) {
			infos[c] = ChannelInfo{Channel: c}
		}
	})
	page = make([]ChannelStatus, 0, len(infos))
	for _, info := range infos {
		page = append(page, ChannelStatus{ChannelInfo: info})
	}
	slices.SortFunc(page, func(x, y ChannelStatus) int { return cmp.Compare(x.Channel, y.Channel) })
	if limit > 0 && len(page) > limit {
		page, more = page[:limit], true
	}
	for i := range page {
		page[i].Subscriptions = b.subscriptionsOf(page[i].Channel)
	}
	return page, more, nil
}

// Subscriptions counts those to the channel itself, by protocol, and all sessions that a message would be queued for. It
// asks for ActManage.
func (b *Broker) Subscriptions(ctx context.Context, who Principal, c Channel) (byProtocol map[string]int, receivers int, err error) {
	if err := b.authorize(ctx, who, ActManage, everything); err != nil {
		return nil, 0, err
	}
	return b.subscriptionsOf(c), b.Receivers(c), nil
}

func (b *Broker) subscriptionsOf(c Channel) map[string]int {
	n := map[string]int{}
	for sub := range b.index.list(Pattern(c)).all() {
		n[sub.session.opts.Protocol]++
	}
	return n
}

// each calls f with every channel that is subscribed to by name, under a shard's lock.
func (x *index) each(f func(Channel)) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for base := range s.lists[Exact] {
			f(Channel(base))
		}
		s.mu.RUnlock()
	}
}
