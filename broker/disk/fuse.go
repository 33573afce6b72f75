package disk

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fuse is a file system that blows at the first write that fails: from then on nothing is changed through it any more.
// After a failed write or fsync nobody knows what is on the disk, and Pebble would go on with some of its files all the
// same. What it leaves behind the fuse is what a crash at that moment would have left, which is what recovery is for.
type fuse struct {
	vfs.FS
	blown atomic.Pointer[error]
	onto  func(error)            // told once, of the first failure; must not block
	spare atomic.Pointer[string] // a directory in which a failure is none of the database's; nil: there is none (backup.go)
}

// spares tells whether a path is in the directory that does not count, or the one above it.
func (f *fuse) spares(path string) bool {
	dir := f.spare.Load()
	return dir != nil && (path == *dir || f.FS.PathDir(path) == *dir || path == f.FS.PathDir(*dir))
}

var errBlown = errors.New("an earlier write failed")

func (f *fuse) gate() error {
	if f.blown.Load() != nil {
		return errBlown
	}
	return nil
}

// check blows the fuse if err is a failure of the disk.
func (f *fuse) check(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, errBlown) {
		return err
	}
	f.blow(err)
	return err
}

func (f *fuse) blow(err error) {
	if f.blown.CompareAndSwap(nil, &err) {
		f.onto(err)
	}
}

// at is do for what changes something at a path.
func (f *fuse) at(path string, change func() error) error {
	if f.spares(path) {
		return change()
	}
	return f.do(change)
}

func (f *fuse) do(change func() error) error {
	if err := f.gate(); err != nil {
		return err
	}
	return f.check(change())
}

func (f *fuse) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if f.spares(name) {
		return open()
	}
	if err := f.gate(); err != nil {
		return nil, err
	}
	file, err := open()
	if err != nil {
		return nil, f.check(err)
	}
	return &fusedFile{file, f}, nil
}

// Create implements vfs.FS.
func (f *fuse) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) {
		file, err := f.FS.Create(name, category)
		if err == nil && strings.HasPrefix(f.FS.PathBase(name), "MANIFEST-") {
			// Pebble syncs the directory once it has both the file and the marker that names it. A crash before that may leave, where
			// directories keep no order, the marker alone, and a database that does not open.
			if err = syncDirectory(f.FS, f.FS.PathDir(name)); err != nil {
				_ = file.Close()
			}
		}
		return file, err
	})
}

// OpenReadWrite implements vfs.FS.
func (f *fuse) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fuse) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(newname, func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements vfs.FS. Directories are opened to be synced.
func (f *fuse) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil || f.spares(name) {
		return file, err
	}
	return &fusedFile{file, f}, nil
}

// Link implements vfs.FS.
func (f *fuse) Link(oldname, newname string) error {
	return f.at(newname, func() error { return f.FS.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (f *fuse) Remove(name string) error {
	return f.at(name, func() error { return f.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (f *fuse) RemoveAll(name string) error {
	return f.at(name, func() error { return f.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (f *fuse) Rename(oldname, newname string) error {
	return f.at(newname, func() error { return f.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (f *fuse) MkdirAll(dir string, perm os.FileMode) error {
	return f.at(dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// Unwrap implements vfs.FS.
func (f *fuse) Unwrap() vfs.FS { return f.FS }

type fusedFile struct {
	vfs.File
	fuse *fuse
}

// Write implements vfs.File.
func (f *fusedFile) Write(b []byte) (n int, err error) {
	err = f.fuse.do(func() error { n, err = f.File.Write(b); return err })
	return n, err
}

// WriteAt implements vfs.File.
func (f *fusedFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fuse.do(func() error { n, err = f.File.WriteAt(b, at); return err })
	return n, err
}

// Sync implements vfs.File.
func (f *fusedFile) Sync() error { return f.fuse.do(f.File.Sync) }

// SyncData implements vfs.File.
func (f *fusedFile) SyncData() error { return f.fuse.do(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *fusedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fuse.do(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Preallocate implements vfs.File. That a file system cannot do it is no failure.
func (f *fusedFile) Preallocate(offset, length int64) error {
	if err := f.fuse.gate(); err != nil {
		return err
	}
	return f.File.Preallocate(offset, length)
}
