//go:build interop

package interop

import "syscall"

// descriptors is how many files a process may have open. Go programs raise their
// limit to the highest allowed when they start; so does waft.
func descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 256
	}
	return int(min(limit.Max, 1<<20))
}
