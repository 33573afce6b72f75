package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// op is one change on its way to the disk.
type op struct {
	grows bool             // it needs room on the disk
	many  int              // how many operations it counts for; 0: one
	run   func(*txn) error // on the committer: reads, decides, and writes to the batch. If it has written when it fails, the error is fatal's. It may run twice
	after func()           // on the committer, when it is stored, in the order of run; must not block. nil: nothing
	done  chan error       // capacity 1
}

// do runs an op and waits until it is stored. ctx counts until the committer has it: then the outcome must be known.
func (d *DB) do(ctx context.Context, o *op) error {
	if err := d.failure(); err != nil {
		return err
	}
	o.done = make(chan error, 1)
	select {
	case d.queue <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stop:
		return errClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-d.gone:
	}
	select {
	case err := <-o.done:
		return err
	default:
		return errClosed
	}
}

var errClosed = &broker.Error{Kind: broker.Closed, Text: "the server has shut down"}

// What one commit may have.
const (
	maxOps   = 1024
	maxBytes = 4 << 20
)

// commitAll is the committer: the one goroutine that writes. What comes while it waits for the disk is its next batch, so that
// one fsync is for all who publish at a time.
func (d *DB) commitAll() {
	defer close(d.gone)
	var tick <-chan time.Time
	if d.opts.Fsync == FsyncInterval {
		t := time.NewTicker(d.opts.Interval)
		defer t.Stop()
		tick = t.C
	}
	unforced := false
	ops := make([]*op, 0, maxOps)
	for {
		select {
		case o := <-d.queue:
			ops = append(ops[:0], o)
			unforced = true
		case <-tick:
			if unforced && d.broken.Load() == nil {
				d.force()
				unforced = false
			}
			continue
		case <-d.stop:
			d.refuseRest()
			return
		}
		for len(ops) < maxOps {
			select {
			case o := <-d.queue:
				ops = append(ops, o)
				continue
			default:
			}
			break
		}
		d.commitEvery(ops)
		clear(ops)
	}
}

// commitEvery stores ops in as few commits as it can. One that spoils its commit, because it failed when it had written something, is told
// so, and those before it, whose commit that was too, are stored without it: nobody's publish fails for another's. They have run
// before and do so again on the same database, so each op runs twice at most.
func (d *DB) commitEvery(ops []*op) {
	for len(ops) > 0 {
		n, spoilt := d.commit(ops)
		if spoilt != nil {
			d.commitEvery(ops[:n-1])
			ops[n-1].done <- told(spoilt)
		}
		ops = ops[n:]
	}
}

// refuseRest answers those who came too late.
func (d *DB) refuseRest() {
	for {
		select {
		case o := <-d.queue:
			o.done <- errClosed
		default:
			return
		}
	}
}

// force has everything that was written on the disk.
func (d *DB) force() {
	d.pebbleMu.RLock()
	defer d.pebbleMu.RUnlock()
	if d.pebble == nil {
		return
	}
	b := d.pebble.NewBatch()
	defer b.Close()
	_ = b.LogData(nil, nil)
	if err := apply(b, pebble.Sync); err != nil {
		d.fail(err)
	}
	d.counters.syncs.Add(1)
}

// txn is one commit in the making.
type txn struct {
	db       *DB
	batch    *pebble.Batch // indexed: what it has written can be read in it
	clock    int64
	wall     time.Time
	heads    map[*channel]*work
	revision uint64
	sequence uint64
	ops      []*op
	results  []error
	spoilt   error // it must not be committed: that of its last op

	forgotten map[*Engine]uint64 // mark.go; nil: nothing
}

// work is a channel's head in the course of a commit.
type work struct {
	head
	before   head
	wasKept  bool // it was on the disk before
	vacate   bool // it is to be taken off
	modified bool
}

// commit stores as many of the ops as one batch takes, answers them, and says how many they were. If the last of them has spoilt the
// batch, it says how: then nothing is stored, and nobody answered.
func (d *DB) commit(ops []*op) (n int, spoilt error) {
	d.pebbleMu.RLock()
	defer d.pebbleMu.RUnlock()
	if err := d.failure(); err != nil {
		return answer(ops, err), nil
	}
	full := d.noRoom()
	if full != nil {
		d.counters.full.Add(1)
	}
	t := &txn{
		db: d, batch: d.pebble.NewIndexedBatch(), clock: d.clock(), wall: time.Now(), heads: make(map[*channel]*work, len(ops)),
		sequence: d.sequence + 1, revision: d.revision,
	}
	defer func() { _ = t.batch.Close() }()
	for n < len(ops) && t.spoilt == nil && (n == 0 || t.batch.Len() < maxBytes) {
		o := ops[n]
		var err error
		if full != nil && o.grows {
			err = full
		} else {
			err = o.run(t)
		}
		t.ops, t.results = append(t.ops, o), append(t.results, err)
		n++
	}
	if t.spoilt != nil {
		t.revert()
		return n, t.spoilt
	}
	err := t.writeHeads()
	if err == nil && !t.batch.Empty() {
		if err = d.write(t); err != nil {
			d.doubt = t
			for ch := range t.heads {
				ch.engine.pin(ch)
			}
			d.fail(err)
			return answer(t.ops, d.failure()), nil
		}
	}
	if err != nil {
		t.revert()
		return answer(t.ops, unavailable(err)), nil
	}
	t.finish()
	return n, nil
}

func (d *DB) write(t *txn) error {
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint64(b, t.sequence)
	if err := t.batch.Set(metaState, binary.BigEndian.AppendUint64(b, t.revision), nil); err != nil {
		return err
	}
	o := pebble.NoSync
	if d.opts.Fsync == FsyncAlways {
		o = pebble.Sync
		d.counters.syncs.Add(1)
	}
	if err := apply(t.batch, o); err != nil {
		return err
	}
	d.counters.commits.Add(1)
	for _, o := range t.ops {
		d.counters.operations.Add(uint64(max(o.many, 1)))
	}
	return nil
}

// finish makes what is stored known, and answers.
func (t *txn) finish() {
	t.db.sequence, t.db.revision = t.sequence, t.revision
	for i, o := range t.ops {
		if t.results[i] == nil && o.after != nil {
			o.after()
		}
	}
	for ch, w := range t.heads {
		ch.stored(w)
	}
	for e, n := range t.forgotten {
		e.forgotten.Store(n)
	}
	for i, o := range t.ops {
		select {
		case o.done <- told(t.results[i]):
		default: // it was given up for lost
		}
	}
}

// revert forgets a commit of which nothing was written.
func (t *txn) revert() {
	for ch, w := range t.heads {
		if !w.wasKept {
			ch.mu.Lock()
			ch.kept = false
			ch.mu.Unlock()
		}
	}
}

func answer(ops []*op, err error) int {
	for _, o := range ops {
		o.done <- err
	}
	return len(ops)
}

// head gives the working copy of a channel's head, which from now on is the committer's.
func (t *txn) head(ch *channel) (*work, error) {
	w := t.heads[ch]
	if w == nil {
		if err := ch.load(); err != nil { // after a repair
			return nil, err
		}
		ch.mu.Lock()
		w = &work{head: ch.head, before: ch.head, wasKept: ch.kept}
		ch.kept = true
		ch.mu.Unlock()
		t.heads[ch] = w
	}
	return w, nil
}

func (t *txn) writeHeads() error {
	for ch, w := range t.heads {
		var err error
		switch {
		case !w.modified:
		case w.vacate:
			err = t.batch.Delete(ch.headKey, nil)
		default:
			err = t.batch.Set(ch.headKey, w.encode(), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) get(key []byte) ([]byte, error) { return own(t.batch.Get(key)) }

// fatal notes that the commit cannot be: its last op has written a part of what it should.
func (t *txn) fatal(err error) error {
	t.spoilt = err
	return err
}

// told is an op's error as the broker tells it: its own, or the disk's.
func told(err error) error {
	if err == nil {
		return nil
	}
	if _, own := errors.AsType[*broker.Error](err); own {
		return err
	}
	return unavailable(err)
}

// unavailable is an error of the disk as the broker tells it.
func unavailable(err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, errRecord) {
		return broker.Errorf(broker.Internal, "the database is damaged: %w", err)
	}
	return &broker.Error{Kind: broker.Unavailable, Text: "the storage cannot be used just now; try again later", Err: fmt.Errorf("the database: %w", err)}
}
