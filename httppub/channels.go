package httppub

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"

	"waft/broker"
)

// channelEntry is a channel as those who manage the realm see it in a list.
type channelEntry struct {
	Channel       broker.Channel `json:"channel"`
	Messages      int            `json:"messages"`           // kept
	Position      string         `json:"position,omitempty"` // of the newest one ever; absent if none is kept
	Subscriptions map[string]int `json:"subscriptions"`      // to the channel itself, in this process, by protocol
}

// listChannels answers a page of the realm's channels. It is for those who manage: it looks at all of them, and says who
// listens.
func (h *Reader) listChannels(c *call) error {
	after := c.args.after
	if after != "" {
		name, err := broker.ParseName(after)
		if err != nil {
			return broker.Errorf(broker.Invalid, "after: %w", err)
		}
		after = string(name)
	}
	limit := c.args.most(h.limits.Load().MaxPage)
	found, more, err := h.opts.Broker.ListChannels(c.Context(), c.who, c.args.prefix, broker.Channel(after), limit)
	if err != nil {
		return err
	}
	var reply struct {
		Channels []channelEntry `json:"channels"`
		Next     string         `json:"next,omitempty"`
	}
	reply.Channels = make([]channelEntry, 0, len(found))
	for _, s := range found {
		reply.Channels = append(reply.Channels, channelEntry{s.Channel, s.Messages, s.Last.String(), s.Subscriptions})
	}
	if more {
		reply.Next = c.nextPage(string(found[len(found)-1].Channel), limit)
	}
	h.answer(c, encode(reply))
	return nil
}

// showChannel answers what is kept of one channel, to those who may read it; and who is subscribed, to those who manage.
func (h *Reader) showChannel(c *call) error {
	ctx, b := c.Context(), h.opts.Broker
	found, err := b.History(ctx, c.who, c.to.channel, broker.Range{IDs: []string{}})
	if err != nil {
		return err
	}
	reply := struct {
		Channel       broker.Channel `json:"channel"`
		Messages      int            `json:"messages"`
		Position      string         `json:"position"`
		Kept          bool           `json:"kept"` // whether what is published is kept for a while
		Subscriptions map[string]int `json:"subscriptions,omitzero"`
		Receivers     *int           `json:"receivers,omitempty"` // sessions that a message would be queued for
	}{Channel: c.to.channel, Messages: found.Total, Position: positionText(found.Last), Kept: b.Keeps(c.to.channel)}
	if by, receivers, err := b.Subscriptions(ctx, c.who, c.to.channel); err == nil {
		reply.Subscriptions, reply.Receivers = by, &receivers
	}
	h.answer(c, encode(reply))
	return nil
}

// nextPage is the address of the entries after the given one; it goes into the head as well.
func (c *call) nextPage(after string, limit int) string {
	v := url.Values{"after": {after}}
	if c.args.prefix != "" {
		v.Set("prefix", c.args.prefix)
	}
	if c.args.limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	next := c.to.base + "/?" + v.Encode()
	c.w.Header().Set("Link", "<"+next+`>; rel="next"`)
	return next
}

// encode writes JSON that has nothing a browser could take for markup's sake escaped.
func encode(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // our own structs always have a form
	return out.Bytes()
}
