package broker

import "iter"

// Who is subscribed, in this process. Each answer is of one moment that has passed when it arrives.

// Subscribers is how many sessions are subscribed to exactly this pattern: those of "/chat/*" do not count for "/chat/42".
// It is one look-up.
func (b *Broker) Subscribers(p Pattern) int { return b.index.list(p).count }

// Receivers is how many sessions a message to c would be queued for: those subscribed to c itself or to a pattern that
// matches it, each once. It takes longer the more sessions are subscribed to others than the most popular of these patterns.
func (b *Broker) Receivers(c Channel) int {
	lists := b.index.match(c, nil)
	if len(lists) == 0 {
		return 0
	}
	longest := 0
	for i, l := range lists {
		if l.count > lists[longest].count {
			longest = i
		}
	}
	n, popular := lists[longest].count, lists[longest].chunks[0][0].pattern
	seen := map[*Session]bool{}
	for i, l := range lists {
		if i == longest {
			continue
		}
		for sub := range l.all() {
			if s := sub.session; !seen[s] {
				seen[s] = true
				if !s.has(popular) {
					n++
				}
			}
		}
	}
	return n
}

// Readers names who is subscribed to exactly this pattern: for each session the subject of the principal that its subscription
// was made with, and those that SessionOptions.Readers gives where there is such; "" for whom nobody vouches. Who
// subscribes again as somebody else keeps the first name.
func (b *Broker) Readers(p Pattern) iter.Seq[string] {
	return func(yield func(string) bool) {
		for sub := range b.index.list(p).all() {
			readers := sub.session.opts.Readers
			if readers == nil {
				if !yield(sub.subject) {
					return
				}
				continue
			}
			for subject := range readers(p) {
				if !yield(subject) {
					return
				}
			}
		}
	}
}

// ReadersChanged says that what SessionOptions.Readers gives for p is not what it was.
func (s *Session) ReadersChanged(p Pattern) {
	s.broker.event(Event{Type: EventReaders, Session: s, Pattern: p})
}

func (s *Session) has(p Pattern) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subs.get(p) != nil
}

func (l snapshot) all() iter.Seq[*subscription] {
	return func(yield func(*subscription) bool) {
		for _, chunk := range l.chunks {
			for _, sub := range chunk {
				if !yield(sub) {
					return
				}
			}
		}
	}
}
