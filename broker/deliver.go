package broker

import "slices"

// matching is deliver's scratch space, reused between messages.
type matching struct {
	lists []snapshot
	size  int    // of the message
	bells []Bell // still to be rung

	// of deliverLists
	newest map[*Session]int // of the session's links, the place of the newest
	links  []link           // the subscriptions of the sessions in newest
	subs   []*subscription  // of one session
	also   []Pattern        // Delivery.Also of the session before: many have the same, and share it
}

// link is one of a session's subscriptions, and the place of the link before it; -1: it is the first.
type link struct {
	sub    *subscription
	before int
}

// deliver queues m for every session with a subscription that matches its channel, once each, and returns how many
// those are. The engine calls it in the channel's order, one message of a channel at a time.
func (b *Broker) deliver(m *Message) (receivers int) {
	x := b.matches.Get().(*matching)
	x.lists, x.size = b.index.match(m.Channel, x.lists[:0]), m.Size()
	switch len(x.lists) {
	case 0:
	case 1:
		receivers = x.deliverList(m, x.lists[0])
	default:
		receivers = x.deliverLists(m)
	}
	clear(x.lists) // do not keep old snapshots alive
	b.counters.delivered.Add(uint64(receivers))
	b.counters.deliveredBytes.Add(uint64(receivers * (x.size - messageOverhead)))
	b.matches.Put(x)
	return receivers
}

// deliverList serves a message that one pattern matches: the usual case.
func (x *matching) deliverList(m *Message, l snapshot) (receivers int) {
	for _, chunk := range l.chunks {
		for some := range slices.Chunk(chunk, together) {
			prefetch(some)
			for _, sub := range some {
				if sub.session.enqueue(m, sub, x) {
					receivers++
				}
			}
		}
		x.ring()
	}
	return receivers
}

// together is how many sessions are prefetched before the first of them is queued for.
const together = 16

func prefetch(subs []*subscription) {
	for _, sub := range subs {
		sub.session.Prefetch()
	}
}

// deliverLists serves a message that several patterns match. A session in more than one list gets it once: the
// sessions of all lists but the longest are gathered in a map, and the longest is walked with a look at that.
func (x *matching) deliverLists(m *Message) (receivers int) {
	longest := 0
	for i, l := range x.lists {
		if l.count > x.lists[longest].count {
			longest = i
		}
	}
	for i, l := range x.lists {
		if i == longest {
			continue
		}
		for _, chunk := range l.chunks {
			for _, sub := range chunk {
				before, several := x.newest[sub.session]
				if !several {
					before = -1
				}
				x.add(sub, before)
			}
		}
	}
	for _, chunk := range x.lists[longest].chunks {
		for some := range slices.Chunk(chunk, together) {
			prefetch(some)
			for _, sub := range some {
				if before, several := x.newest[sub.session]; several {
					x.add(sub, before)
				} else if sub.session.enqueue(m, sub, x) {
					receivers++
				}
			}
		}
		x.ring()
	}
	for s, at := range x.newest {
		if s.enqueueMany(m, x.chain(at), x) {
			receivers++
		}
	}
	x.ring()
	x.forget()
	return receivers
}

func (x *matching) add(sub *subscription, before int) {
	x.newest[sub.session] = len(x.links)
	x.links = append(x.links, link{sub, before})
}

// chain gives the subscriptions from that of the link at a place to the first. It lasts until the next call.
func (x *matching) chain(at int) []*subscription {
	x.subs = x.subs[:0]
	for ; at >= 0; at = x.links[at].before {
		x.subs = append(x.subs, x.links[at].sub)
	}
	return x.subs
}

// forget keeps nothing alive but memory for the next time.
func (x *matching) forget() {
	clear(x.newest)
	clear(x.links)
	clear(x.subs[:cap(x.subs)])
	x.links, x.also = x.links[:0], nil
}
