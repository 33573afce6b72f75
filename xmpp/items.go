package xmpp

import (
	"context"
	"slices"
	"strconv"

	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// items retrieves what is kept of a node (XEP-0060 §6.5): all, the newest max_items, those with given ids, or a page.
// Unknown ids and a node with nothing in it are no errors. When something of what was asked for is left out, because
// there is more than MaxPage or than one stanza holds, a <set/> says so.
func (s *Service) items(ctx context.Context, r *request) error {
	name := r.verb.Attr("node")
	c, err := channelOf(name)
	if err != nil {
		return err
	}
	if r.verb.Attr("subid") != "" {
		return errInvalidSubID // XEP-0060 §6.5.9.2
	}
	set, err := readPaging(r.payload, s.opts.MaxPage)
	if err != nil {
		return err
	}
	want, err := set.history()
	if err != nil {
		return err
	}
	bounded, err := s.narrow(&want, r.verb, set)
	if err != nil {
		return err
	}
	l := s.nodes.get(c)
	if err := s.mayRead(c, l, r.user); err != nil {
		return err
	}
	conf := l.config()
	if !conf.Persist {
		return unsupported(pubsub.FeaturePersistentItems)
	}
	page, err := s.history(ctx, r.who, c, l, want)
	if err != nil {
		return err
	}
	if set.max == 0 {
		page.Messages = nil
	}
	r.out = append(r.out, "<pubsub xmlns='"+pubsub.NS+"'><items"...)
	r.out = append(attr(r.out, "node", name), '>')
	skipped, shown := s.appendItems(r, page.Messages, conf.form(), want.Newest)
	r.out = append(r.out, "</items>"...)
	if set.asked || shown < len(page.Messages) || !page.Complete && !bounded {
		r.out = windowOf(page, skipped, shown).append(r.out)
	}
	r.out = append(r.out, "</pubsub>"...)
	return nil
}

// narrow puts the bounds of XEP-0060 itself into want: ids, or else max_items. A page that was asked for goes before
// max_items. bounded tells that fewer items than there are is what the requester expects.
func (s *Service) narrow(want *broker.Range, items *component.Element, set limits) (bounded bool, err error) {
	for _, c := range items.Children {
		if c.Name.Space == pubsub.NS && c.Name.Local == "item" {
			want.IDs = append(want.IDs, c.Attr("id"))
		}
	}
	switch {
	case len(want.IDs) > s.opts.MaxPage:
		return false, errAnswerTooBig
	case want.IDs != nil || set.asked || !items.HasAttr("max_items"):
		return false, nil
	}
	n, err := strconv.Atoi(items.Attr("max_items"))
	if err != nil || n < 1 {
		return false, errBadMaxItems
	}
	bounded = n <= want.Limit
	want.Limit = min(n, want.Limit)
	return bounded, nil
}

// roomForEnd is left in an answer for the <set/> and the end tags.
const roomForEnd = 1 << 10

// appendItems appends as many of the messages as the answer has room for, all together at one end: the newest, or the
// oldest. It returns how many it left out before those, and how many they are.
func (s *Service) appendItems(r *request, all []*broker.Message, as itemForm, newest bool) (skipped, shown int) {
	room := s.opts.Link.MaxOutStanza - roomForEnd - len(r.out)
	forms, largest := make([][]byte, len(all)), room
	for n := range all {
		i := n
		if newest {
			i = len(all) - 1 - n
		}
		form, err := itemWithin(all[i], as, largest)
		if err == nil { // else it is meant for other wires only
			forms[i] = form
		}
		if room -= len(form); room < 0 {
			forms[i] = nil
			break
		}
		shown++
	}
	if newest {
		skipped = len(all) - shown
	}
	r.out = append(r.out, slices.Concat(forms...)...)
	return skipped, shown
}

// windowOf describes the part of a page that is shown.
func windowOf(page broker.Page, skipped, shown int) window {
	w := window{total: page.Total, index: page.Index + skipped, count: shown}
	if shown > 0 {
		w.first = page.Messages[skipped].Position.String()
		w.last = page.Messages[skipped+shown-1].Position.String()
	}
	return w
}
