//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// What is written to a loopback socket is touched by the writer's core and then by the reader's, so how far those are from one
// another decides what a system call costs. On a virtual machine that changes: the host puts its cores where there is room, most of all when
// they were idle, and there are caches that only some places share. So what is measured is measured with the cores near each other, and
// kept awake, which keeps them there as a rule.

// nearest is how near the cores have been.
var nearest time.Duration

// near tells whether cores that are d apart share what they share at best. Between the one and the other lies a factor of four to six.
func near(d time.Duration) bool { return d < 3*nearest || d == 0 }

// apart is how long a word takes from the servers' core to that of the clients and back, at best of some tries; 0 where there is
// only one. It takes some milliseconds.
func apart() time.Duration {
	if clientCore() == serverCore {
		return 0
	}
	const bursts, trips = 50, 200
	var word atomic.Int64
	best := time.Hour
	done := make(chan struct{})
	go on(clientCore(), func() {
		defer close(done)
		for i := range int64(bursts * trips) {
			for word.Load() != 2*i+1 {
			}
			word.Store(2*i + 2)
		}
	})
	on(serverCore, func() {
		for n := range int64(bursts) {
			began := time.Now()
			for i := n * trips; i < (n+1)*trips; i++ {
				word.Store(2*i + 1)
				for word.Load() != 2*i+2 {
				}
			}
			best = min(best, time.Since(began)/trips)
		}
	})
	<-done
	if nearest == 0 || best < nearest {
		nearest = best
	}
	return best
}

// on runs f on a core. Its thread goes back to where pin has put all: were it to end, so would the processes that it happens to have started.
func on(core string, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stay(core)
	defer stay(serverCore)
	f()
}

// stay keeps this thread on a core.
func stay(core string) {
	n, _ := strconv.Atoi(core)
	set := uint64(1) << n
	if _, _, err := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set))); err != 0 {
		panic(fmt.Sprintf("keeping a thread on core %s: %v", core, err))
	}
}

// spare is the time that may still go by because the cores are apart, in all that is measured.
var spare = 90 * time.Second

// settle waits until the cores are near each other, for some seconds at most: those that rest are moved.
func settle() {
	for began := time.Now(); !near(apart()) && time.Since(began) < min(spare, 5*time.Second); {
		time.Sleep(100 * time.Millisecond)
		spare -= 100 * time.Millisecond
	}
}

// keepAwake gives the cores something to do that everything else comes before.
func keepAwake(t *testing.T) (release func()) {
	t.Helper()
	var spinning []*process
	for _, core := range []string{serverCore, clientCore()} {
		p, err := start("the loop on core "+core, exec.Command("chrt", "--idle", "0", "taskset", "-c", core, "sh", "-c", "while :; do :; done"))
		if err != nil {
			t.Fatal(err)
		}
		spinning = append(spinning, p)
	}
	return func() {
		for _, p := range spinning {
			p.kill()
		}
	}
}

const serverCore = "0"

// clientCore is the second core, if there is one.
func clientCore() string {
	if _, err := os.Stat("/sys/devices/system/cpu/cpu1"); err != nil {
		return serverCore
	}
	return "1"
}

// pin keeps this process, and so the servers that it starts, on the first core, and finds out how near the second can be.
func pin(t *testing.T) {
	t.Helper()
	need(t, program("taskset", "apt-get install util-linux", "taskset", "--version"))
	if out, err := exec.Command("taskset", "-a", "-c", "-p", serverCore, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		t.Fatalf("taskset: %v\n%s", err, out)
	}
	runtime.GOMAXPROCS(2) // apart is two loops that wait for each other, and the runtime would notice that there is one core
	for range 40 {
		apart()
		time.Sleep(100 * time.Millisecond)
	}
}

// thrice measures again, up to two times, what was measured while the cores were apart.
func thrice(measure func() *lap) (l *lap) {
	for range 3 {
		began := time.Now()
		if l = measure(); l == nil || near(l.apart) || spare <= 0 {
			return l
		}
		spare -= time.Since(began)
	}
	return l
}

// together is what was measured while the cores were near each other. If that is nothing, it is all.
func together(laps []lap) []lap {
	all := slices.DeleteFunc(slices.Clone(laps), func(l lap) bool { return !near(l.apart) })
	if len(all) == 0 {
		return laps
	}
	return all
}

// count says how many runs that is, and whether the cores were apart in them.
func count(laps []lap) string {
	if near(laps[0].apart) {
		return strconv.Itoa(len(laps))
	}
	return strconv.Itoa(len(laps)) + ", cores apart"
}

// printCores says where the cores were.
func printCores(laps map[string][]lap) {
	var count, far int
	var least, most time.Duration
	for _, some := range laps {
		for _, l := range some {
			if !near(l.apart) {
				far++
				continue
			}
			if count++; count == 1 {
				least = l.apart
			}
			least, most = min(least, l.apart), max(most, l.apart)
		}
	}
	fmt.Printf("\nFrom one core to the other and back: %d to %d ns in %d runs, more in %d others, which count only where there is nothing else.\n",
		least.Nanoseconds(), most.Nanoseconds(), count, far)
}
