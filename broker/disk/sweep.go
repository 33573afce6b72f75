package disk

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// What falls out of a history is gone for its readers at once, and leaves the disk a little later: many messages with one
// range deletion, and not in the way of a publish.
const (
	sweepSlack = 64  // lost messages of a channel that may lie about
	sweepSome  = 256 // that one commit takes off the disk
)

// sweepSoon asks for a channel to be swept. If too many ask, the next round finds it.
func (d *DB) sweepSoon(ch *channel) {
	if ch.littered.Swap(true) {
		return
	}
	select {
	case d.littered <- ch:
	default:
		ch.littered.Store(false)
	}
}

// sweepAll is the sweeper.
func (d *DB) sweepAll() {
	tick := time.NewTicker(d.opts.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case ch := <-d.littered:
			ch.littered.Store(false)
			d.report(ch.engine.sweep(ch.name))
		case <-tick.C:
			d.report(d.sweepKeys())
			for _, e := range d.all() {
				e.forgetIdle(time.Now())
				d.report(e.sweepHeads())
			}
		}
	}
}

func (d *DB) report(err error) {
	if err != nil && broker.KindOf(err) != broker.Closed {
		d.opts.Logger.Debug("tidying up the database", slog.Any("error", err))
	}
}

// sweepKeys drops the idempotency keys of times past.
func (d *DB) sweepKeys() error {
	return d.do(context.Background(), &op{run: func(t *txn) error {
		if err := t.batch.DeleteRange([]byte{keyKind}, bucketKey((t.clock-int64(d.opts.Window))/bucketSpan), nil); err != nil {
			return t.fatal(err)
		}
		return nil
	}})
}

// sweepHeads looks at every channel on the disk for what has to go.
func (e *Engine) sweepHeads() error {
	var litter []broker.Channel
	now := time.Now()
	for from := []byte(nil); ; {
		litter = litter[:0]
		last := broker.Channel("")
		seen := 0
		e.db.pebbleMu.RLock()
		err := e.eachHead(from, func(c broker.Channel, h *head) bool {
			seen, last = seen+1, c
			if h.swept < h.lost || e.expired(c, h, now) == nil && (h.swept < h.lost || h.count == 0 && now.Sub(time.Unix(0, h.touched)) > e.db.opts.Forget) {
				litter = append(litter, c)
			}
			return seen < 1024
		})
		e.db.pebbleMu.RUnlock()
		if err != nil {
			return err
		}
		for _, c := range litter {
			if err := e.sweep(c); err != nil {
				return err
			}
		}
		if seen < 1024 {
			return nil
		}
		from = append(headKey(e.realm, last), 0)
	}
}

// sweep takes what a channel has lost off the disk, and the channel itself when it has had nothing to keep for long.
func (e *Engine) sweep(c broker.Channel) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	ch, err := e.acquire(c)
	if err != nil {
		return err
	}
	defer e.release(ch)
	for more := true; more; {
		var h head
		err := e.db.do(context.Background(), &op{
			run: func(t *txn) error {
				more = false
				if !ch.hasHistory() {
					return errNothing
				}
				w, err := t.head(ch)
				if err == nil {
					err = t.sweep(ch, w)
				}
				if err != nil {
					return err
				}
				if w.count == 0 && w.swept == w.lost && t.wall.Sub(time.Unix(0, w.touched)) > e.db.opts.Forget {
					w.birth, w.last, w.lost, w.swept = rand.Uint64(), 0, 0, 0
					w.vacate, w.modified = true, true
				}
				more = w.swept < w.lost
				h = w.head
				return nil
			},
			after: func() { ch.advance(pending{head: h}) },
		})
		if err != nil && broker.KindOf(err) != broker.NotFound {
			return err
		}
	}
	ch.deliverDue()
	return nil
}

var errNothing = broker.Errorf(broker.NotFound, "there is nothing to sweep")

// sweep takes some of what is lost off the disk.
func (t *txn) sweep(ch *channel, w *work) error {
	it, err := t.batch.NewIter(&pebble.IterOptions{LowerBound: offsetKey(ch.messages, w.swept+1), UpperBound: offsetKey(ch.messages, w.last+1)})
	if err != nil {
		return err
	}
	defer it.Close()
	var items [][]byte
	var offsets []uint64
	swept, bytes := w.lost, w.bytes
	for ok := it.First(); ok; ok = it.Next() {
		offset := offsetOf(it.Key())
		m, err := decodeStored(it.Value())
		if err != nil {
			return err
		}
		if offset > w.lost {
			if w.age <= 0 || t.wall.Sub(time.Unix(0, m.time)) <= w.age {
				break
			}
			w.lost, swept = offset, offset
			w.count--
			w.weight -= m.size
		}
		items, offsets = append(items, join(ch.items, m.id)), append(offsets, offset)
		bytes -= m.size
		if len(items) == sweepSome {
			swept = offset
			break
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	if swept == w.swept {
		return nil
	}
	for i, item := range items {
		b, err := t.get(item)
		if err != nil {
			return t.fatal(err)
		}
		if len(b) == 8 && binary.BigEndian.Uint64(b) == offsets[i] { // else a newer item has the id
			if err := t.batch.Delete(item, nil); err != nil {
				return t.fatal(err)
			}
		}
	}
	if err := t.batch.DeleteRange(offsetKey(ch.messages, w.swept+1), offsetKey(ch.messages, swept+1), nil); err != nil {
		return t.fatal(err)
	}
	w.swept, w.bytes, w.modified = swept, bytes, true
	return nil
}
