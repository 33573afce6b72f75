package brokertest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// Guard holds a hot path to what one operation may cost at most, in counts: a clock says on a busy machine how busy it is. What
// other work of the process adds to a count can only raise it, so one turn of several within the bound is enough; a cost that
// was added to the operation itself is in all of them.
//
// It counts the whole process, so its tests are not parallel. The race detector would be counted as well: they are in files
// with the constraint !race, and their names begin with TestGuard (`make guard`).
type Guard struct {
	Allocs float64 // heap objects

	// Instructions are the process's own, not the kernel's. They are counted by the processor where the system lets us, and held
	// on amd64, where the bounds were taken. 0 is no bound.
	Instructions float64

	// Calls to the kernel, without those of the runtime's clock (nanosleep). Counting them takes root on Linux. With NoWakes those are left out too
	// by which threads wait and wake one another (futex, epoll): between goroutines that hand over to each other their number varies.
	Calls   float64
	NoWakes bool

	// Writes are what an adapter itself counts: they are held everywhere. Written gives their number so far; nil means none.
	Writes  float64
	Written func() uint64
}

const guardTurns = 40 // at most

// Times makes a turn of n operations that are one call of f each.
func Times(n int, f func()) func() int {
	return func() int {
		for range n {
			f()
		}
		return n
	}
}

// spent is what a turn has cost for each of its operations, or the least that turns have.
type spent struct{ allocs, instructions, calls, writes float64 }

// Hold runs turn until the least of each count is within its bound. A turn does some operations, waits until they are done, and
// returns how many they were: some hundred at least, so that what the turn itself costs disappears among them.
func (g Guard) Hold(t *testing.T, turn func() (operations int)) {
	t.Helper()
	if testing.CoverMode() != "" {
		t.Skip("instrumented for coverage, which would be counted")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties pools
	turn()                                           // what is made once
	instructions, whyNotInstructions := countInstructions()
	defer instructions.close()
	calls, whyNotCalls := countCalls(!g.NoWakes)
	defer calls.close()
	if whyNotInstructions == nil && runtime.GOARCH != "amd64" {
		whyNotInstructions = fmt.Errorf("the bounds are for amd64, and this is %s", runtime.GOARCH)
	}

	least := spent{math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)}
	within := func() bool {
		return least.allocs <= g.Allocs && least.writes <= g.Writes &&
			(whyNotInstructions != nil || g.Instructions == 0 || least.instructions <= g.Instructions) &&
			(whyNotCalls != nil || least.calls <= g.Calls)
	}
	for n := 0; n < guardTurns && !within(); n++ {
		if n%8 == 7 {
			runtime.GC()
			turn()
		}
		now := g.spend(turn, instructions, calls)
		least.allocs = min(least.allocs, now.allocs)
		least.writes = min(least.writes, now.writes)
		least.instructions = min(least.instructions, now.instructions)
		least.calls = min(least.calls, now.calls)
	}

	if math.IsInf(least.instructions, 1) && whyNotInstructions == nil {
		whyNotInstructions = errors.New("somebody else uses the processor's counters")
	}

	var counts []string
	hold := func(what string, got, bound float64, whyNot error) {
		if whyNot != nil {
			t.Run(what, func(t *testing.T) { t.Skip("not counted:", whyNot) })
			return
		}
		if counts = append(counts, fmt.Sprintf("%.5g %s", got, what)); got > bound {
			t.Errorf("%.5g %s for an operation in the best of %d turns, at most %v is held", got, what, guardTurns, bound)
		}
	}
	hold("allocations", least.allocs, g.Allocs, nil)
	if g.Written != nil {
		hold("writes", least.writes, g.Writes, nil)
	}
	hold("system calls", least.calls, g.Calls, whyNotCalls)
	if g.Instructions > 0 {
		hold("instructions", least.instructions, g.Instructions, whyNotInstructions)
	}
	t.Logf("%s: %s", t.Name(), strings.Join(counts, ", "))
}

// spend counts one turn.
func (g Guard) spend(turn func() int, instructions, calls *counter) spent {
	written := func() uint64 {
		if g.Written == nil {
			return 0
		}
		return g.Written()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := written()
	i, _ := instructions.read()
	c, _ := calls.read()
	n := float64(turn())
	cNow, cWhole := calls.read()
	iNow, iWhole := instructions.read()
	w = written() - w
	runtime.ReadMemStats(&after)
	c = cNow - c - min(cNow-c, calls.reads()) // without those that count them
	s := spent{float64(after.Mallocs-before.Mallocs) / n, float64(iNow-i) / n, float64(c) / n, float64(w) / n}
	if !iWhole {
		s.instructions = math.Inf(1)
	}
	if !cWhole {
		s.calls = math.Inf(1)
	}
	return s
}
