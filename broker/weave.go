package broker

import "slices"

// weave makes one list of what was read and what was held back meanwhile: each message once, the messages of a channel in
// their order, behind one another channel by channel.
//
// What was held is not dropped because it is older than the end of the page: it may have given way to a newer item,
// or lie before the newest few that were asked for, and another subscription of the session may have been live.
func weave(readings []*reading, held []Delivery) []Delivery {
	n := len(held)
	of := make(map[Channel][]Delivery, len(readings))
	for _, r := range readings {
		n += len(r.page.Messages)
		of[r.channel] = nil
	}
	var rest []Delivery // of channels that were not read
	for _, d := range held {
		if list, read := of[d.Message.Channel]; read {
			of[d.Message.Channel] = append(list, d)
		} else {
			rest = append(rest, d)
		}
	}
	all := make([]Delivery, 0, n)
	for _, r := range readings {
		all = r.weave(all, of[r.channel])
	}
	return append(all, rest...)
}

// weave appends one channel. Both lists are in the channel's order; epochs have none but that of the hold.
func (r *reading) weave(dst, held []Delivery) []Delivery {
	page := r.page.Messages
	upTo := func(offset uint64) {
		for len(page) > 0 && page[0].Position.Offset <= offset {
			dst = append(dst, r.delivery(page[0]))
			page = page[1:]
		}
	}
	same := func(d Delivery) bool { return d.Message.Position.Epoch == r.page.Last.Epoch }
	began := !slices.ContainsFunc(held, same) // else what comes before the page's epoch is of an earlier one
	for _, d := range held {
		switch at := d.Message.Position; {
		case !same(d):
			if began {
				upTo(r.page.Last.Offset)
			}
			dst = append(dst, d)
		case d.Message.Retracted:
			began = true
			upTo(at.Offset)
			dst = append(dst, d)
		default:
			began = true
			upTo(at.Offset - 1)
			if len(page) > 0 && page[0].Position.Offset == at.Offset {
				page = page[1:] // it was held because a subscription matched, perhaps more of them than were read for
			} else if at.Epoch == r.since.Epoch && at.Offset <= r.since.Offset {
				continue // the reader has had it
			}
			dst = append(dst, d)
		}
	}
	upTo(r.page.Last.Offset)
	return dst
}

func (r *reading) delivery(m *Message) Delivery {
	d := Delivery{Message: m, Pattern: r.patterns[0]}
	if len(r.patterns) > 1 {
		d.Also = r.patterns[1:]
	}
	return d
}
