package disk

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestFuse_after_a_write_that_failed_nothing_is_changed_any_more(t *testing.T) {
	under := newAiling(vfs.NewMem())
	var told []error
	f := &fuse{FS: under, onto: func(err error) { told = append(told, err) }}
	file, err := f.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := f.Open("nowhere"); err == nil {
		t.Fatal("there is a file that nobody made")
	}
	under.fail(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync {
			return syscall.EIO
		}
		return nil
	})
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	under.heal() // as a disk that recovers, with who knows what on it
	_, written := file.Write([]byte("x"))
	_, created := f.Create("b", vfs.WriteCategoryUnspecified)
	for what, err := range map[string]error{
		"write": written, "create": created, "sync": file.Sync(), "rename": f.Rename("a", "b"), "remove": f.Remove("a"), "link": f.Link("a", "b"),
	} {
		if !errors.Is(err, errBlown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(told) != 1 || !errors.Is(told[0], syscall.EIO) {
		t.Errorf("told was %v", told)
	}
}
