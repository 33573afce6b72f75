package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// Reading is a database that is only read: of a waft that has been stopped, or a backup. Nothing in the directory is changed.
type Reading struct{ db *DB }

// Read opens the database in dir. Errors: NotFound if there is none, Conflict if a process has it open, and those of Open.
func Read(dir string) (*Reading, error) { return read(dir, vfs.Default) }

func read(dir string, files vfs.FS) (*Reading, error) {
	o := Options{Dir: dir, fs: files}
	if err := o.complete(); err != nil {
		return nil, err
	}
	if _, err := files.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, broker.Errorf(broker.NotFound, "there is no directory %s", dir)
	}
	if d, err := pebble.Peek(dir, files); err == nil && !d.Exists {
		return nil, broker.Errorf(broker.NotFound, "there is no database in %s", dir)
	}
	d := &DB{opts: o, began: time.Now()}
	var err error
	if d.lock, err = pebble.LockDirectory(dir, files); err != nil {
		return nil, broker.Errorf(broker.Conflict, "the data directory %s is in use by another process, or may not be written to: %w", dir, err)
	}
	r := &Reading{d}
	d.cache = pebble.NewCache(o.Cache)
	options := d.pebbleOptions(&fuse{FS: files, onto: func(error) {}})
	options.ReadOnly = true
	options.Logger = quiet{}
	if d.pebble, err = openPebble(dir, options); err != nil {
		_ = r.Close()
		return nil, openError(dir, err)
	}
	v, err := d.get(metaFormat)
	if err == nil {
		err = d.checkFormat(v)
	}
	if err == nil {
		v, err = d.get(metaSalt)
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	if len(v) == 8 {
		d.salt.Store(binary.BigEndian.Uint64(v))
	}
	return r, nil
}

// quiet is a logger for a database that is only read: what fails is returned.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	(&logger{to: slog.New(slog.DiscardHandler), fuse: &fuse{onto: func(error) {}}}).Fatalf(format, args...)
}

// Close lets go of the directory.
func (r *Reading) Close() error {
	err := r.db.shut()
	r.db.cache.Unref()
	return errors.Join(err, r.db.lock.Close())
}

// Realms lists the realms that have channels, by name.
func (r *Reading) Realms() ([]string, error) {
	it, err := r.db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{headKind}, UpperBound: []byte{headKind + 1}})
	if err != nil {
		return nil, unavailable(err)
	}
	defer it.Close()
	var list []string
	for ok := it.First(); ok; ok = it.SeekGE(after(inRealm(headKind, list[len(list)-1]))) {
		realm, _, found := cutText(it.Key()[1:])
		if !found {
			return nil, unavailable(errRecord)
		}
		list = append(list, realm)
	}
	if err := it.Error(); err != nil {
		return nil, unavailable(err)
	}
	return list, nil
}

// Messages calls yield with every message that a realm keeps, channel by channel by name, oldest first. Errors: yield's, ctx's, and
// Internal for what is damaged.
func (r *Reading) Messages(ctx context.Context, realm string, yield func(*broker.Message) error) error {
	e, now := &Engine{db: r.db, realm: realm}, time.Now()
	var failed error
	err := e.eachHead(nil, func(c broker.Channel, h *head) bool {
		failed = e.eachMessage(ctx, c, *h, now, yield)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (e *Engine) eachMessage(ctx context.Context, c broker.Channel, h head, now time.Time, yield func(*broker.Message) error) error {
	if err := e.expired(c, &h, now); err != nil {
		return unavailable(err)
	}
	messages := channelKey(messageKind, e.realm, c)
	it, err := e.db.pebble.NewIter(&pebble.IterOptions{LowerBound: offsetKey(messages, h.lost+1), UpperBound: offsetKey(messages, h.last+1)})
	if err != nil {
		return unavailable(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		m, err := decodeMessage(it.Value(), c, broker.Position{Epoch: h.birth ^ e.db.salt.Load(), Offset: offsetOf(it.Key())})
		if err != nil {
			return unavailable(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return unavailable(err)
	}
	return nil
}
