package disk

import (
	"fmt"
	"os"
	"syscall"
)

// identify tells one file from every copy of it: by its inode, and by the time of its last change of any kind, which
// no program can set. A copy has another inode, or, where the number was given out again, another time.
func identify(path string) (ok bool, id string) {
	info, err := os.Stat(path)
	if err != nil {
		return true, ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, ""
	}
	return true, fmt.Sprintf("%d %d.%d", stat.Ino, stat.Ctim.Sec, stat.Ctim.Nsec)
}
