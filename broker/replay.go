package broker

import (
	"context"
	"slices"
)

// hold keeps the live messages of subscriptions back while their history is read. The subscriptions are already in the
// index, so nothing can slip between reading and going live; what both the history and the hold have is told apart
// by offset. A session has one at a time. Guarded by session.mu.
type hold struct {
	deliveries []Delivery
	bytes      int
	missed     map[Pattern]struct{} // the subscriptions for which there was more than fits; nil: none
}

func (h *hold) add(d Delivery, maxMessages, maxBytes int) {
	if len(h.deliveries) >= maxMessages || h.bytes+d.Message.Size() > maxBytes && len(h.deliveries) > 0 {
		if h.missed == nil {
			h.missed = map[Pattern]struct{}{}
		}
		for p := range d.Patterns() {
			h.missed[p] = struct{}{}
		}
		return
	}
	h.deliveries = append(h.deliveries, d)
	h.bytes += d.Message.Size()
}

// replay reads the histories that are asked for and releases the hold behind them. The error is a *BatchError.
func (s *Session) replay(ctx context.Context, h *hold, wants []want, done []Subscribed) error {
	readings, err := s.plan(ctx, wants)
	if err == nil {
		err = s.readBack(ctx, h, readings)
	}
	if err == nil {
		err = s.release(h, wants, readings)
	}
	if err != nil {
		return err
	}
	for i, w := range wants {
		if w.replays {
			w.tell(&done[i], readings)
		}
	}
	return nil
}

// release queues what was read and, woven into it, what was held, and makes the subscriptions live: one step for every
// reader.
func (s *Session) release(h *hold, wants []want, readings []*reading) error {
	s.mu.Lock()
	for i, w := range wants {
		if w.sub.hold == h && (s.ended != nil || s.subs.get(w.Pattern) != w.sub) {
			s.mu.Unlock()
			return &BatchError{i, Errorf(Closed, "the subscription to %s ended during its replay", w.Pattern)}
		}
	}
	first := slices.IndexFunc(wants, func(w want) bool { return w.replays })
	p := wants[first].Pattern
	if h.missed != nil {
		s.mu.Unlock()
		return &BatchError{first, errMissed(p)}
	}
	replay := weave(readings, h.deliveries)
	messages, bytes := s.queue.len()+len(replay), s.queue.size()
	for _, d := range replay {
		bytes += d.Message.Size()
	}
	if len(replay) > 1 && (messages > s.opts.MaxMessages || bytes > s.opts.MaxBytes) {
		s.mu.Unlock()
		return &BatchError{first, s.errTooMuch(p)}
	}
	edge := s.queue.len() == 0 && len(replay) > 0
	for _, d := range replay {
		s.queue.push(d)
	}
	s.goLive(h, wants)
	s.arrive(edge)
	s.mu.Unlock()
	s.wake(edge)
	return nil
}

// goLive takes the hold off; mu is held.
func (s *Session) goLive(h *hold, wants []want) {
	for _, w := range wants {
		if w.sub.hold == h {
			w.sub.hold = nil
		}
	}
	s.replaying = false
}

func errMissed(p Pattern) error {
	return Errorf(Unavailable, "more was published to %s during its replay than the session may queue; try again", p)
}

func (s *Session) errTooMuch(p Pattern) error {
	return Errorf(TooLarge, "the replay of %s is more than the session may queue (%d messages, %d bytes); read the history in pages",
		p, s.opts.MaxMessages, s.opts.MaxBytes)
}

// abandon undoes a replay that failed: the new subscriptions end, and those the session had are live again and lose
// nothing of what was published meanwhile.
func (s *Session) abandon(h *hold, wants []want) {
	for _, w := range wants {
		if !w.already {
			s.leave(w.Pattern, w.sub)
		}
	}
	s.mu.Lock()
	s.goLive(h, wants)
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	var left Pattern
	for p := range h.missed {
		if s.subs.get(p) != nil {
			left = p
		}
	}
	edge := false
	for _, d := range h.deliveries {
		if d, ok := s.still(d); ok {
			edge = edge || s.queue.len() == 0
			s.queue.push(d)
		}
	}
	s.arrive(edge)
	s.mu.Unlock()
	s.wake(edge)
	if left != "" {
		s.broker.countLost(LostSlow, 1)
		s.Close(Errorf(SlowConsumer, "the session was ended: more was published to %s during a replay than it may queue", left))
	}
}

// still is d for the subscriptions of it that are left; mu is held.
func (s *Session) still(d Delivery) (Delivery, bool) {
	left := Delivery{Message: d.Message}
	for p := range d.Patterns() {
		switch {
		case s.subs.get(p) == nil:
		case left.Pattern == "":
			left.Pattern = p
		default:
			left.Also = append(left.Also, p)
		}
	}
	return left, left.Pattern != ""
}
