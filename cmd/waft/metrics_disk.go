package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/broker/disk"
)

var (
	diskUp         = gauge("waft_disk_up", "1 while what is published can be stored, else 0; the label says when it is forced to the disk.", "fsync")
	diskCommits    = counter("waft_disk_commits_total", "Batches written to the database.")
	diskOperations = counter("waft_disk_operations_total", "Publishes, removals and records in them.")
	diskSyncs      = counter("waft_disk_syncs_total", "Times that data was forced to the disk.")
	diskFailures   = counter("waft_disk_failures_total", "Times that writing failed and the database went out of service.")
	diskRepairs    = counter("waft_disk_repairs_total", "Times that it came back.")
	diskFull       = counter("waft_disk_full_total", "Publishes and commits refused because there was no room.")
	diskHits       = counter("waft_disk_cache_hits_total", "Blocks of the database found in memory.")
	diskReads      = counter("waft_disk_cache_misses_total", "Blocks of the database that had to be read.")
	diskBackups    = counter("waft_disk_backups_total", "Backups made while the server runs.")
	diskTailHits   = counter("waft_disk_tail_hits_total", "Readings of histories answered from the newest messages in memory.")
	diskTailMisses = counter("waft_disk_tail_misses_total", "Readings of histories that asked the database.")
	diskTailBytes  = gauge("waft_disk_tail_bytes", "Bytes of newest messages in memory.")
	diskBytes      = gauge("waft_disk_bytes", "Bytes of the database's files.")
	diskFree       = gauge("waft_disk_free_bytes", "Bytes left on the disk.")
)

func collectDisk(to chan<- prometheus.Metric, s disk.Stats) {
	up := 0
	if s.Up {
		up = 1
	}
	send(to, diskUp, up, string(s.Fsync))
	send(to, diskCommits, s.Commits)
	send(to, diskOperations, s.Operations)
	send(to, diskSyncs, s.Syncs)
	send(to, diskFailures, s.Failures)
	send(to, diskRepairs, s.Repairs)
	send(to, diskFull, s.Full)
	send(to, diskHits, s.CacheHits)
	send(to, diskReads, s.CacheReads)
	send(to, diskBackups, s.Backups)
	send(to, diskTailHits, s.TailHits)
	send(to, diskTailMisses, s.TailMisses)
	send(to, diskTailBytes, s.Tail)
	send(to, diskBytes, s.Size)
	send(to, diskFree, s.Free)
}
