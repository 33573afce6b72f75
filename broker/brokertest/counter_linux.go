//go:build linux && (amd64 || arm64)

package brokertest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// counter counts events of all threads of the process, by perf_event_open(2): it has a descriptor for each thread that there was, and
// threads made since are counted with the one that made them. A nil counter counts nothing.
type counter struct{ fds []int }

// eventAttr is struct perf_event_attr of linux/perf_event.h in its first size.
type eventAttr struct {
	kind, size         uint32
	config             uint64
	period, sampleType uint64
	readFormat         uint64
	flags              uint64
	wakeup, breakpoint uint32
	address            uint64
}

const (
	hardware, tracepoint = 0, 2   // PERF_TYPE_HARDWARE, PERF_TYPE_TRACEPOINT
	instructionsRun      = 1      // PERF_COUNT_HW_INSTRUCTIONS
	inherit              = 1 << 1 // flags
	noKernel, noHV       = 1 << 5, 1 << 6
	enabledAndRunning    = 1<<0 | 1<<1 // PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING
	closeOnExec          = 1 << 3      // PERF_FLAG_FD_CLOEXEC
	setFilter            = 0x40082406  // PERF_EVENT_IOC_SET_FILTER
)

// countInstructions counts the process's own: that is allowed to everybody where the system counts them at all.
func countInstructions() (*counter, error) {
	return openCounter(eventAttr{kind: hardware, config: instructionsRun, flags: inherit | noKernel | noHV}, "")
}

// countCalls counts system calls, but for the naps of the runtime's monitor, whose number is a matter of time. Without wakes those are left out
// by which threads wait for events and wake one another.
func countCalls(wakes bool) (*counter, error) {
	id, err := os.ReadFile("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")
	if err != nil {
		return nil, fmt.Errorf("find the trace point of system calls: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(id)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("find the trace point of system calls: %w", err)
	}
	filter := fmt.Sprintf("id != %d", syscall.SYS_NANOSLEEP)
	if !wakes {
		filter += fmt.Sprintf(" && id != %d && id != %d", syscall.SYS_FUTEX, syscall.SYS_EPOLL_PWAIT)
	}
	return openCounter(eventAttr{kind: tracepoint, config: n, flags: inherit}, filter+"\x00")
}

func openCounter(a eventAttr, filter string) (*counter, error) {
	a.size, a.readFormat = uint32(unsafe.Sizeof(a)), enabledAndRunning
	for range 10 {
		c := new(counter)
		before, err := threads()
		for _, tid := range before {
			err = cmp.Or(err, c.add(&a, tid, filter))
		}
		after, again := threads()
		if err == nil && again == nil && slices.Equal(before, after) {
			return c, nil
		}
		c.close()
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
	}
	return nil, errors.New("threads come and go")
}

func (c *counter) add(a *eventAttr, tid int, filter string) error {
	const anyCPU, noGroup = ^uintptr(0), ^uintptr(0)
	fd, _, errno := syscall.Syscall6(syscall.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(a)), uintptr(tid), anyCPU, noGroup, closeOnExec, 0)
	if errno != 0 {
		return fmt.Errorf("perf_event_open: %w", errno)
	}
	c.fds = append(c.fds, int(fd))
	if filter != "" {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, setFilter, uintptr(unsafe.Pointer(unsafe.StringData(filter)))); errno != 0 {
			return fmt.Errorf("filter events: %w", errno)
		}
	}
	return nil
}

// read is how many events there were. It is false when the counter was lent to others meanwhile.
func (c *counter) read() (n uint64, whole bool) {
	if c == nil {
		return 0, true
	}
	whole = true
	var b [24]byte
	for _, fd := range c.fds {
		if k, err := syscall.Read(fd, b[:]); k != len(b) || err != nil {
			return 0, false
		}
		n += binary.NativeEndian.Uint64(b[:])
		whole = whole && binary.NativeEndian.Uint64(b[8:]) == binary.NativeEndian.Uint64(b[16:])
	}
	return n, whole
}

// reads is how many system calls read makes: a descriptor more for each thread that there was.
func (c *counter) reads() uint64 {
	if c == nil {
		return 0
	}
	return uint64(len(c.fds))
}

func (c *counter) close() {
	if c != nil {
		for _, fd := range c.fds {
			_ = syscall.Close(fd)
		}
	}
}

func threads() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fmt.Errorf("list the threads: %w", err)
	}
	tids := make([]int, 0, len(entries))
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, fmt.Errorf("list the threads: %w", err)
		}
		tids = append(tids, tid)
	}
	slices.Sort(tids)
	return tids, nil
}
