package disk

import (
	"context"

	"waft/broker"
)

var _ broker.Batcher = (*Engine)(nil)

// PublishAll implements broker.Batcher: what is kept of a batch is one op, and so of one commit. What is not kept comes after it;
// if nothing is, nobody waits.
func (e *Engine) PublishAll(ctx context.Context, batch []broker.Append) ([]broker.Receipt, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	all := make([]*publication, len(batch))
	var keep []*publication
	bytes := int64(0)
	for i, a := range batch {
		ch, err := e.acquire(a.Message.Channel)
		if err != nil {
			return nil, err
		}
		defer e.release(ch)
		all[i] = &publication{Append: a, channel: ch}
		if a.Keep.Size > 0 {
			all[i].encoded = encodeMessage(a.Message)
			keep = append(keep, all[i])
			bytes += int64(a.Message.Size())
		}
	}
	if err := e.room(bytes); err != nil {
		return nil, err
	}
	if len(keep) > 0 {
		if err := e.store(ctx, keep...); err != nil {
			return nil, err
		}
	}
	receipts := make([]broker.Receipt, len(batch))
	for i, p := range all {
		if p.Keep.Size <= 0 {
			if err := e.passOrStore(ctx, p); err != nil {
				return nil, err
			}
		} else {
			p.channel.deliverDue()
		}
		receipts[i] = p.receipt
	}
	return receipts, nil
}

// passOrStore is for what is not kept.
func (e *Engine) passOrStore(ctx context.Context, p *publication) error {
	if r, ok := p.channel.pass(p.Append); ok {
		p.receipt = r
		return nil
	}
	if err := e.store(ctx, p); err != nil {
		return err
	}
	p.channel.deliverDue()
	return nil
}

// room tells whether a realm may store so many bytes more.
func (e *Engine) room(bytes int64) error {
	if most := e.opts.MaxBytes; most > 0 && bytes > 0 && e.bytes.Load()+bytes > most {
		e.db.counters.full.Add(1)
		return broker.Errorf(broker.Unavailable, "the realm stores all it may; try again later")
	}
	return nil
}

// store has publications on the disk when it returns, all or none.
func (e *Engine) store(ctx context.Context, list ...*publication) error {
	grows := false
	for _, p := range list {
		grows = grows || p.Keep.Size > 0
	}
	return e.db.do(ctx, &op{
		grows: grows, many: len(list),
		run: func(t *txn) error {
			written := t.batch.Len()
			for _, p := range list {
				if err := p.run(t); err != nil {
					if t.batch.Len() != written {
						return t.fatal(err)
					}
					return err
				}
			}
			return nil
		},
		after: func() {
			for _, p := range list {
				p.stored()
			}
		},
	})
}

// deliverDue delivers what is stored.
func (ch *channel) deliverDue() {
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.drain()
}
