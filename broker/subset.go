package broker

import "iter"

// subset is what a session is subscribed to, by pattern. Most sessions have one subscription, and a map would be four times as large as that.
type subset struct {
	one  *subscription
	more map[Pattern]*subscription
}

func (s *subset) len() int {
	n := len(s.more)
	if s.one != nil {
		n++
	}
	return n
}

func (s *subset) get(p Pattern) *subscription {
	if s.one != nil && s.one.pattern == p {
		return s.one
	}
	return s.more[p]
}

// has is get for a pattern that is no string yet.
func (s *subset) has(p []byte) bool {
	return s.one != nil && string(s.one.pattern) == string(p) || s.more[Pattern(p)] != nil
}

// add takes sub, whose pattern is new.
func (s *subset) add(sub *subscription) {
	switch {
	case s.one == nil:
		s.one = sub
		return
	case s.more == nil:
		s.more = map[Pattern]*subscription{}
	}
	s.more[sub.pattern] = sub
}

func (s *subset) remove(p Pattern) {
	if s.one != nil && s.one.pattern == p {
		s.one = nil
	} else {
		delete(s.more, p)
	}
}

func (s *subset) all() iter.Seq[*subscription] {
	return func(yield func(*subscription) bool) {
		if s.one != nil && !yield(s.one) {
			return
		}
		for _, sub := range s.more {
			if !yield(sub) {
				return
			}
		}
	}
}
