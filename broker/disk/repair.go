package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// fail takes the database out of service until the repair has opened it again. It may be called from anywhere, with pebble's locks held.
func (d *DB) fail(err error) {
	if d.broken.CompareAndSwap(nil, &err) {
		d.counters.failures.Add(1)
		d.opts.Logger.Error("writing to the disk failed: nothing is stored until it works again", slog.String("directory", d.opts.Dir), slog.Any("error", err))
		select {
		case d.trouble <- struct{}{}:
		default:
		}
	}
}

// failure is what publishers are told while the database is out of service.
func (d *DB) failure() error {
	if err := d.broken.Load(); err != nil {
		return unavailable(*err)
	}
	return nil
}

// noRoom tells when the disk is so full that nothing new should be stored. Below it, pebble has room to tidy up.
func (d *DB) noRoom() error {
	if free, known := d.free(); known && free < uint64(d.opts.MinFree) {
		return &broker.Error{
			Kind: broker.Unavailable, Text: "the storage is full; try again later",
			Err: fmt.Errorf("the disk of %s has %d bytes left, less than the %d that stay free (min_free)", d.opts.Dir, free, d.opts.MinFree),
		}
	}
	return nil
}

// free is how many bytes are left on the disk.
func (d *DB) free() (bytes uint64, known bool) {
	usage, err := d.opts.fs.GetDiskUsage(d.opts.Dir)
	return usage.AvailBytes, err == nil
}

// Health says why nothing can be stored just now; nil when it can. It is for operators: the text may name paths.
func (d *DB) Health() error {
	if err := d.broken.Load(); err != nil {
		return fmt.Errorf("writing to %s failed: %w", d.opts.Dir, *err)
	}
	if full := d.noRoom(); full != nil {
		return errors.Unwrap(full)
	}
	return nil
}

// repairAll is the goroutine that opens the database again after a failure.
func (d *DB) repairAll() {
	for {
		select {
		case <-d.stop:
			return
		case <-d.trouble:
		}
		for again := time.NewTicker(d.opts.Retry); ; {
			select {
			case <-d.stop:
				again.Stop()
				return
			case <-again.C:
			}
			err := d.repair()
			if err == nil {
				again.Stop()
				break
			}
			d.opts.Logger.Debug("the disk still fails", slog.Any("error", err))
		}
	}
}

// repair tries whether the disk can be written to, and if so opens the database as after a crash.
func (d *DB) repair() error {
	if err := d.probe(); err != nil {
		return err
	}
	settled, err := d.reopen()
	if err != nil {
		return err
	}
	if settled != nil {
		// What had been given up for lost was on the disk: it has its place, so its readers get it.
		for ch := range settled.heads {
			ch.engine.catchUp(ch)
		}
	}
	d.counters.repairs.Add(1)
	d.opts.Logger.Info("the disk works again", slog.String("directory", d.opts.Dir))
	return nil
}

// probe writes as much as a few commits have.
func (d *DB) probe() error {
	path := d.opts.fs.PathJoin(d.opts.Dir, "waft-probe")
	f, err := d.opts.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 1<<20))
	return errors.Join(err, f.Sync(), f.Close(), d.opts.fs.Remove(path))
}

// reopen puts a new pebble in place of the one whose fuse has blown, and gives the commit that turned out to be stored.
func (d *DB) reopen() (settled *txn, err error) {
	d.pebbleMu.Lock()
	defer d.pebbleMu.Unlock()
	_ = d.shut() // says again that it has failed
	if err := d.open(); err != nil {
		return nil, err
	}
	state, err := d.get(metaState)
	if err != nil {
		return nil, err
	}
	if len(state) == 16 {
		sequence, revision := binary.BigEndian.Uint64(state), binary.BigEndian.Uint64(state[8:])
		if t := d.doubt; t != nil && t.sequence == sequence {
			settled = t
		}
		d.revision = max(d.revision, revision)
	}
	if d.opts.Fsync != FsyncAlways {
		// What was acknowledged may be gone, and its offsets must not be given out again.
		d.salt.Store(rand.Uint64())
		d.revision += 1 << 32
	}
	if err := d.writeFacts(); err != nil {
		return nil, err
	}
	switch {
	case settled != nil:
		settled.finish()
	case d.doubt != nil:
		d.doubt.revert()
	}
	if d.doubt != nil {
		for ch := range d.doubt.heads {
			ch.engine.release(ch)
		}
		d.doubt = nil
	}
	if d.opts.Fsync != FsyncAlways {
		for _, e := range d.all() {
			if err := e.reload(); err != nil {
				return nil, err
			}
		}
	}
	d.broken.Store(nil)
	return settled, nil
}

func (d *DB) all() []*Engine {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*Engine, 0, len(d.engines))
	for _, e := range d.engines {
		list = append(list, e)
	}
	return list
}
