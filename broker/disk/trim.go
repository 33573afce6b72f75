package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// trim lets the oldest messages that are more than keep has room for fall out of the history. They leave the disk later (sweep.go).
func (t *txn) trim(ch *channel, w *work, keep broker.Retention) error {
	size := uint64(keep.Size)
	if keep.Bytes <= 0 {
		w.weighed = false
		if w.count <= size {
			return nil
		}
		if w.holes() == 0 {
			w.lost, w.count = w.last-size, size
			ch.litter(w)
			return nil
		}
	}
	if err := t.weigh(ch, w, keep); err != nil {
		return err
	}
	over := func() bool { return w.count > size || keep.Bytes > 0 && w.weight > keep.Bytes && w.count > 1 }
	if !over() {
		return nil
	}
	err := t.eachKept(ch, w, func(offset uint64, m stored) bool {
		if !over() {
			return false
		}
		w.lost = offset
		w.count--
		w.weight -= m.size
		return true
	})
	ch.litter(w)
	return err
}

// outlive lets what has grown too old fall out of the history for good, as far as the sweeper has not been there yet: the channel's age
// limit is about to grow, and readers have seen it gone.
func (t *txn) outlive(ch *channel, w *work) error {
	err := t.eachKept(ch, w, func(offset uint64, m stored) bool {
		if t.wall.Sub(time.Unix(0, m.time)) <= w.age {
			return false
		}
		w.lost = offset
		w.count--
		w.weight -= m.size
		return true
	})
	ch.litter(w)
	return err
}

// litter asks for the sweeper when much is lost.
func (ch *channel) litter(w *work) {
	if w.lost-w.swept >= sweepSlack {
		ch.engine.db.sweepSoon(ch)
	}
}

// weigh counts the bytes of what is kept, if they are limited and not known.
func (t *txn) weigh(ch *channel, w *work, keep broker.Retention) error {
	if keep.Bytes <= 0 || w.weighed {
		return nil
	}
	w.weight = 0
	err := t.eachKept(ch, w, func(_ uint64, m stored) bool {
		w.weight += m.size
		return true
	})
	w.weighed = err == nil
	return err
}

// eachKept reads what is behind lost, oldest first.
func (t *txn) eachKept(ch *channel, w *work, yield func(offset uint64, m stored) bool) error {
	it, err := t.batch.NewIter(&pebble.IterOptions{LowerBound: offsetKey(ch.messages, w.lost+1), UpperBound: offsetKey(ch.messages, w.last+1)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		m, err := decodeStored(it.Value())
		if err != nil {
			return err
		}
		if !yield(offsetOf(it.Key()), m) {
			break
		}
	}
	return it.Error()
}
