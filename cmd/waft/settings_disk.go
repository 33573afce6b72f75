package main

import (
	"log/slog"
	"path/filepath"
	"time"

	"waft/broker/disk"
)

// diskSettings says how the database in settings.Data works.
type diskSettings struct {
	Fsync    string   `toml:"fsync"`    // "always" (default), "interval" or "never"
	Interval duration `toml:"interval"` // of fsync = "interval"; default 100ms
	Cache    int64    `toml:"cache"`    // bytes of what was read that stay in memory; default 67108864
	MinFree  int64    `toml:"min_free"` // bytes that stay free on the disk; default 268435456
	Window   duration `toml:"window"`   // how long an idempotency key is remembered; default 2m
	Sweep    duration `toml:"sweep"`    // how often what is too old is looked for; default 1m
	Forget   duration `toml:"forget"`   // when a channel that keeps nothing any more is forgotten; default 24h
	Retry    duration `toml:"retry"`    // how often a disk that failed is tried; default 1s
}

// realmDisk bounds what a realm has in the database.
type realmDisk struct {
	MaxCached int   `toml:"max_cached"` // channels whose state is in memory; default 100000
	MaxBytes  int64 `toml:"max_bytes"`  // of kept messages; 0 (default): no limit but disk.min_free
	MaxTail   int64 `toml:"max_tail"`   // bytes of the channels' newest messages that stay in memory; default 33554432
	MaxKeys   int   `toml:"max_keys"`   // idempotency keys remembered for each channel that keeps nothing; default 10000
}

func (d *diskSettings) complete() {
	fill(&d.Fsync, string(disk.FsyncAlways))
	fill(&d.Interval, duration{100 * time.Millisecond})
	fill(&d.Cache, 64<<20)
	fill(&d.MinFree, 256<<20)
	fill(&d.Window, duration{2 * time.Minute})
	fill(&d.Sweep, duration{time.Minute})
	fill(&d.Forget, duration{24 * time.Hour})
	fill(&d.Retry, duration{time.Second})
}

func (d *realmDisk) complete() {
	fill(&d.MaxCached, 100_000)
	fill(&d.MaxTail, 32<<20)
	fill(&d.MaxKeys, 10_000)
}

func (d *realmDisk) options() disk.EngineOptions {
	return disk.EngineOptions{MaxCached: d.MaxCached, MaxBytes: d.MaxBytes, MaxTail: d.MaxTail, MaxKeys: d.MaxKeys}
}

// open opens the database in dir.
func (d *diskSettings) open(dir string, logger *slog.Logger) (*disk.DB, error) {
	dir, err := filepath.Abs(dir) // a backup must not be made in it, whatever it is called
	if err != nil {
		return nil, err
	}
	return disk.Open(disk.Options{
		Dir: dir, Fsync: disk.Fsync(d.Fsync), Interval: d.Interval.Duration, Cache: d.Cache, MinFree: d.MinFree, Window: d.Window.Duration,
		Sweep: d.Sweep.Duration, Forget: d.Forget.Duration, Retry: d.Retry.Duration, Logger: logger,
	})
}
