package disk

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// Fsync says when what was written is forced to the disk.
type Fsync string

const (
	// FsyncAlways forces it before a publish is answered: what was acknowledged survives a power cut. The zero value means it.
	FsyncAlways Fsync = "always"
	// FsyncInterval forces it every Options.Interval: a power cut, or the end of the process by force, can take what
	// was acknowledged since.
	FsyncInterval Fsync = "interval"
	// FsyncNever leaves it to the operating system.
	FsyncNever Fsync = "never"
)

// Options says where a database is and how it works. Dir is required; the zero value of everything else works.
type Options struct {
	Dir      string        // made if it does not exist
	Fsync    Fsync         // "" means FsyncAlways
	Interval time.Duration // of FsyncInterval; 0 means 100 milliseconds
	Cache    int64         // bytes of what was read that stay in memory; 0 means 64 MiB
	MinFree  int64         // bytes that stay free on the disk: with less, nothing new is stored; 0 means 256 MiB
	Window   time.Duration // how long an idempotency key is remembered; 0 means 2 minutes
	Sweep    time.Duration // how often what has expired is looked for; 0 means 1 minute
	Forget   time.Duration // after this long without a message a channel that keeps none is forgotten; 0 means 24 hours
	Retry    time.Duration // how often a disk that failed is tried again; 0 means 1 second
	Logger   *slog.Logger  // nil: nobody is told

	fs       vfs.FS                                 // nil: the operating system's
	identify func(path string) (ok bool, id string) // nil: identify of this system
}

// EngineOptions bounds one realm. Zero values mean the defaults.
type EngineOptions struct {
	MaxCached int   // channels whose state is in memory; 0 means 100,000. Those that keep nothing are forgotten beyond it
	MaxBytes  int64 // of stored messages; beyond it a publish that would be stored is refused. 0: no limit but Options.MinFree
	MaxTail   int64 // bytes of the channels' newest messages that stay in memory for readers; 0 means 32 MiB
	MaxKeys   int   // idempotency keys remembered for each channel that keeps nothing; 0 means 10,000
}

func (o *Options) complete() error {
	if o.Dir == "" {
		return broker.Errorf(broker.Invalid, "a database needs a directory")
	}
	o.Fsync = cmp.Or(o.Fsync, FsyncAlways)
	switch o.Fsync {
	case FsyncAlways, FsyncInterval, FsyncNever:
	default:
		return broker.Errorf(broker.Invalid, "fsync %s is none of always, interval and never", broker.Quote(string(o.Fsync)))
	}
	if min(int64(o.Interval), o.Cache, o.MinFree, int64(o.Window), int64(o.Sweep), int64(o.Forget), int64(o.Retry)) < 0 {
		return broker.Errorf(broker.Invalid, "a database's limits must not be negative")
	}
	o.Interval = cmp.Or(o.Interval, 100*time.Millisecond)
	o.Cache = cmp.Or(o.Cache, 64<<20)
	o.MinFree = cmp.Or(o.MinFree, 256<<20)
	o.Window = cmp.Or(o.Window, 2*time.Minute)
	o.Sweep = cmp.Or(o.Sweep, time.Minute)
	o.Forget = cmp.Or(o.Forget, 24*time.Hour)
	o.Retry = cmp.Or(o.Retry, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.fs == nil {
		o.fs = vfs.Default
		if o.identify == nil {
			o.identify = identify
		}
	}
	if o.identify == nil {
		o.identify = func(string) (bool, string) { return false, "" }
	}
	return nil
}
