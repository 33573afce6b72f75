package disk

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// History implements broker.Engine. It shows what has been delivered, never what is only stored: else a reader who takes
// what is delivered after the page would have some of it twice.
func (e *Engine) History(ctx context.Context, c broker.Channel, r broker.Range) (broker.Page, error) {
	if err := e.enter(); err != nil {
		return broker.Page{}, err
	}
	defer e.leave()
	ch, err := e.acquire(c)
	if err != nil {
		return broker.Page{}, err
	}
	defer e.release(ch)
	if page, ok, err := ch.recent(r); ok {
		return page, err
	}
	e.db.pebbleMu.RLock()
	defer e.db.pebbleMu.RUnlock()
	s, err := ch.look()
	if err != nil {
		return broker.Page{}, unavailable(err)
	}
	defer s.close()
	e.db.counters.tailMisses.Add(1)
	page, err := s.page(ctx, r)
	if err == nil {
		s.retain(r, page)
	}
	if err != nil && broker.KindOf(err) == broker.Internal {
		err = unavailable(err)
	}
	return page, err
}

// sight is a view of a channel's history at one moment.
type sight struct {
	head
	channel *channel
	epoch   uint64
	changes uint64           // of the channel's tail
	it      *pebble.Iterator // over the kept messages; nil if there are none
}

// look takes the view, without what has grown too old; pebbleMu is held for reading.
func (ch *channel) look() (*sight, error) {
	if err := ch.load(); err != nil {
		return nil, err
	}
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.drain()
	s := &sight{head: ch.view, channel: ch, epoch: ch.epoch(&ch.view)}
	_, _, _, s.changes = ch.engine.tails.read(&ch.tail)
	if s.count == 0 {
		return s, nil
	}
	db := ch.engine.db.pebble
	if db == nil {
		return nil, errBlown
	}
	var err error
	s.it, err = db.NewIter(&pebble.IterOptions{LowerBound: offsetKey(ch.messages, s.lost+1), UpperBound: offsetKey(ch.messages, s.last+1)})
	if err == nil {
		err = s.expire(time.Now(), s.it)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	ch.view = s.head
	if s.age > 0 && s.count > 0 && s.it.Valid() { // expire has left it at the oldest
		m, err := decodeStored(s.it.Value())
		ch.oldest = oldest{known: err == nil, lost: s.lost, time: time.Unix(0, m.time)}
	}
	return s, nil
}

func (s *sight) close() {
	if s.it != nil {
		_ = s.it.Close() // what it has to say was said by Error
	}
}

// expire lets what is older than the channel's age limit fall out.
func (h *head) expire(now time.Time, it *pebble.Iterator) error {
	if h.age <= 0 {
		return nil
	}
	for ok := it.First(); ok && h.count > 0; ok = it.Next() {
		m, err := decodeStored(it.Value())
		if err != nil {
			return err
		}
		if now.Sub(time.Unix(0, m.time)) <= h.age {
			break
		}
		h.lost = offsetOf(it.Key())
		h.count--
	}
	h.count = min(h.count, h.last-h.lost) // what was removed since the view
	return it.Error()
}

func errHistoryLost(c broker.Channel) error {
	return broker.Errorf(broker.HistoryLost, "channel %s no longer keeps everything after that position", c)
}

// bounds says which offsets a range asks for, and begins the page. The error is HistoryLost.
func (s *sight) bounds(r broker.Range) (p broker.Page, from, to uint64, err error) {
	from, to = s.lost+1, s.last
	if !r.After.IsZero() {
		if s.last == 0 || r.After.Epoch != s.epoch || r.After.Offset > s.last || r.After.Offset < s.lost {
			return p, 0, 0, errHistoryLost(s.channel.name)
		}
		from = r.After.Offset + 1
	}
	if !r.Before.IsZero() {
		if s.last == 0 || r.Before.Epoch != s.epoch || r.Before.Offset > s.last+1 {
			return p, 0, 0, errHistoryLost(s.channel.name)
		}
		to = max(r.Before.Offset, 1) - 1
	}
	p = broker.Page{Total: int(s.count), Complete: true}
	if s.last > 0 {
		p.Last = broker.Position{Epoch: s.epoch, Offset: s.last}
	}
	return p, from, to, nil
}

// page reads a range.
func (s *sight) page(ctx context.Context, r broker.Range) (broker.Page, error) {
	p, from, to, err := s.bounds(r)
	if err != nil || s.it == nil || from > to {
		return p, err
	}
	switch {
	case r.IDs != nil:
		err = s.byID(&p, r, from, to)
	case r.Newest && r.Limit > 0:
		err = s.backward(&p, r.Limit, from, to)
	default:
		err = s.forward(ctx, &p, r.Limit, from, to)
	}
	if err == nil && len(p.Messages) > 0 {
		p.Index, err = s.before(p.Messages[0].Position.Offset)
	}
	if err != nil {
		return broker.Page{}, err
	}
	return p, nil
}

func (s *sight) message() (*broker.Message, error) {
	return decodeMessage(s.it.Value(), s.channel.name, broker.Position{Epoch: s.epoch, Offset: offsetOf(s.it.Key())})
}

func (s *sight) forward(ctx context.Context, p *broker.Page, limit int, from, to uint64) error {
	for ok := s.it.SeekGE(offsetKey(s.channel.messages, from)); ok && offsetOf(s.it.Key()) <= to; ok = s.it.Next() {
		if limit > 0 && len(p.Messages) == limit {
			p.Complete = false
			break
		}
		m, err := s.message()
		if err != nil {
			return err
		}
		p.Messages = append(p.Messages, m)
		if len(p.Messages)%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return s.it.Error()
}

func (s *sight) backward(p *broker.Page, limit int, from, to uint64) error {
	for ok := s.it.SeekLT(offsetKey(s.channel.messages, to+1)); ok && offsetOf(s.it.Key()) >= from; ok = s.it.Prev() {
		if len(p.Messages) == limit {
			p.Complete = false
			break
		}
		m, err := s.message()
		if err != nil {
			return err
		}
		p.Messages = append(p.Messages, m)
	}
	slices.Reverse(p.Messages)
	return s.it.Error()
}

// byID follows each id from its newest message to the older ones.
func (s *sight) byID(p *broker.Page, r broker.Range, from, to uint64) error {
	var offsets []uint64
	ids := slices.Clone(r.IDs)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		b, err := s.channel.engine.db.get(join(s.channel.items, id))
		if err != nil {
			return err
		}
		for len(b) == 8 {
			offset := binary.BigEndian.Uint64(b)
			b = nil
			if offset <= s.lost {
				break
			}
			value, err := s.channel.engine.db.get(offsetKey(s.channel.messages, offset))
			if err != nil {
				return err
			}
			if value == nil {
				break
			}
			m, err := decodeStored(value)
			if err != nil {
				return err
			}
			if offset >= from && offset <= to {
				offsets = append(offsets, offset)
			}
			if m.previous != 0 {
				b = binary.BigEndian.AppendUint64(nil, m.previous)
			}
		}
	}
	slices.Sort(offsets)
	if r.Limit > 0 && len(offsets) > r.Limit {
		p.Complete = false
		if r.Newest {
			offsets = offsets[len(offsets)-r.Limit:]
		} else {
			offsets = offsets[:r.Limit]
		}
	}
	for _, offset := range offsets {
		if !s.it.SeekGE(offsetKey(s.channel.messages, offset)) || offsetOf(s.it.Key()) != offset {
			continue // removed meanwhile, and stored after the view
		}
		m, err := s.message()
		if err != nil {
			return err
		}
		p.Messages = append(p.Messages, m)
	}
	return s.it.Error()
}

// before counts the kept messages in front of one.
func (s *sight) before(offset uint64) (n int, err error) {
	if s.holes() == 0 {
		return int(offset - s.lost - 1), nil
	}
	// From whichever end is nearer: a page of the newest is what most ask for.
	if offset-s.lost > s.last-offset {
		n = int(s.count)
		for ok := s.it.Last(); ok && offsetOf(s.it.Key()) >= offset; ok = s.it.Prev() {
			n--
		}
		return max(n, 0), s.it.Error()
	}
	for ok := s.it.SeekGE(offsetKey(s.channel.messages, s.lost+1)); ok && offsetOf(s.it.Key()) < offset; ok = s.it.Next() {
		n++
	}
	return n, s.it.Error()
}
