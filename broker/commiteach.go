package broker

import (
	"context"
	"errors"
)

// And is two batches of one principal as one, that of more behind that of a. The zero Accepted is an empty batch.
func (a Accepted) And(more Accepted) Accepted {
	if a.broker == nil {
		return more
	}
	a.batch = append(a.batch, more.batch...)
	return a
}

// From is the batch without its first n publications.
func (a Accepted) From(n int) Accepted {
	a.batch = a.batch[n:]
	return a
}

// CommitEach is Commit for each publication of the batch in order, up to one that fails, with one wait for all of them where the engine
// is a Batcher. The receipts are of those in front of the failure. The error, a *BatchError, is that of so many behind them: of one, or
// of all that were with the disk when it failed, and of which nobody knows whether they are stored. What comes behind those was not
// tried.
func (a Accepted) CommitEach(ctx context.Context) (receipts []Receipt, failed int, err error) {
	e, ok := a.broker.engine.(Batcher)
	if !ok || len(a.batch) == 1 {
		if receipts, err = a.CommitAll(ctx); err != nil {
			failed = 1
		}
		return receipts, failed, err
	}
	list, sizes := a.broker.stampAll(a.who, a.batch)
	for len(list) > 0 {
		receipts, fault := e.PublishAll(ctx, list)
		if fault == nil {
			for i, r := range receipts {
				a.broker.count(r, sizes[i], nil)
			}
			return receipts, failed, err
		}
		at, ok := errors.AsType[*BatchError](fault)
		if !ok || at.Index >= len(list) {
			a.broker.refused(len(list), fault)
			return nil, len(list), &BatchError{Index: 0, Err: fault}
		}
		a.broker.refused(1, at.Err)
		list, failed, err = list[:at.Index], 1, at // those in front of it can do without
	}
	return nil, failed, err
}
