package disk

import (
	"context"
	"encoding/binary"
	"time"

	"waft/broker"
)

// publication is a publish on its way.
type publication struct {
	broker.Append
	channel *channel
	encoded []byte
	receipt broker.Receipt
	head    head   // behind it
	removed uint64 // offset of what it replaces; 0: nothing
}

// Publish implements broker.Engine. What the channel does not keep does not see the disk.
func (e *Engine) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	if err := e.enter(); err != nil {
		return broker.Receipt{}, err
	}
	defer e.leave()
	ch, err := e.acquire(a.Message.Channel)
	if err != nil {
		return broker.Receipt{}, err
	}
	defer e.release(ch)
	if a.Keep.Size <= 0 {
		if r, ok := ch.pass(a); ok {
			return r, nil
		}
	}
	p := &publication{Append: a, channel: ch}
	if a.Keep.Size > 0 {
		p.encoded = encodeMessage(a.Message)
		if err := e.room(int64(a.Message.Size())); err != nil {
			return broker.Receipt{}, err
		}
	}
	if err := e.db.do(ctx, &op{grows: a.Keep.Size > 0, many: 1, run: p.run, after: p.stored}); err != nil {
		return broker.Receipt{}, err
	}
	ch.deliverDue()
	return p.receipt, nil
}

// pass delivers a message that is not kept. ok is false if the channel has history on the disk, which has to go first.
func (ch *channel) pass(a broker.Append) (r broker.Receipt, ok bool) {
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.drain()
	m, now := a.Message, time.Now()
	ch.mu.Lock()
	if ch.kept {
		ch.mu.Unlock()
		return broker.Receipt{}, false
	}
	if first, ok := ch.recall(a.Key, now); ok {
		ch.mu.Unlock()
		return first, true
	}
	if ch.head.last == 0 {
		ch.engine.volatile.Add(1)
	}
	ch.head.last++
	ch.head.lost, ch.head.swept, ch.touched = ch.head.last, ch.head.last, now
	ch.view = ch.head
	m.Position = ch.position(&ch.head, ch.head.last)
	r = broker.Receipt{ID: m.ID, Position: m.Position}
	ch.mu.Unlock()
	r.Receivers = ch.engine.deliver(m)
	if a.Key != "" {
		ch.mu.Lock()
		ch.keys.add(a.Key, r, now, ch.engine.db.opts.Window, ch.engine.opts.MaxKeys)
		ch.mu.Unlock()
	}
	return r, true
}

// recall finds the receipt of a key that was used for something not kept; mu is held.
func (ch *channel) recall(key string, now time.Time) (broker.Receipt, bool) {
	if key == "" {
		return broker.Receipt{}, false
	}
	ch.keys.expire(now)
	r, ok := ch.keys.byKey[key]
	r.Duplicate, r.Receivers = true, 0
	return r, ok
}

// run gives the message its place.
func (p *publication) run(t *txn) error {
	ch := p.channel
	p.removed = 0
	if p.Key != "" {
		first, found, err := t.findKey(ch, p.Key)
		if err != nil || found {
			p.receipt = first
			return err
		}
	}
	w, err := t.head(ch)
	if err != nil {
		return err
	}
	older, err := t.newest(ch, &w.head, p.Message.ID)
	if err != nil {
		return err
	}
	err = t.all(w, func() error {
		if p.Keep.Size <= 0 {
			return t.vacate(ch, w)
		}
		return t.insert(ch, w, p, older)
	})
	if err != nil {
		return err
	}
	p.Message.Position = ch.position(&w.head, w.last)
	p.receipt = broker.Receipt{ID: p.Message.ID, Position: p.Message.Position}
	if p.Key != "" {
		r := receipt{used: t.clock, offset: w.last, birth: w.birth, id: p.Message.ID}
		if err := t.batch.Set(keyKey(t.clock/bucketSpan, ch.engine.realm, ch.name, p.Key), r.encode(), nil); err != nil {
			return t.fatal(err)
		}
	}
	p.head = w.head
	return nil
}

// stored queues the delivery.
func (p *publication) stored() {
	if !p.receipt.Duplicate {
		p.channel.advance(pending{message: p.Message, removed: p.removed, receivers: &p.receipt.Receivers, head: p.head})
	}
}

// all makes a change to a channel, or nothing of it; if it is too late for that, the commit is tried again without it.
func (t *txn) all(w *work, change func() error) error {
	before, written := *w, t.batch.Len()
	w.modified = true
	err := change()
	if err != nil {
		if t.batch.Len() != written {
			return t.fatal(err)
		}
		*w = before
	}
	return err
}

// insert writes the message behind all others, and lets what is too much fall out.
func (t *txn) insert(ch *channel, w *work, p *publication, older uint64) error {
	if p.Replace && older != 0 {
		next, err := t.take(ch, w, older)
		if err != nil {
			return err
		}
		p.removed, older = older, next
	}
	if w.age > 0 && (p.Keep.Age <= 0 || p.Keep.Age > w.age) {
		if err := t.outlive(ch, w); err != nil {
			return err
		}
	}
	w.last++
	w.vacate = false
	w.count++
	w.bytes += int64(p.Message.Size())
	w.age, w.touched = p.Keep.Age, t.wall.UnixNano()
	value := append(binary.AppendUvarint(make([]byte, 0, len(p.encoded)+4), older), p.encoded...)
	if err := t.batch.Set(offsetKey(ch.messages, w.last), value, nil); err != nil {
		return err
	}
	if err := t.batch.Set(join(ch.items, p.Message.ID), binary.BigEndian.AppendUint64(nil, w.last), nil); err != nil {
		return err
	}
	w.weight += int64(p.Message.Size())
	return t.trim(ch, w, p.Keep)
}

// newest is the offset of the newest kept message with the id; 0 if there is none.
func (t *txn) newest(ch *channel, h *head, id string) (uint64, error) {
	b, err := t.get(join(ch.items, id))
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, nil
	}
	if offset := binary.BigEndian.Uint64(b); offset > h.lost {
		return offset, nil
	}
	return 0, nil
}

// take removes the kept message at an offset, and gives that of an older one with the same id, which may be lost.
func (t *txn) take(ch *channel, w *work, offset uint64) (older uint64, err error) {
	key := offsetKey(ch.messages, offset)
	b, err := t.get(key)
	if err != nil {
		return 0, err
	}
	s, err := decodeStored(b)
	if err != nil {
		return 0, err
	}
	if s.previous <= w.lost {
		s.previous = 0
	}
	w.count--
	w.bytes -= s.size
	w.weight -= s.size
	w.modified = true
	item := join(ch.items, s.id)
	if s.previous == 0 {
		err = t.batch.Delete(item, nil)
	} else {
		err = t.batch.Set(item, binary.BigEndian.AppendUint64(nil, s.previous), nil)
	}
	if err != nil {
		return 0, err
	}
	return s.previous, t.batch.Delete(key, nil)
}

// vacate takes everything that a channel keeps off the disk: its rule has become to keep nothing. In memory its offsets go on;
// after a restart it has a new epoch, so that what was not kept is not taken for what was.
func (t *txn) vacate(ch *channel, w *work) error {
	if w.count > 0 {
		if err := t.forget(ch.engine); err != nil {
			return err
		}
	}
	w.last++
	w.lost, w.swept, w.count, w.bytes, w.vacate = w.last, w.last, 0, 0, true
	w.weighed, w.weight = true, 0
	for _, prefix := range [][]byte{ch.messages, ch.items} {
		if err := t.batch.DeleteRange(prefix, after(prefix), nil); err != nil {
			return err
		}
	}
	return nil
}

// findKey finds the receipt of an idempotency key that was used within the window.
func (t *txn) findKey(ch *channel, key string) (broker.Receipt, bool, error) {
	ch.mu.Lock()
	first, found := ch.recall(key, t.wall)
	ch.mu.Unlock()
	if found {
		return first, true, nil
	}
	window := int64(t.db.opts.Window)
	for bucket := t.clock / bucketSpan; bucket >= (t.clock-window)/bucketSpan; bucket-- {
		b, err := t.get(keyKey(bucket, ch.engine.realm, ch.name, key))
		if err != nil {
			return broker.Receipt{}, false, err
		}
		if b == nil {
			continue
		}
		r, err := decodeReceipt(b)
		if err != nil {
			return broker.Receipt{}, false, err
		}
		if t.clock-r.used < window {
			h := head{birth: r.birth}
			return broker.Receipt{ID: r.id, Position: ch.position(&h, r.offset), Duplicate: true}, true, nil
		}
	}
	return broker.Receipt{}, false, nil
}
