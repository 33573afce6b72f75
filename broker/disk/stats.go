package disk

import "sync/atomic"

// counters only grow.
type counters struct {
	commits, operations, syncs, failures, repairs, full, backups, tailHits, tailMisses atomic.Uint64
}

// Stats is a snapshot of a database's counts.
type Stats struct {
	Fsync Fsync

	// Counters.
	Commits    uint64 // batches written
	Operations uint64 // publishes, removals and records in them
	Syncs      uint64 // times that the disk was waited for
	Failures   uint64 // times that writing failed, and the database went out of service
	Repairs    uint64 // times that it came back
	Full       uint64 // times that something was refused because there was no room
	Backups    uint64 // copies made by Backup
	CacheHits  int64  // blocks found in memory
	CacheReads int64  // blocks read from the disk
	TailHits   uint64 // readings of histories answered from the newest messages in memory
	TailMisses uint64 // readings that asked the database

	// Gauges.
	Up   bool
	Size uint64 // bytes of the files
	Free uint64 // bytes left on the disk; 0 if that is not known
	Tail int64  // bytes of newest messages in memory
}

// Stats counts.
func (d *DB) Stats() Stats {
	s := Stats{
		Fsync: d.opts.Fsync, Commits: d.counters.commits.Load(), Operations: d.operations.Load(), Syncs: d.syncs.Load(),
		Failures: d.failures.Load(), Repairs: d.repairs.Load(), Full: d.full.Load(), Up: d.Health() == nil,
	}
	s.Free, _ = d.free()
	s.Backups, s.TailHits, s.TailMisses = d.backups.Load(), d.tailHits.Load(), d.tailMisses.Load()
	for _, e := range d.all() {
		s.Tail += e.tails.size()
	}
	d.pebbleMu.RLock()
	defer d.pebbleMu.RUnlock()
	if d.pebble != nil {
		m := d.pebble.Metrics()
		s.CacheHits, s.CacheReads = m.BlockCache.Hits, m.BlockCache.Misses
		s.Size = m.DiskSpaceUsage()
	}
	return s
}
