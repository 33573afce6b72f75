package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"waft/broker"
)

type jsonText = json.RawMessage

// ids lists what a channel of a closed database keeps.
func ids(t *testing.T, dir string, files vfs.FS, c broker.Channel) (list []string) {
	t.Helper()
	r, err := read(dir, files)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.Messages(context.Background(), "default", func(m *broker.Message) error {
		if m.Channel == c {
			list = append(list, m.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestBackup_of_a_busy_database_has_what_was_acknowledged_before(t *testing.T) {
	for _, fsync := range []Fsync{FsyncAlways, FsyncNever} {
		t.Run(string(fsync), func(t *testing.T) {
			files := vfs.NewMem()
			d := openDB(t, Options{Dir: "data", fs: files, Fsync: fsync})
			e := start(t, d)
			deep := broker.Append{Keep: broker.Retention{Size: 1 << 20}}
			for i := range 50 {
				publish(t, e, "/a", fmt.Sprint(i), deep)
			}
			if err := d.pebble.Flush(); err != nil {
				t.Fatal(err)
			}
			at := publish(t, e, "/a", "last", deep).Position
			stop := make(chan struct{})
			var working sync.WaitGroup
			for p := range 4 {
				working.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							publish(t, e, "/b", fmt.Sprint(p, " ", i), deep)
						}
					}
				})
			}
			err := d.Backup("safe/copy")
			close(stop)
			working.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if n := d.Stats().Backups; n != 1 {
				t.Errorf("%d backups are counted", n)
			}
			for _, fault := range faults(t, "safe/copy", files) {
				t.Error(fault)
			}
			if got := ids(t, "safe/copy", files, "/a"); len(got) != 51 || got[50] != "last" {
				t.Errorf("the backup has %q", got)
			}
			copied := openDB(t, Options{Dir: "safe/copy", fs: files, identify: func(string) (bool, string) { return true, "" }})
			c := start(t, copied)
			if _, err := c.History(context.Background(), "/a", broker.Range{After: at}); broker.KindOf(err) != broker.HistoryLost {
				t.Errorf("a position of the original in the copy: %v", err)
			}
			publish(t, c, "/a", "more", deep)
		})
	}
}

func TestBackup_refuses_what_would_do_harm(t *testing.T) {
	files := vfs.NewMem()
	d := openDB(t, Options{Dir: "data", fs: files})
	for dir, kind := range map[string]broker.Kind{"data/copy": broker.Invalid, "data": broker.Invalid, "there": broker.Conflict} {
		if err := files.MkdirAll("there", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.Backup(dir); broker.KindOf(err) != kind {
			t.Errorf("into %s: %v", dir, err)
		}
	}
	d.backing.Lock()
	defer d.backing.Unlock()
	if err := d.Backup("copy"); broker.KindOf(err) != broker.Conflict {
		t.Errorf("a second one at a time: %v", err)
	}
}

// A backup onto a disk that is full is the backup's misfortune, and not the server's.
func TestBackup_that_fails_leaves_nothing_and_the_database_in_service(t *testing.T) {
	files := newAiling(vfs.NewMem())
	d := openDB(t, Options{Dir: "data", fs: files})
	e := start(t, d)
	publish(t, e, "/a", "1", broker.Append{Keep: keep})
	if err := d.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	publish(t, e, "/a", "2", broker.Append{Keep: keep})
	for _, what := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpLink, errorfs.OpMkdirAll, errorfs.OpFileClose} {
		files.fail(func(op errorfs.Op) error {
			if strings.HasPrefix(op.Path, "copy") && (op.Kind == what || what == errorfs.OpLink && op.Kind == errorfs.OpCreate) {
				return syscall.ENOSPC
			}
			return nil
		})
		err := d.Backup("copy")
		files.heal()
		if err == nil {
			t.Logf("%v does not matter", what)
			if err := files.RemoveAll("copy"); err != nil {
				t.Fatal(err)
			}
		} else if broker.KindOf(err) != broker.Unavailable {
			t.Errorf("%v: %v", what, err)
		}
		for _, left := range []string{"copy", "copy.partial"} {
			if _, err := files.Stat(left); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v: %s is left", what, left)
			}
		}
		if err := d.Health(); err != nil {
			t.Fatalf("%v: %v", what, err)
		}
		publish(t, e, "/a", "more", broker.Append{Keep: keep})
	}
	if err := d.Backup("copy"); err != nil {
		t.Error(err)
	}
}

// A crash at any moment leaves a whole backup or none, and takes nothing of the database.
func TestCrash_a_backup_is_whole_or_not_there(t *testing.T) {
	whole := 0
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 3))
		mem := vfs.NewCrashableMem()
		var mu sync.Mutex
		var crashed []*vfs.MemFS
		backing := false
		files := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if backing && len(crashed) < 8 && random.IntN(6) == 0 {
				crashed = append(crashed, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 100}[random.IntN(3)], RNG: random}))
			}
			return nil
		}))
		d := openDB(t, Options{Dir: "data", fs: files})
		e := start(t, d)
		for i := range 20 {
			publish(t, e, "/a", fmt.Sprint(i), broker.Append{Keep: keep})
			if i == 10 {
				if err := d.pebble.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		mu.Lock()
		backing = true
		mu.Unlock()
		if err := d.Backup("safe/copy"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		crashed = append(crashed, mem.CrashClone(vfs.CrashCloneCfg{}))
		backing = false
		mu.Unlock()
		for i, after := range crashed {
			for _, dir := range []string{"data", "safe/copy"} {
				if _, err := after.Stat(dir); dir != "data" && errors.Is(err, fs.ErrNotExist) {
					if i == len(crashed)-1 {
						t.Errorf("seed %d: a backup that was done is gone", seed)
					}
					continue
				}
				if dir != "data" {
					whole++
				}
				for _, fault := range faults(t, dir, after) {
					t.Errorf("seed %d, %s: %s", seed, dir, fault)
				}
				if got := ids(t, dir, after, "/a"); len(got) != 20 {
					t.Errorf("seed %d, %s: there are %q", seed, dir, got)
				}
			}
		}
	}
	if whole < 40 {
		t.Errorf("%d whole backups were looked at", whole)
	}
}
