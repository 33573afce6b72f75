package disk

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestEngine_durable(t *testing.T) {
	for _, fsync := range []Fsync{FsyncAlways, FsyncInterval, FsyncNever} {
		t.Run(string(fsync), func(t *testing.T) {
			brokertest.RunDurable(t, func(t *testing.T) func() broker.Engine {
				o := inMemory()
				o.Fsync = fsync
				var d *DB
				return func() broker.Engine {
					if d != nil {
						if err := d.Close(); err != nil {
							t.Fatal(err)
						}
					}
					d = openDB(t, o)
					return newEngine(t, d)
				}
			})
		})
	}
}

func TestStore_records_and_revisions_stand_through_a_restart(t *testing.T) {
	o, ctx := inMemory(), context.Background()
	d := openDB(t, o)
	revision, err := d.Store("a").Put(ctx, broker.Record{Key: "k", Value: []byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	d = openDB(t, o)
	r, err := d.Store("a").Get(ctx, "k")
	if err != nil || string(r.Value) != "one" || r.Revision != revision {
		t.Errorf("the record is %+v, %v", r, err)
	}
	if next, err := d.Store("a").Put(ctx, broker.Record{Key: "other"}); err != nil || next <= revision {
		t.Errorf("after revision %d came %d, %v", revision, next, err)
	}
	if _, err := d.Store("b").Get(ctx, "k"); broker.KindOf(err) != broker.NotFound {
		t.Errorf("another realm sees it: %v", err)
	}
}

func TestEngine_realms_share_nothing(t *testing.T) {
	d := openDB(t, inMemory())
	a := start(t, d)
	b, err := d.Engine("other", EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(func(*broker.Message) int { t.Error("delivered in another realm"); return 0 }); err != nil {
		t.Fatal(err)
	}
	publish(t, a, "/a", "1", broker.Append{Keep: keep, Key: "k"})
	if p, err := b.History(context.Background(), "/a", broker.Range{}); err != nil || p.Total != 0 {
		t.Errorf("the other realm has %+v, %v", p, err)
	}
	if _, err := d.Engine("other", EngineOptions{}); broker.KindOf(err) != broker.Conflict {
		t.Errorf("a second engine of a realm: %v", err)
	}
}

// files lists what is in a directory with sizes, as text.
func files(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			fmt.Fprintln(&list, path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

func TestEngine_what_is_not_kept_does_not_see_the_disk(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, Options{Dir: dir})
	e := start(t, d)
	before, stats := files(t, dir), d.Stats()
	for i := range 100 {
		publish(t, e, "/a", fmt.Sprint(i), broker.Append{Key: fmt.Sprint(i)})
	}
	if r := publish(t, e, "/a", "again", broker.Append{Key: "7"}); !r.Duplicate || r.ID != "7" {
		t.Errorf("a key of something not kept: %+v", r)
	}
	if after := files(t, dir); after != before || d.Stats().Commits != stats.Commits {
		t.Errorf("the files were\n%sand are\n%s", before, after)
	}
}

// copyDir copies a closed database as cp does.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// An old copy that is put back must not give out the offsets anew that its original gave out since.
func TestOpen_a_copy_of_the_directory_begins_new_epochs(t *testing.T) {
	if able, _ := identify("."); !able {
		t.Skip("copies cannot be told here")
	}
	dir, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	d := openDB(t, Options{Dir: dir})
	publish(t, start(t, d), "/a", "1", broker.Append{Keep: keep})
	mark := d.salt.Load()
	d.Close()
	copyDir(t, dir, backup)
	d = openDB(t, Options{Dir: dir})
	if d.salt.Load() != mark {
		t.Error("the original has another mark after a restart")
	}
	since := publish(t, start(t, d), "/a", "2", broker.Append{Keep: keep}).Position
	d.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, backup, dir)

	d = openDB(t, Options{Dir: dir})
	e := start(t, d)
	p, err := e.History(context.Background(), "/a", broker.Range{})
	if err != nil || len(p.Messages) != 1 || p.Messages[0].ID != "1" {
		t.Fatalf("the copy has %+v, %v", p, err)
	}
	publish(t, e, "/a", "another 2", broker.Append{Keep: keep})
	publish(t, e, "/a", "3", broker.Append{Keep: keep})
	if _, err := e.History(context.Background(), "/a", broker.Range{After: since}); broker.KindOf(err) != broker.HistoryLost {
		t.Errorf("resuming from the original's position 2 in the copy: %v", err)
	}
	if e.Stats().Mark == mark {
		t.Error("the copy has the original's mark")
	}
}

func TestOpen_an_unclean_end_without_fsync_begins_new_epochs(t *testing.T) {
	for fsync, stands := range map[Fsync]bool{FsyncAlways: true, FsyncInterval: false, FsyncNever: false} {
		fs := vfs.NewCrashableMem()
		d := openDB(t, Options{Dir: "data", fs: fs, Fsync: fsync, Interval: time.Hour})
		e := start(t, d)
		publish(t, e, "/a", "1", broker.Append{Keep: keep})
		d.force() // so that the channel is there after the crash, and what comes now is not
		at := publish(t, e, "/a", "2", broker.Append{Keep: keep}).Position
		mark := e.Stats().Mark
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		again := openDB(t, Options{Dir: "data", fs: fs, Fsync: fsync})
		e = start(t, again)
		if p, err := e.History(context.Background(), "/a", broker.Range{}); err != nil || p.Total == 0 {
			t.Errorf("fsync %s: the history is %+v, %v", fsync, p, err)
		}
		publish(t, e, "/a", "another 2", broker.Append{Keep: keep})
		publish(t, e, "/a", "3", broker.Append{Keep: keep})
		_, err := e.History(context.Background(), "/a", broker.Range{After: at})
		if (err == nil) != stands {
			t.Errorf("fsync %s: resuming from a position of before the crash: %v", fsync, err)
		}
		if (e.Stats().Mark == mark) != stands {
			t.Errorf("fsync %s: the mark was %d, and after the crash %d", fsync, mark, e.Stats().Mark)
		}
	}
}

func TestOpen_a_second_process_is_told_so(t *testing.T) {
	dir := t.TempDir()
	openDB(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); broker.KindOf(err) != broker.Conflict || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("the second got %v", err)
	}
}

func TestOpen_refuses_a_newer_format_and_a_damaged_database(t *testing.T) {
	t.Run("newer", func(t *testing.T) {
		o := inMemory()
		d := openDB(t, o)
		if err := d.pebble.Set(metaFormat, []byte{0, 0, 0, 0, 0, 0, 0, format + 1}, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "format 2, and this version of waft knows up to 1") {
			t.Errorf("got %v", err)
		}
	})
	for _, kind := range []string{"MANIFEST-", ".sst"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			d := openDB(t, Options{Dir: dir})
			publish(t, start(t, d), "/a", "1", broker.Append{Keep: keep})
			if err := d.pebble.Flush(); err != nil {
				t.Fatal(err)
			}
			d.Close()
			entries, _ := os.ReadDir(dir)
			for _, f := range entries {
				if strings.Contains(f.Name(), kind) {
					path := filepath.Join(dir, f.Name())
					b, _ := os.ReadFile(path)
					for i := range b {
						b[i] ^= 0x5a
					}
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			d, err := Open(Options{Dir: dir})
			if err == nil {
				d.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, dir) || !strings.Contains(text, "restore a copy") {
				t.Errorf("the error does not say what to do: %v", err)
			}
		})
	}
}

func TestEngine_what_is_lost_leaves_the_disk(t *testing.T) {
	d := openDB(t, Options{Dir: "data", fs: vfs.NewMem(), Sweep: 5 * time.Millisecond})
	e := start(t, d)
	for i := range 1000 {
		publish(t, e, "/a", fmt.Sprint(i), broker.Append{Keep: broker.Retention{Size: 10}})
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // the sweeper's own time
		messages, items := count(t, d, channelKey(messageKind, "default", "/a")), count(t, d, channelKey(itemKind, "default", "/a"))
		if messages == 10 && items == 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages and %d items are on the disk, want 10", messages, items)
		}
	}
	p, err := e.History(context.Background(), "/a", broker.Range{})
	if err != nil || len(p.Messages) != 10 || p.Messages[0].ID != "990" {
		t.Errorf("the history is %+v, %v", p, err)
	}
	bytes := 0
	for _, m := range p.Messages {
		bytes += m.Size()
	}
	if s := e.Stats(); s.Messages != 10 || s.Bytes != int64(bytes) {
		t.Errorf("counted are %+v, kept are %d bytes", s, bytes)
	}
}

// count is how many keys with prefix are on the disk. Commits are counted in the statistics before they unlock it.
func count(t *testing.T, d *DB, prefix []byte) (n int) {
	t.Helper()
	d.pebbleMu.Lock()
	defer d.pebbleMu.Unlock()
	it, err := d.pebble.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	return n
}

func TestEngine_a_channel_with_nothing_left_is_forgotten(t *testing.T) {
	d := openDB(t, Options{Dir: "data", fs: vfs.NewMem(), Sweep: 5 * time.Millisecond, Forget: 20 * time.Millisecond})
	e := start(t, d)
	at := publish(t, e, "/a", "1", broker.Append{Keep: broker.Retention{Size: 10, Age: 10 * time.Millisecond}}).Position
	for deadline := time.Now().Add(10 * time.Second); e.Stats() != (broker.EngineStats{Mark: e.Stats().Mark}); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counted are %+v", e.Stats())
		}
	}
	if again := publish(t, e, "/a", "2", broker.Append{Keep: keep}).Position; again.Epoch == at.Epoch {
		t.Error("the epoch was used again")
	}
}

func TestEngine_the_cache_is_bounded_and_forgets_only_what_is_not_kept(t *testing.T) {
	d := openDB(t, inMemory())
	e, err := d.Engine("default", EngineOptions{MaxCached: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	var at []broker.Position
	for i := range 50 {
		at = append(at, publish(t, e, broker.Channel(fmt.Sprintf("/kept/%d", i)), "1", broker.Append{Keep: keep}).Position)
		publish(t, e, broker.Channel(fmt.Sprintf("/live/%d", i)), "1", broker.Append{})
		if n := len(e.channels); n > 10 {
			t.Fatalf("%d channels in memory", n)
		}
	}
	for i, p := range at {
		c := broker.Channel(fmt.Sprintf("/kept/%d", i))
		if next := publish(t, e, c, "2", broker.Append{Keep: keep}).Position; next.Epoch != p.Epoch || next.Offset != 2 {
			t.Fatalf("%s went on at %v after %v", c, next, p)
		}
	}
	if s := e.Stats(); s.Evicted == 0 || s.Channels > 60 || s.Messages != 100 {
		t.Errorf("counted are %+v", s)
	}
}

// A machine whose clock was an hour ahead, and was set right for the restart.
func TestOpen_time_that_goes_back_takes_no_key_early_and_keeps_none_for_long(t *testing.T) {
	o := inMemory()
	d := openDB(t, o)
	d.base.Add(int64(time.Hour))
	publish(t, start(t, d), "/a", "1", broker.Append{Keep: keep, Key: "k"})
	d.Close()
	d = openDB(t, o)
	e := start(t, d)
	if r := publish(t, e, "/a", "2", broker.Append{Keep: keep, Key: "k"}); !r.Duplicate {
		t.Error("the key was forgotten early")
	}
	d.base.Add(int64(o.Window + 3*time.Minute))
	if r := publish(t, e, "/a", "3", broker.Append{Keep: keep, Key: "k"}); r.Duplicate {
		t.Error("the key was kept beyond its window")
	}
}
