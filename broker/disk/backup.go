package disk

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Backup makes a copy of the database in dir, as of some moment after the call, while everything goes on. dir must not exist; on the
// disk of the database it costs little, because files that no longer change are shared. The copy is a data directory: an engine
// that opens it begins new epochs. It is whole or not there: until then it is called dir and ".partial".
// Errors: Invalid if dir is in the data directory, Conflict if dir exists or another backup is being made, Unavailable if it cannot be written or the database is out of service.
func (d *DB) Backup(dir string) error {
	if !d.backing.TryLock() {
		return broker.Errorf(broker.Conflict, "another backup is being made; wait for it")
	}
	defer d.backing.Unlock()
	d.pebbleMu.RLock()
	defer d.pebbleMu.RUnlock()
	if err := d.failure(); err != nil {
		return err
	}
	if d.pebble == nil {
		return errClosed
	}
	files := d.opts.fs
	for at := dir; ; at = files.PathDir(at) {
		if at == d.opts.Dir {
			return broker.Errorf(broker.Invalid, "%s is in the data directory; a backup needs another place", dir)
		}
		if at == files.PathDir(at) {
			break
		}
	}
	if _, err := files.Stat(dir); err == nil {
		return broker.Errorf(broker.Conflict, "%s exists; a backup needs a new directory", dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return backupError(dir, err)
	}
	partial := dir + ".partial" // of a backup that was interrupted, or of this one
	err := files.RemoveAll(partial)
	if err == nil {
		err = makeDirectory(files, files.PathDir(dir))
	}
	if err == nil {
		err = d.checkpoint(partial)
	}
	if err == nil {
		err = files.Rename(partial, dir)
	}
	if err == nil {
		err = syncDirectory(files, files.PathDir(dir))
	}
	if err != nil {
		_ = files.RemoveAll(partial)
		return backupError(dir, err)
	}
	d.counters.backups.Add(1)
	return nil
}

// checkpoint is pebble's, whose failures are not the database's. It panics when a directory cannot be synced.
func (d *DB) checkpoint(dir string) (err error) {
	d.fuse.spare.Store(&dir)
	defer d.fuse.spare.Store(nil)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return d.pebble.Checkpoint(dir, pebble.WithFlushedWAL())
}

func backupError(dir string, err error) error {
	return broker.Errorf(broker.Unavailable, "making a backup in %s: %w", dir, err)
}
