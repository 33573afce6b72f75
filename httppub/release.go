package httppub

import (
	"context"
	"log/slog"
	"time"

	"waft/broker"
)

// ticket is an item that waits.
type ticket struct {
	item     broker.Accepted // it alone
	id       string
	prev     uint64
	size     int
	deadline time.Time
	after    func() bool // sends its XMPP message; nil: it has none

	done    chan struct{} // closed when the rest is there
	receipt broker.Receipt
	err     error
}

// giveUp releases the n that have waited longest. mu is held.
func (o *order) giveUp(q *queue, n int, why releasedFor) {
	o.counters.released[why].Add(uint64(n))
	q.due = append(q.due, q.waiting[:n]...)
	q.waiting = append([]*ticket(nil), q.waiting[n:]...)
	o.start(q)
}

// wind sets the queue's clock to the first deadline. mu is held.
func (o *order) wind(q *queue) {
	if len(q.waiting) == 0 {
		return
	}
	wait := time.Until(q.waiting[0].deadline)
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, func() { o.overdue(q) })
	} else {
		q.timer.Reset(wait)
	}
}

// overdue releases those whose time is up.
func (o *order) overdue(q *queue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(q.waiting) && !now.Before(q.waiting[n].deadline) {
		n++
	}
	if n > 0 {
		o.giveUp(q, n, overdue)
	}
	o.wind(q)
}

// start sees to it that somebody publishes what is due. mu is held.
func (o *order) start(q *queue) {
	if len(q.waiting) == 0 && q.timer != nil {
		q.timer.Stop()
	}
	if len(q.due) > 0 && !q.releasing {
		q.releasing = true
		o.running.Go(func() { o.release(q) })
	}
}

// release publishes what is due, one after the other, each of which may make others due.
func (o *order) release(q *queue) {
	for {
		o.mu.Lock()
		if len(q.due) == 0 {
			q.releasing, q.due = false, nil
			o.mu.Unlock()
			return
		}
		t := q.due[0]
		q.due[0], q.due = nil, q.due[1:]
		o.mu.Unlock()

		t.receipt, t.err = t.item.Commit(context.Background(), 0)
		if t.err != nil {
			o.counters.lost.Add(1)
			o.opts.Logger.Error("an item that waited for the one before it could not be published",
				slog.String("channel", string(q.channel)), slog.Any("error", t.err))
		} else if t.after != nil && !t.receipt.Duplicate {
			t.after()
		}

		o.mu.Lock()
		o.held--
		o.bytes -= t.size
		if t.err == nil && t.id != "" {
			o.note(q, o.hash(t.id))
		}
		o.mu.Unlock()
		close(t.done)
	}
}

// shutdown releases everything, and lets nothing wait from then on.
func (o *order) shutdown(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	for _, age := range []map[broker.Channel]*queue{o.young, o.old} {
		for _, q := range age {
			if len(q.waiting) > 0 {
				o.giveUp(q, len(q.waiting), atShutdown)
			}
		}
	}
	o.mu.Unlock()
	done := make(chan struct{})
	go func() { o.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
