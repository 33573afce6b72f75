package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// format is the version of the key schema. A database with a higher one is refused.
const format = 1

// formatOfPebble is that of pebble's files. Raising it is for good: an older waft will not read them.
const formatOfPebble = pebble.FormatValueSeparation

// DB is one database, of all realms of a process. See the package documentation.
type DB struct {
	// static
	opts  Options
	began time.Time
	lock  *pebble.Lock
	cache *pebble.Cache
	queue chan *op

	pebbleMu sync.RWMutex // read: while something is read through pebble; write: while it is replaced
	pebble   *pebble.DB   // nil: could not be opened again
	fuse     *fuse        // of that pebble

	backing sync.Mutex // held while a backup is made

	salt     atomic.Uint64 // what all epochs are xored with
	littered chan *channel // to be swept soon
	gone     chan struct{} // closed when the committer has ended

	trouble chan struct{} // wakes the repair; capacity 1
	broken  atomic.Pointer[error]
	base    atomic.Int64 // what clock counts from

	mu      sync.Mutex // guards engines and closed
	engines map[string]*Engine
	closed  bool

	// owned by the committer, and by the repair while broken
	sequence uint64 // of the last commit
	revision uint64 // of the last record
	doubt    *txn   // the commit that failed, of which nobody knows whether it is on the disk

	stop    chan struct{}
	working sync.WaitGroup // the sweeper and the repair
	commits sync.WaitGroup // the committer
	counters
}

// Open opens the database in o.Dir, or makes one. Errors say what to do: of kind Invalid if the options are wrong, Conflict if
// another process has the database open, Unavailable if it cannot be read or written, Internal if it is damaged, or newer than this program.
func Open(o Options) (*DB, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &DB{
		opts: o, began: time.Now(), queue: make(chan *op, 1024), engines: map[string]*Engine{},
		littered: make(chan *channel, 1024), gone: make(chan struct{}),
		trouble: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := makeDirectory(o.fs, o.Dir); err != nil {
		return nil, broker.Errorf(broker.Unavailable, "making the data directory %s: %w", o.Dir, err)
	}
	var err error
	if d.lock, err = pebble.LockDirectory(o.Dir, o.fs); err != nil {
		return nil, broker.Errorf(broker.Conflict, "the data directory %s is in use by another process, or may not be written to: %w", o.Dir, err)
	}
	d.cache = pebble.NewCache(o.Cache)
	if err = d.open(); err == nil {
		err = d.prepare()
	}
	if err != nil {
		_ = d.shut()
		d.cache.Unref()
		_ = d.lock.Close()
		return nil, err
	}
	d.commits.Go(d.commitAll)
	d.working.Go(d.repairAll)
	d.working.Go(d.sweepAll)
	return d, nil
}

// open opens pebble behind a new fuse; pebbleMu is held, or nobody else is there yet.
func (d *DB) open() error {
	guard := &fuse{FS: d.opts.fs, onto: d.fail}
	db, err := openPebble(d.opts.Dir, d.pebbleOptions(guard))
	if err != nil {
		return openError(d.opts.Dir, err)
	}
	d.pebble, d.fuse = db, guard
	return nil
}

func (d *DB) pebbleOptions(guard *fuse) *pebble.Options {
	options := &pebble.Options{
		FS: guard, Lock: d.lock, Cache: d.cache, FormatMajorVersion: formatOfPebble,
		MemTableSize: 16 << 20,
		// A commit that waits for a flush that fails would wait for ever: this much memory may be used instead.
		MemTableStopWritesThreshold: 16,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      &logger{d.opts.Logger, guard},
		EventListener: &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
			d.opts.Logger.Error("the database is damaged", slog.Any("error", i.Details))
		}},
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return options
}

// openPebble is pebble.Open, which panics at some kinds of damage.
func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return pebble.Open(dir, o)
}

func openError(dir string, err error) error {
	switch {
	case pebble.IsCorruptionError(err), errors.Is(err, pebble.ErrCorruption), errors.Is(err, io.ErrUnexpectedEOF):
		return broker.Errorf(broker.Internal, "the database in %s is damaged; restore a copy of the directory, or move it away to begin with nothing: %w", dir, err)
	case strings.Contains(err.Error(), "format major version"):
		return broker.Errorf(broker.Internal, "the database in %s was written by a newer version of waft; use that version, or another directory: %w", dir, err)
	default:
		return broker.Errorf(broker.Unavailable, "opening the database in %s; see to its permissions and its disk, and if it is damaged restore a copy of it: %w", dir, err)
	}
}

// shut closes pebble; pebbleMu is held, or nobody else is there.
func (d *DB) shut() (err error) {
	if d.pebble == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("closing the database: %v", p)
		}
	}()
	db := d.pebble
	d.pebble = nil
	return db.Close()
}

// The facts about a database.
var (
	metaFormat   = metaKey("format")
	metaSalt     = metaKey("salt")
	metaIdentity = metaKey("identity") // of the file identityName, in the directory that the salt is for
	metaUnclean  = metaKey("unclean")  // there while writes are not forced
	metaState    = metaKey("state")    // sequence and revision
)

// identityName is the file by which a copy of the directory is told from the original.
const identityName = "waft-identity"

const identityText = "waft recognises by this file that the directory has not been copied or restored.\n" +
	"After a restore that put back the whole disk (a snapshot), remove it before waft starts.\n"

// prepare checks the format, and decides whether the epochs that were given out still stand.
func (d *DB) prepare() error {
	facts := map[string][]byte{}
	for _, key := range [][]byte{metaFormat, metaSalt, metaIdentity, metaUnclean, metaState} {
		v, err := d.get(key)
		if err != nil {
			return openError(d.opts.Dir, err)
		}
		if v != nil {
			facts[string(key)] = v
		}
	}
	if err := d.checkFormat(facts[string(metaFormat)]); err != nil {
		return err
	}
	if v := facts[string(metaState)]; len(v) == 16 {
		d.sequence, d.revision = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	}
	if err := d.setClock(); err != nil {
		return openError(d.opts.Dir, err)
	}
	salt, known := facts[string(metaSalt)]
	same, err := d.recognise(string(facts[string(metaIdentity)]))
	if err != nil {
		return err
	}
	_, unclean := facts[string(metaUnclean)]
	if known && len(salt) == 8 && same && !unclean {
		d.salt.Store(binary.BigEndian.Uint64(salt))
	} else {
		d.salt.Store(rand.Uint64())
		if known {
			d.opts.Logger.Warn("the histories begin new epochs: clients that resume are told that they may have missed something",
				slog.String("directory", d.opts.Dir), slog.Bool("copied", !same), slog.Bool("unclean", unclean))
		}
	}
	return d.writeFacts()
}

// checkFormat refuses what a newer version has written.
func (d *DB) checkFormat(v []byte) error {
	switch {
	case len(v) == 8 && binary.BigEndian.Uint64(v) > format:
		return broker.Errorf(broker.Internal, "the database in %s has format %d, and this version of waft knows up to %d; use a newer version, or another directory",
			d.opts.Dir, binary.BigEndian.Uint64(v), format)
	case v != nil && len(v) != 8:
		return openError(d.opts.Dir, fmt.Errorf("%w: format", pebble.ErrCorruption))
	}
	return nil
}

// writeFacts notes what this process stands for.
func (d *DB) writeFacts() error {
	b := d.pebble.NewBatch()
	defer b.Close()
	_ = b.Set(metaFormat, binary.BigEndian.AppendUint64(nil, format), nil)
	_ = b.Set(metaSalt, binary.BigEndian.AppendUint64(nil, d.salt.Load()), nil)
	if ok, id := d.opts.identify(d.identityPath()); ok {
		_ = b.Set(metaIdentity, []byte(id), nil)
	} else {
		_ = b.Delete(metaIdentity, nil)
	}
	if d.opts.Fsync == FsyncAlways {
		_ = b.Delete(metaUnclean, nil)
	} else {
		_ = b.Set(metaUnclean, nil, nil)
	}
	if err := apply(b, pebble.Sync); err != nil {
		return openError(d.opts.Dir, err)
	}
	return nil
}

func (d *DB) identityPath() string { return d.opts.fs.PathJoin(d.opts.Dir, identityName) }

// recognise tells whether the directory is the one that was noted as id, and makes it recognisable if not.
func (d *DB) recognise(id string) (same bool, err error) {
	able, now := d.opts.identify(d.identityPath())
	if !able || now != "" && now == id {
		return true, nil
	}
	_ = d.opts.fs.Remove(d.identityPath())
	f, err := d.opts.fs.Create(d.identityPath(), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte(identityText))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return false, broker.Errorf(broker.Unavailable, "writing to the data directory %s: %w", d.opts.Dir, err)
	}
	return false, nil
}

// clock is the time in nanoseconds for idempotency keys. Between restarts it never goes back, whatever the system's does.
func (d *DB) clock() int64 { return d.base.Load() + int64(time.Since(d.began)) }

// setClock has the clock go on from the newest key, or from the system's time if that is later.
func (d *DB) setClock() error {
	d.base.Store(d.began.UnixNano())
	it, err := d.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{keyKind}, UpperBound: []byte{keyKind + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Last() && len(it.Key()) > 9 {
		newest := int64(binary.BigEndian.Uint64(it.Key()[1:9]))
		d.base.Store(max(d.base.Load(), newest*bucketSpan))
	}
	return it.Error()
}

// get reads a value, nil if there is none; pebbleMu is held for reading, or nobody else is there. The value is the caller's.
func (d *DB) get(key []byte) ([]byte, error) {
	if d.pebble == nil {
		return nil, errBlown
	}
	return own(d.pebble.Get(key))
}

// own copies what pebble lends; a key that is missing is nil.
func own(v []byte, closer io.Closer, err error) ([]byte, error) {
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append(make([]byte, 0, len(v)), v...), nil
}

// Close ends the realms' engines and the database.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	engines := make([]*Engine, 0, len(d.engines))
	for _, e := range d.engines {
		engines = append(engines, e)
	}
	d.mu.Unlock()
	for _, e := range engines {
		_ = e.Close()
	}
	close(d.stop)
	d.working.Wait()
	d.commits.Wait()
	d.pebbleMu.Lock()
	defer d.pebbleMu.Unlock()
	var err error
	if d.pebble != nil && d.broken.Load() == nil {
		err = d.settle()
	}
	err = errors.Join(err, d.shut())
	d.cache.Unref()
	err = errors.Join(err, d.lock.Close())
	if err != nil && d.broken.Load() == nil {
		return broker.Errorf(broker.Unavailable, "closing the database in %s: %w", d.opts.Dir, err)
	}
	return nil
}

// settle forces everything to the disk, and notes that it is there.
func (d *DB) settle() error {
	b := d.pebble.NewBatch()
	defer b.Close()
	if d.opts.Fsync == FsyncAlways {
		return nil
	}
	_ = b.Delete(metaUnclean, nil)
	return apply(b, pebble.Sync)
}

// logger gives pebble's words to ours. Pebble ends the process when a commit or the manifest cannot be written; here the fuse
// blows instead, behind which nothing can be made worse, and the repair opens the database again.
type logger struct {
	to   *slog.Logger
	fuse *fuse
}

func (l *logger) Infof(string, ...any) {}

// Errorf is for what pebble tries again by itself.
func (l *logger) Errorf(format string, args ...any) {
	l.to.Warn("database", slog.String("text", fmt.Sprintf(format, args...)))
}

// errFatal is the panic that takes the place of the end of the process, in a commit: it must not return as if it were done.
type errFatal struct{ error }

func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.fuse.blow(err)
	if strings.Contains(format, "fatal commit error") {
		panic(errFatal{err})
	}
}

// apply commits a batch, and gives the error for which pebble would end the process.
func apply(b *pebble.Batch, o *pebble.WriteOptions) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case errFatal:
			err = p.error
		default:
			panic(p)
		}
	}()
	return b.Commit(o)
}
