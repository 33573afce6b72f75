package broker

import "context"

// hold keeps the live messages of a subscription back while its history is read. The subscription is already in the
// index, so nothing can slip between reading and going live; what both the history and the hold have is told apart
// by offset. Guarded by session.mu.
type hold struct {
	deliveries []Delivery
	bytes      int
	overflowed bool
}

func (h *hold) add(d Delivery, maxMessages, maxBytes int) {
	if len(h.deliveries) >= maxMessages || h.bytes+d.Message.Size() > maxBytes && len(h.deliveries) > 0 {
		h.overflowed = true
		return
	}
	h.deliveries = append(h.deliveries, d)
	h.bytes += d.Message.Size()
}

// replay reads the history that o asks for and releases the hold behind it.
func (s *Session) replay(ctx context.Context, sub *subscription, c Channel, o SubscribeOptions, result *Subscribed) error {
	page, lost, err := s.readBack(ctx, c, o)
	if err == nil {
		err = s.release(sub, page, result)
	}
	if err != nil {
		return err
	}
	result.Recovered = !o.Since.IsZero() && !lost
	return nil
}

func (s *Session) readBack(ctx context.Context, c Channel, o SubscribeOptions) (page Page, lost bool, err error) {
	r := Range{After: o.Since}
	if o.Last > 0 {
		r.Limit, r.Newest = o.Last, true
	}
	page, err = s.broker.engine.History(ctx, c, r)
	if KindOf(err) == HistoryLost && err != nil && o.BestEffort {
		page, err = s.broker.engine.History(ctx, c, Range{})
		return page, true, err
	}
	return page, false, err
}

// release queues the page and then what was held, and makes the subscription live: one step for every reader.
func (s *Session) release(sub *subscription, page Page, result *Subscribed) error {
	s.mu.Lock()
	h := sub.hold
	if s.ended != nil || s.subs[sub.pattern] != sub {
		s.mu.Unlock()
		return Errorf(Closed, "the subscription to %s ended during its replay", sub.pattern)
	}
	if h.overflowed {
		s.mu.Unlock()
		return Errorf(Unavailable, "more was published to %s during its replay than the session may queue; try again", sub.pattern)
	}
	replay := make([]Delivery, 0, len(page.Messages)+len(h.deliveries))
	for _, m := range page.Messages {
		replay = append(replay, Delivery{Message: m, Pattern: sub.pattern})
	}
	for _, d := range h.deliveries {
		// A message up to page.Last was in the history when it was read: it is in the page, or was not asked for.
		if d.Message.Retracted || d.Message.Position.Epoch != page.Last.Epoch || d.Message.Position.Offset > page.Last.Offset {
			replay = append(replay, d)
		}
	}
	messages, bytes := s.queue.len()+len(replay), s.queue.bytes
	for _, d := range replay {
		bytes += d.Message.Size()
	}
	if len(replay) > 1 && (messages > s.opts.MaxMessages || bytes > s.opts.MaxBytes) {
		s.mu.Unlock()
		return Errorf(TooLarge, "the replay of %s has %d messages, more than the session may queue; read the history in pages",
			sub.pattern, len(replay))
	}
	sub.hold = nil
	edge := s.queue.len() == 0 && len(replay) > 0
	for _, d := range replay {
		s.queue.push(d)
	}
	s.arrive(edge)
	s.mu.Unlock()
	s.wake(edge)
	result.Replayed, result.Position = len(page.Messages), page.Last
	return nil
}

// unhold makes a subscription live again whose replay failed: its reader must not lose what was published meanwhile.
func (s *Session) unhold(sub *subscription) {
	s.mu.Lock()
	h := sub.hold
	sub.hold = nil
	if h == nil || s.ended != nil || s.subs[sub.pattern] != sub {
		s.mu.Unlock()
		return
	}
	edge := s.queue.len() == 0 && len(h.deliveries) > 0
	for _, d := range h.deliveries {
		s.queue.push(d)
	}
	s.arrive(edge)
	s.mu.Unlock()
	s.wake(edge)
	if h.overflowed {
		s.broker.countLost(LostSlow, 1)
		s.Close(Errorf(SlowConsumer, "the session was ended: more was published to %s during a replay than it may queue", sub.pattern))
	}
}
