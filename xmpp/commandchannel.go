package xmpp

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"waft/broker"
)

// apiCommands is the API by stanza, in the order of its list.
var apiCommands = slices.Concat(channelCommands, []*command{pendingCommand}, realmCommands, nodeCommands, adminCommands)

// channelCommands are for everybody: the rules and the nodes say who may use them on what.
var channelCommands = []*command{{
	name: "publish", title: "Publish a message", do: (*Service).apiPublish,
	stages: [][]param{{
		{name: "channel", label: "Channel", required: true},
		{name: "data", label: "JSON", typ: "text-multi", required: true, rest: true},
		{name: "id", label: "Id; an item with it gives way"},
	}},
}, {
	name: "history", title: "Read what a channel keeps", do: (*Service).apiHistory,
	stages: [][]param{{
		{name: "channel", label: "Channel", required: true},
		{name: "max", label: "Messages at most", def: "20"},
		{name: "after", label: "Only after this position"},
		{name: "before", label: "Only before this position"},
	}},
}, {
	name: "remove", title: "Remove a message from a channel's history", do: (*Service).apiRemove,
	stages: [][]param{{
		{name: "channel", label: "Channel", required: true},
		{name: "id", label: "Id of the message", required: true, rest: true},
		{name: "notify", label: "Tell subscribers", typ: "boolean", def: "1"},
	}},
}, {
	name: "channels", title: "List channels", do: (*Service).apiChannels,
	stages: [][]param{{
		{name: "pattern", label: "Pattern", def: "/**"},
		{name: "max", label: "Channels at most", def: "100"},
		{name: "after", label: "Only after this channel"},
	}},
}}

// apiPublish publishes one message, as <publish/> does.
func (s *Service) apiPublish(ctx context.Context, c *call) error {
	ch, err := c.channel("channel")
	if err != nil {
		return err
	}
	l := s.nodes.get(ch)
	if err := l.mayPublish(c.user, func() bool { return s.audience.subscribed(c.user, broker.Pattern(ch)) }); err != nil {
		return err
	}
	conf := l.config()
	if conf.bare() {
		return errItemForbidden
	}
	data, err := within(c.word("data"), conf.payloadLimit(&s.opts))
	if err != nil {
		return err
	}
	id := c.word("id")
	p := broker.Publication{Message: &broker.Message{ID: id, Channel: ch, Data: data}, PublishOptions: broker.PublishOptions{Replace: id != ""}}
	leave, err := s.room(ctx, c.request, ch, l, []broker.Publication{p})
	if err != nil {
		return err
	}
	defer leave()
	receipt, err := s.broker.Publish(ctx, c.who, p.Message, p.PublishOptions)
	if err != nil {
		return err
	}
	s.count.published.Add(1)
	s.courtPublisher(c.request, l)
	c.value("id", receipt.ID)
	c.value("position", receipt.Position.String())
	c.says("published to %s as %s", ch, receipt.ID)
	return nil
}

// apiHistory reads what a channel keeps and its node shows, oldest first.
func (s *Service) apiHistory(ctx context.Context, c *call) error {
	ch, err := c.channel("channel")
	if err != nil {
		return err
	}
	most, err := c.limit("max", 20, s.opts.MaxPage)
	if err != nil {
		return err
	}
	want := broker.Range{Limit: most}
	if want.After, err = broker.ParsePosition(c.word("after")); err != nil {
		return err
	}
	if want.Before, err = broker.ParsePosition(c.word("before")); err != nil {
		return err
	}
	want.Newest = want.After.IsZero()
	page, err := s.readable(ctx, c.request, ch, want)
	if err != nil {
		return err
	}
	c.shown.columns = []string{"position", "time", "id", "publisher", "data"}
	for _, m := range page.Messages {
		c.row(m.Position.String(), stampOf(m.Time), m.ID, m.Publisher, string(appendPlainJSON(nil, m.Data)))
	}
	c.says("%d of the %d messages that %s keeps", len(page.Messages), page.Total, ch)
	return nil
}

// readable reads a channel for who asks: what the rules let him, and its node, if it is one.
func (s *Service) readable(ctx context.Context, r *request, ch broker.Channel, want broker.Range) (broker.Page, error) {
	l := s.nodes.get(ch)
	if err := s.mayRead(ch, l, r.user); err != nil {
		return broker.Page{}, err
	}
	if !l.config().Persist {
		return broker.Page{Complete: true}, nil
	}
	return s.history(ctx, r.who, ch, l, want)
}

// apiRemove removes one message, as <retract/> does.
func (s *Service) apiRemove(ctx context.Context, c *call) error {
	ch, err := c.channel("channel")
	if err != nil {
		return err
	}
	id := c.word("id")
	if err := s.mayRemove(ctx, c.request, ch, s.nodes.get(ch), id); err != nil {
		return err
	}
	notify := c.word("notify") == "" || c.flag("notify")
	if err := s.broker.Remove(ctx, c.who, ch, id, notify); err != nil {
		return err
	}
	c.says("removed %s from %s", id, ch)
	return nil
}

// apiChannels lists the channels that keep something and that who asks may know of. How many listen is for those who
// manage.
func (s *Service) apiChannels(ctx context.Context, c *call) error {
	p := broker.Pattern("/**")
	var err error
	if c.word("pattern") != "" {
		if p, err = broker.ParsePatternName(c.word("pattern")); err != nil {
			return err
		}
	}
	most, err := c.limit("max", 100, s.opts.MaxPage)
	if err != nil {
		return err
	}
	after := broker.Channel("")
	if c.word("after") != "" {
		if after, err = c.channel("after"); err != nil {
			return err
		}
	}
	manages := s.manages(ctx, c.who)
	c.shown.columns = []string{"channel", "messages", "position"}
	if manages {
		c.shown.columns = append(c.shown.columns, "receivers")
	}
	list, err := s.channelsFor(ctx, c.request, p, after, most+1)
	if err != nil {
		return err
	}
	more := ""
	if len(list) > most {
		list = list[:most]
		more = fmt.Sprintf("; more after %s", list[most-1].Channel)
	}
	for _, info := range list {
		row := []string{string(info.Channel), strconv.Itoa(info.Messages), info.Last.String()}
		if manages {
			row = append(row, strconv.Itoa(s.broker.Receivers(info.Channel)))
		}
		c.row(row...)
	}
	c.says("%d channels%s", len(c.shown.rows), more)
	return nil
}

// channelsFor lists at most n channels that the requester may know of. Nodes that hide themselves are few, so each further look,
// at more of them, is rare; not even where a page ends does it give one away.
func (s *Service) channelsFor(ctx context.Context, r *request, p broker.Pattern, after broker.Channel, n int) (list []broker.ChannelInfo, err error) {
	for look := n; ; look *= 4 {
		found, err := s.broker.Channels(ctx, r.who, p, after, look)
		if err != nil {
			return nil, err
		}
		for _, info := range found {
			if !s.hides(ctx, r, info.Channel) {
				list = append(list, info)
			}
		}
		if len(list) >= n || len(found) < look {
			return list[:min(n, len(list))], nil
		}
		after = found[len(found)-1].Channel
	}
}

// appendPlainJSON appends JSON with the two characters that XML cannot carry written as escapes (payload.go).
func appendPlainJSON(b, data []byte) []byte {
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch r {
		case 0xFFFE:
			b = append(b, `\ufffe`...)
		case 0xFFFF:
			b = append(b, `\uffff`...)
		default:
			b = append(b, data[:n]...)
		}
		data = data[n:]
	}
	return b
}

// join writes a list in one value.
func join[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = string(v)
	}
	return strings.Join(words, " ")
}
