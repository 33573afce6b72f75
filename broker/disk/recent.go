package disk

import (
	"slices"
	"time"

	"waft/broker"
)

// oldest is when the oldest kept message was published, as far as that has been looked up.
type oldest struct {
	known bool
	lost  uint64 // it is the first behind this
	time  time.Time
}

// recent answers History from memory. ok is false if the disk has to be asked.
func (ch *channel) recent(r broker.Range) (p broker.Page, ok bool, err error) {
	s, messages, covered, ok := ch.remember()
	if !ok {
		return p, false, nil
	}
	p, from, to, err := s.bounds(r)
	if err != nil || s.count == 0 {
		return p, true, err
	}
	if from <= to && (r.IDs == nil || len(r.IDs) > 0) {
		if ok = s.pick(&p, r, messages, covered, from, to); !ok {
			return p, false, nil
		}
	}
	ch.engine.db.counters.tailHits.Add(1)
	return p, true, nil
}

// remember takes the view that look takes, from memory: the messages are all that is kept behind covered.
func (ch *channel) remember() (s sight, messages []*broker.Message, covered uint64, ok bool) {
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.mu.Lock()
	loaded := ch.loaded
	ch.mu.Unlock()
	if !loaded {
		return s, nil, 0, false
	}
	ch.drain()
	s = sight{head: ch.view, channel: ch, epoch: ch.epoch(&ch.view)}
	messages, covered, last, _ := ch.engine.tails.read(&ch.tail)
	switch {
	case s.count == 0:
		return s, nil, s.last, true
	case last != s.last:
		return s, nil, 0, false
	case s.age <= 0:
	case covered <= s.lost:
		s.outgrow(time.Now(), messages)
		ch.view = s.head
	case !ch.oldest.known || ch.oldest.lost != s.lost || time.Since(ch.oldest.time) > s.age:
		return s, nil, 0, false
	}
	return s, messages, covered, true
}

// outgrow is expire, with all that is kept in memory.
func (h *head) outgrow(now time.Time, messages []*broker.Message) {
	for _, m := range messages[search(messages, h.lost+1):] {
		if h.count == 0 || now.Sub(m.Time) <= h.age {
			break
		}
		h.lost = m.Position.Offset
		h.count--
	}
	h.count = min(h.count, h.last-h.lost)
}

// pick reads a range from messages, which are all that is kept behind covered. ok is false if that is not enough.
func (s *sight) pick(p *broker.Page, r broker.Range, messages []*broker.Message, covered, from, to uint64) (ok bool) {
	i, j := search(messages, from), search(messages, to+1)
	newest := r.Newest && r.Limit > 0 && r.IDs == nil
	if covered >= from && (!newest || j-i <= r.Limit) {
		return false
	}
	var found []*broker.Message
	found, p.Complete = r.Pick(messages[i:j])
	if len(found) > 0 {
		p.Messages = slices.Clone(found)
		behind := len(messages) - search(messages, found[0].Position.Offset)
		p.Index = max(int(s.count)-behind, 0)
	}
	return true
}

// retain puts a page that was read from the disk into memory, if it reaches up to the newest message.
func (s *sight) retain(r broker.Range, p broker.Page) {
	_, from, to, err := s.bounds(r)
	if err != nil || r.IDs != nil || to != s.last || len(p.Messages) == 0 {
		return
	}
	switch {
	case p.Complete:
	case r.Newest:
		from = p.Messages[0].Position.Offset
	default:
		return
	}
	s.channel.engine.tails.fill(&s.channel.tail, p.Messages, from-1, s.last, s.changes)
}
