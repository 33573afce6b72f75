package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"waft/broker"
)

// ailing is a file system whose writes fail while sick says so.
type ailing struct {
	vfs.FS
	sick atomic.Pointer[func(errorfs.Op) error]
}

func newAiling(fs vfs.FS) *ailing {
	a := &ailing{}
	a.FS = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := a.sick.Load(); f != nil {
			return (*f)(op)
		}
		return nil
	}))
	return a
}

func (a *ailing) fail(f func(errorfs.Op) error) { a.sick.Store(&f) }
func (a *ailing) heal()                         { a.sick.Store(nil) }

// until waits for the engine's own goroutines.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting in vain: %s", what)
		}
	}
}

// allWrites fails everything that changes something.
func allWrites(err error) func(errorfs.Op) error {
	return func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return err
		}
		return nil
	}
}

func TestFailure_a_disk_that_fails_is_told_and_works_again_without_a_restart(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(errorfs.Op) error
	}{
		{"everything, no space", allWrites(syscall.ENOSPC)},
		{"everything, read-only", allWrites(syscall.EROFS)},
		{"fsync of the log", func(op errorfs.Op) error {
			if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
				return syscall.EIO
			}
			return allProbes(op)
		}},
		{"writing the log", func(op errorfs.Op) error {
			if strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileWrite {
				return syscall.EIO
			}
			return allProbes(op)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := newAiling(vfs.NewMem())
			d := openDB(t, Options{Dir: "data", fs: fs, Retry: 2 * time.Millisecond})
			e, noted := startNoting(t, d)
			s, ctx := d.Store("default"), context.Background()
			first := publish(t, e, "/a", "1", broker.Append{Keep: keep})
			fs.fail(c.fail)
			if _, err := tryPublish(e, "/a", "2", broker.Append{Keep: keep, Key: "two"}); broker.KindOf(err) != broker.Unavailable {
				t.Fatalf("publishing on a failing disk: %v", err)
			}
			if _, err := s.Put(ctx, broker.Record{Key: "k"}); broker.KindOf(err) != broker.Unavailable {
				t.Errorf("a record on a failing disk: %v", err)
			}
			if err := d.Health(); err == nil || d.Stats().Up {
				t.Error("the database says that it is well")
			}
			publish(t, e, "/live", "x", broker.Append{})
			if p, err := e.History(ctx, "/a", broker.Range{}); err != nil || p.Total != 1 || p.Last != first.Position {
				t.Errorf("the history on a failing disk is %+v, %v", p, err)
			}
			fs.heal()
			until(t, "the repair", func() bool { return d.Health() == nil && d.Stats().Repairs == 1 })

			// Whether the one that failed was stored is open; told and kept must agree, and so must its key.
			again := publish(t, e, "/a", "2", broker.Append{Keep: keep, Key: "two"})
			if again.Position.Offset != 2 || again.Position.Epoch != first.Position.Epoch {
				t.Errorf("after %v came %v", first.Position, again.Position)
			}
			publish(t, e, "/a", "3", broker.Append{Keep: keep})
			if got := fmt.Sprint(noted.take()); got != "[/a1 /livex /a2 /a3]" {
				t.Errorf("delivered were %s", got)
			}
			p, err := e.History(ctx, "/a", broker.Range{After: first.Position})
			if err != nil || len(p.Messages) != 2 || p.Messages[0].ID != "2" || p.Messages[1].ID != "3" {
				t.Errorf("the history is %+v, %v", p, err)
			}
		})
	}
}

// allProbes fails the repair's own attempt, so that a test decides when it succeeds.
func allProbes(op errorfs.Op) error {
	if strings.Contains(op.Path, "waft-probe") {
		return syscall.EIO
	}
	return nil
}

// The log was written and only the answer of the fsync was bad: what was refused is on the disk, and is delivered late.
func TestFailure_what_was_given_up_and_is_stored_after_all_is_delivered(t *testing.T) {
	fs := newAiling(vfs.NewMem()) // which keeps what was written without a sync
	d := openDB(t, Options{Dir: "data", fs: fs, Retry: 2 * time.Millisecond})
	e := newEngine(t, d)
	var delivered atomic.Int64
	if err := e.Start(func(*broker.Message) int { return int(delivered.Add(1)) }); err != nil {
		t.Fatal(err)
	}
	fs.fail(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return syscall.EIO
		}
		return allProbes(op)
	})
	if _, err := tryPublish(e, "/a", "1", broker.Append{Keep: keep, Key: "one"}); broker.KindOf(err) != broker.Unavailable {
		t.Fatalf("publishing: %v", err)
	}
	if n := delivered.Load(); n != 0 {
		t.Fatalf("%d deliveries of what is not known to be stored", n)
	}
	fs.heal()
	until(t, "the late delivery", func() bool { return delivered.Load() == 1 })
	if r := publish(t, e, "/a", "1", broker.Append{Keep: keep, Key: "one"}); !r.Duplicate || r.Position.Offset != 1 {
		t.Errorf("publishing it again was answered %+v", r)
	}
}

// Without fsync what was acknowledged may be gone with the failure, and its offsets are not given out again.
func TestFailure_without_fsync_begins_new_epochs(t *testing.T) {
	fs := newAiling(vfs.NewMem())
	d := openDB(t, Options{Dir: "data", fs: fs, Retry: 2 * time.Millisecond, Fsync: FsyncInterval, Interval: time.Millisecond})
	e := start(t, d)
	at := publish(t, e, "/a", "1", broker.Append{Keep: keep}).Position
	fs.fail(allWrites(syscall.EIO))
	until(t, "the failure", func() bool { _, _ = tryPublish(e, "/a", "2", broker.Append{Keep: keep}); return d.Health() != nil })
	fs.heal()
	until(t, "the repair", func() bool { return d.Health() == nil })
	if next := publish(t, e, "/a", "3", broker.Append{Keep: keep}).Position; next.Epoch == at.Epoch {
		t.Errorf("after %v came %v", at, next)
	}
	if _, err := e.History(context.Background(), "/a", broker.Range{After: at}); broker.KindOf(err) != broker.HistoryLost {
		t.Errorf("resuming from before: %v", err)
	}
}

func TestFailure_flushes_that_fail_are_survived(t *testing.T) {
	for _, suffix := range []string{".sst", "MANIFEST"} {
		t.Run(suffix, func(t *testing.T) {
			fs := newAiling(vfs.NewMem())
			d := openDB(t, Options{Dir: "data", fs: fs, Retry: 2 * time.Millisecond})
			e := start(t, d)
			for i := range 100 {
				publish(t, e, "/a", fmt.Sprint(i), broker.Append{Keep: broker.Retention{Size: 1000}})
			}
			fs.fail(func(op errorfs.Op) error {
				if strings.Contains(op.Path, suffix) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return syscall.ENOSPC
				}
				return allProbes(op)
			})
			if _, err := d.pebble.AsyncFlush(); err != nil {
				t.Fatal(err)
			}
			until(t, "the failure", func() bool { return d.Health() != nil })
			fs.heal()
			until(t, "the repair", func() bool { return d.Health() == nil })
			publish(t, e, "/a", "100", broker.Append{Keep: broker.Retention{Size: 1000}})
			if p, err := e.History(context.Background(), "/a", broker.Range{}); err != nil || len(p.Messages) != 101 {
				t.Errorf("%d messages, %v", len(p.Messages), err)
			}
		})
	}
}

func TestFailure_a_full_disk_refuses_what_needs_room_and_nothing_else(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100, TotalBytes: 1000})
	d, err := Open(Options{Dir: "data", fs: fs, MinFree: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e, s, ctx := start(t, d), d.Store("default"), context.Background()
	publish(t, e, "/a", "1", broker.Append{Keep: keep})
	if _, err := s.Put(ctx, broker.Record{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 49, TotalBytes: 1000})
	if _, err := tryPublish(e, "/a", "2", broker.Append{Keep: keep}); broker.KindOf(err) != broker.Unavailable {
		t.Errorf("publishing: %v", err)
	}
	if err := d.Health(); err == nil || !strings.Contains(err.Error(), "49 bytes left, less than the 50") {
		t.Errorf("the health is %v", err)
	}
	publish(t, e, "/live", "1", broker.Append{})
	if err := errors.Join(e.Remove(ctx, "/a", "1", false), s.Delete(ctx, "k")); err != nil {
		t.Errorf("what frees room: %v", err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 50, TotalBytes: 1000})
	publish(t, e, "/a", "2", broker.Append{Keep: keep})
	if err := d.Health(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestFailure_a_realm_has_its_share_of_bytes(t *testing.T) {
	d := openDB(t, inMemory())
	e, err := d.Engine("default", EngineOptions{MaxBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		_, err := tryPublish(e, "/a", fmt.Sprint(i), broker.Append{Keep: keep})
		if err == nil && i < 10 {
			continue
		}
		if broker.KindOf(err) != broker.Unavailable || i != 3 {
			t.Errorf("publish %d: %v", i, err)
		}
		break
	}
}
