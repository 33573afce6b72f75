package broker

// matching is deliver's scratch space, reused between messages.
type matching struct {
	lists    []snapshot
	sessions map[*Session][]*subscription
}

// deliver queues m for every session with a subscription that matches its channel, once each, and returns how many
// those are. The engine calls it in the channel's order, one message of a channel at a time.
func (b *Broker) deliver(m *Message) (receivers int) {
	x := b.matches.Get().(*matching)
	x.lists = b.index.match(m.Channel, x.lists[:0])
	switch len(x.lists) {
	case 0:
	case 1:
		receivers = deliverList(m, x.lists[0])
	default:
		receivers = x.deliverLists(m)
	}
	clear(x.lists) // do not keep old snapshots alive
	b.matches.Put(x)
	b.counters.delivered.Add(uint64(receivers))
	b.counters.deliveredBytes.Add(uint64(receivers * (m.Size() - messageOverhead)))
	return receivers
}

// deliverList serves a message that one pattern matches: the usual case.
func deliverList(m *Message, l snapshot) (receivers int) {
	for _, chunk := range l.chunks {
		for _, sub := range chunk {
			if sub.session.enqueue(m, sub) {
				receivers++
			}
		}
	}
	return receivers
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
	if x.sessions == nil {
		x.sessions = map[*Session][]*subscription{}
	}
	for i, l := range x.lists {
		if i == longest {
			continue
		}
		for _, chunk := range l.chunks {
			for _, sub := range chunk {
				x.sessions[sub.session] = append(x.sessions[sub.session], sub)
			}
		}
	}
	for _, chunk := range x.lists[longest].chunks {
		for _, sub := range chunk {
			also, several := x.sessions[sub.session]
			if several {
				x.sessions[sub.session] = append(also, sub)
			} else if sub.session.enqueue(m, sub) {
				receivers++
			}
		}
	}
	for s, subs := range x.sessions {
		if s.enqueueMany(m, subs) {
			receivers++
		}
	}
	clear(x.sessions)
	return receivers
}
