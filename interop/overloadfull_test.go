//go:build interop

package interop

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	overloadRounds = flag.Int("overload-rounds", 0, "how often TestOverload_measured measures with and without stalled readers; 0: not at all")
	overloadReads  = flag.Int("overload-subscribers", 9000, "readers that read, in TestOverload_measured")
	overloadStalls = flag.Int("overload-stalled", 1000, "readers that do not")
	overloadRate   = flag.Int("overload-rate", 10, "messages a second in the measurement with stalled readers")
)

// TestOverload_measured asks what others notice of readers that do not read, and what comes of publishing twice as much as can
// be delivered. `make overload` runs it. What it fails for is no matter of time: a loss that was not counted, a healthy
// reader that lost something, memory beyond the queues' bounds. Times are for reading.
func TestOverload_measured(t *testing.T) {
	if *overloadRounds == 0 {
		t.Skip("nothing is measured: run `make overload`")
	}
	pin(t)
	laps := map[bool][]lap{}
	for round := range *overloadRounds {
		for turn := range 2 {
			stalled := (round+turn)%2 == 1
			t.Run(fmt.Sprintf("%d/stalled=%t", round+1, stalled), func(t *testing.T) { laps[stalled] = append(laps[stalled], besideStalled(t, stalled)) })
		}
	}
	printStalled(laps)
	for _, policy := range []string{"drop_oldest", "disconnect"} {
		t.Run("twice/"+policy, func(t *testing.T) { twice(t, policy) })
	}
}

// besideStalled measures healthy readers, beside stalled ones or alone. The stalled ones stay all the time, with queues that
// are full: the policy that does most for them, and the time they are given, are set so.
func besideStalled(t *testing.T, stalled bool) lap {
	w := newWaft(t, `overflow = "drop_oldest"
max_messages = 200
max_bytes = 10000000
timeout = "20m"
ping = "20m"
pong_wait = "20m"
max_interval = "20m"`)
	w.configure(t, outboxPatience)
	w.start(t)
	t.Cleanup(w.proc.kill)
	prefix := "/open/bench"
	if stalled {
		openStalled(t, strings.TrimPrefix(w.url, "http://"), *overloadStalls, "/open/fill", prefix+"/**")
		fillStalled(t, w)
	}
	before := w.read(t, "waft_deliveries_lost_total")
	l := benchLap(t, w.proc, "fan-out", "--server", w.url, "--subscribers", strconv.Itoa(*overloadReads), "--prefix", prefix, "--rate", strconv.Itoa(*overloadRate), "--duration", *benchDuration)
	if d := l.Deliver; d.Lost+d.Repeated+d.Disorder > 0 || d.Gone > 0 {
		t.Errorf("of those who read %d were cut off; %d lost, %d repeated, %d out of order", d.Gone, d.Lost, d.Repeated, d.Disorder)
	}
	dropped := w.read(t, "waft_deliveries_lost_total") - before
	if want := float64(l.Publish.Messages) * float64(*overloadStalls); stalled && dropped < want/2 || !stalled && dropped > 0 {
		t.Errorf("stalled readers: %t, and of %.0f messages for them %.0f were dropped", stalled, want, dropped)
	}
	t.Logf("%.0f dropped, %.0f sockets parked", dropped, w.read(t, "waft_outbox_parked_connections"))
	return l
}

// fillStalled publishes until nobody of those who do not read takes any more: each message takes the place of an older one of each.
func fillStalled(t *testing.T, w *waft) {
	t.Helper()
	item := `{"channel":"/open/fill","json-object":"` + strings.Repeat("x", 16<<10) + `"}`
	for range 1_000 {
		before := w.read(t, "waft_deliveries_lost_total")
		postItems(t, w, item)
		if w.read(t, "waft_deliveries_lost_total")-before >= float64(*overloadStalls) {
			return
		}
	}
	t.Fatal("those who do not read have room for everything")
}

func printStalled(laps map[bool][]lap) {
	if len(laps) == 0 {
		return
	}
	fmt.Printf("\n| %d messages a second | p50 | p99 | max | CPU a delivery | × p99 | lost by those who read | runs |\n|---|---|---|---|---|---|---|---|\n", *overloadRate)
	p99 := func(l lap) float64 { return l.Deliver.Latency.P99 / 1000 }
	for _, stalled := range []bool{false, true} {
		all := laps[stalled]
		if len(all) == 0 {
			continue
		}
		name := fmt.Sprintf("%d readers", *overloadReads)
		if stalled {
			name += fmt.Sprintf(", %d more that do not read", *overloadStalls)
		}
		lost := uint64(0)
		for _, l := range all {
			lost += l.Deliver.Lost
		}
		fmt.Printf("| %s | %s ms | %s ms | %s ms | %s µs | %s | %d | %d |\n", name, spread(all, func(l lap) float64 { return l.Deliver.Latency.P50 / 1000 }),
			spread(all, p99), spread(all, func(l lap) float64 { return l.Deliver.Latency.Max / 1000 }), spread(all, func(l lap) float64 { return l.Server.PerDelivery }),
			times(all, laps[false], p99), lost, len(all))
	}
}

// twice finds what 1,000 readers can be delivered at most, and publishes twice as much.
func twice(t *testing.T, policy string) {
	const readers = 1000
	w := startWaftWith(t, `overflow = "`+policy+`"`)
	t.Cleanup(w.proc.kill)
	load := []string{"fan-out", "--server", w.url, "--subscribers", strconv.Itoa(readers), "--prefix", "/open/bench", "--size", "4096", "--duration", *benchDuration}
	most := benchLap(t, w.proc, append(load, "--window", "128")...)
	rate := 2 * most.Publish.PerSecond
	base := resident(t, w)
	dropped, slow := w.read(t, "waft_deliveries_lost_total"), w.labelled(t, "waft_sessions_ended_total", `kind="slow_consumer"`)
	peak := watchResident(w)
	// What waits at the end arrives, however long that takes: patience is for those messages of which some were dropped.
	l := benchLap(t, w.proc, append(load, "--rate", fmt.Sprintf("%.0f", rate), "--warmup", "0s", "--patience", "20s")...)
	memory := peak() - base
	dropped = w.read(t, "waft_deliveries_lost_total") - dropped
	slow = w.labelled(t, "waft_sessions_ended_total", `kind="slow_consumer"`) - slow
	fmt.Printf("\n| %s | published a second | delivered a second | p50 | p99 | not delivered | counted as dropped | sessions ended | peak of memory |\n|---|---|---|---|---|---|---|---|---|\n", policy)
	fmt.Printf("| 128 on their way | %.0f | %.0f | %.1f ms | %.1f ms | %d | 0 | 0 | |\n", most.Publish.PerSecond, most.Deliver.PerSecond,
		most.Deliver.Latency.P50/1000, most.Deliver.Latency.P99/1000, most.Deliver.Lost)
	fmt.Printf("| twice that | %.0f | %.0f | %.1f ms | %.1f ms | %d | %.0f | %.0f | + %.1f MB |\n", l.Publish.PerSecond, l.Deliver.PerSecond,
		l.Deliver.Latency.P50/1000, l.Deliver.Latency.P99/1000, l.Deliver.Lost, dropped, slow, memory/1e6)
	if l.Deliver.Repeated+l.Deliver.Disorder > 0 || l.Publish.Refused > 0 {
		t.Errorf("%d repeated, %d out of order, %d refused", l.Deliver.Repeated, l.Deliver.Disorder, l.Publish.Refused)
	}
	if policy == "drop_oldest" && (float64(l.Deliver.Lost) != dropped || l.Deliver.Gone > 0) {
		t.Errorf("readers miss %d messages, and %.0f were counted; %d were cut off", l.Deliver.Lost, dropped, l.Deliver.Gone)
	}
	if policy == "disconnect" && float64(l.Deliver.Gone) != slow {
		t.Errorf("%d readers were cut off, and %.0f sessions counted as too slow", l.Deliver.Gone, slow)
	}
}

// resident is what the server has in memory.
func resident(t *testing.T, w *waft) float64 {
	t.Helper()
	v, err := w.sum("process_resident_memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// watchResident looks at the server's memory all the time, from /proc, which a busy server need not answer; peak ends that.
func watchResident(w *waft) (peak func() float64) {
	stop, most := make(chan struct{}), 0.0
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			var size, pages float64
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.proc.cmd.Process.Pid)); err == nil {
				_, _ = fmt.Sscan(string(text), &size, &pages)
			}
			most = max(most, pages*float64(os.Getpagesize()))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	return func() float64 {
		close(stop)
		watching.Wait()
		return most
	}
}
