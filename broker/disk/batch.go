package disk

import (
	"context"

	"waft/broker"
)

var _ broker.Batcher = (*Engine)(nil)

// PublishAll implements broker.Batcher: what the disk has to see of a batch is one op, and so of one commit. What it has not comes after it;
// if it has nothing to see, nobody waits. What is refused before the disk sees any of the batch is a *broker.BatchError.
func (e *Engine) PublishAll(ctx context.Context, batch []broker.Append) ([]broker.Receipt, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	all := make([]*publication, len(batch))
	var disk []*publication
	var number []int // of each of disk in the batch
	bytes := int64(0)
	for i, a := range batch {
		ch, err := e.acquire(a.Message.Channel)
		if err != nil {
			return nil, &broker.BatchError{Index: i, Err: err}
		}
		defer e.release(ch)
		all[i] = &publication{Append: a, channel: ch}
		if a.Keep.Size > 0 {
			all[i].encoded = encodeMessage(a.Message)
			bytes += int64(a.Message.Size())
			if err := e.room(bytes); err != nil {
				return nil, &broker.BatchError{Index: i, Err: err}
			}
		}
		if a.Keep.Size > 0 || ch.hasHistory() {
			disk, number = append(disk, all[i]), append(number, i)
		}
	}
	if len(disk) > 0 {
		if fault, err := e.store(ctx, disk...); fault >= 0 {
			return nil, &broker.BatchError{Index: number[fault], Err: err}
		} else if err != nil {
			return nil, err
		}
	}
	receipts := make([]broker.Receipt, len(batch))
	for i, p := range all {
		if len(number) > 0 && number[0] == i {
			number = number[1:]
			p.channel.deliverDue()
		} else if err := e.passOrStore(ctx, p); err != nil {
			return nil, err
		}
		receipts[i] = p.receipt
	}
	return receipts, nil
}

// hasHistory tells whether there is history on the disk, which goes when the channel comes to keep nothing.
func (ch *channel) hasHistory() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.kept
}

// passOrStore is for what is not kept, and stores only if the channel has come to have a history since it was looked at.
func (e *Engine) passOrStore(ctx context.Context, p *publication) error {
	if r, ok := p.channel.pass(p.Append); ok {
		p.receipt = r
		return nil
	}
	if _, err := e.store(ctx, p); err != nil {
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

// store has publications on the disk when it returns, all or none. If it was one of them that could not be stored, fault is its number,
// and none is; else it is -1.
func (e *Engine) store(ctx context.Context, list ...*publication) (fault int, err error) {
	grows := false
	for _, p := range list {
		grows = grows || p.Keep.Size > 0
	}
	fault = -1
	err = e.db.do(ctx, &op{
		grows: grows, many: len(list),
		run: func(t *txn) error {
			written := t.batch.Len()
			fault = -1 // it may run twice
			for i, p := range list {
				if err := p.run(t); err != nil {
					fault = i
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
	return fault, err
}

// deliverDue delivers what is stored.
func (ch *channel) deliverDue() {
	ch.turn.Lock()
	defer ch.turn.Unlock()
	ch.drain()
}
