package disk

import (
	"context"
	"time"

	"waft/broker"
)

// Remove implements broker.Engine. Of several items with the id it takes the newest.
func (e *Engine) Remove(ctx context.Context, c broker.Channel, id string, notify bool) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	ch, err := e.acquire(c)
	if err != nil {
		return err
	}
	defer e.release(ch)
	missing := broker.Errorf(broker.NotFound, "channel %s keeps no item %s", c, broker.Quote(id))
	if !ch.hasHistory() {
		return missing
	}
	var out pending
	err = e.db.do(ctx, &op{
		run: func(t *txn) error {
			w, err := t.head(ch)
			if err != nil {
				return err
			}
			offset, err := t.kept(ch, &w.head, id)
			switch {
			case err != nil:
				return err
			case offset == 0:
				return missing
			}
			if err := t.all(w, func() error { _, err := t.take(ch, w, offset); return err }); err != nil {
				return err
			}
			out.head, out.removed = w.head, offset
			if notify {
				out.message = &broker.Message{ID: id, Channel: c, Time: t.wall, Position: ch.position(&w.head, w.last), Retracted: true}
			}
			return nil
		},
		after: func() { ch.advance(out) },
	})
	if err == nil {
		ch.deliverDue()
	}
	return err
}

// kept is newest for a message that has not grown too old either.
func (t *txn) kept(ch *channel, h *head, id string) (uint64, error) {
	offset, err := t.newest(ch, h, id)
	if err != nil || offset == 0 || h.age <= 0 {
		return offset, err
	}
	b, err := t.get(offsetKey(ch.messages, offset))
	if err != nil {
		return 0, err
	}
	m, err := decodeStored(b)
	if err != nil {
		return 0, err
	}
	if t.wall.Sub(time.Unix(0, m.time)) > h.age {
		return 0, nil
	}
	return offset, nil
}
