//go:build interop

package interop

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// scaled is what TestBench_scale measures. A WebSocket that is sent anything is asked once a second whether it has arrived, which
// counts for the more the fewer pushes there are in a second: so waft is also measured without it.
var scaled = append(rivals[:2:2], rival{"waft, not asking for receipts", nil, []string{"websocket"}, func(t *testing.T) *racing {
	return startWaftOf(t, `receipt_delay = "20m"`)
}})

var scaleRounds = flag.Int("scale-rounds", 0, "how often TestBench_scale measures each number of subscribers; 0: not at all")

// TestBench_scale pushes one message after the other to ever more WebSockets, over waft and over the floor, which is the
// system calls alone, in turn: what a delivery costs should not depend on how many others there are. The last number is what
// descriptors allow. `make bench-scale` runs it. It fails if anything is lost, repeated or out of order, at whatever speed.
func TestBench_scale(t *testing.T) {
	if *scaleRounds == 0 {
		t.Skip("nothing is measured: run `make bench-scale`")
	}
	pin(t)
	sizes := []int{100, 1_000, 5_000, 10_000}
	if most := mostSockets(); most > 10_000 {
		sizes = append(sizes, most)
	}
	t.Logf("%d descriptors are allowed to a process", descriptors())
	laps := map[string][]lap{} // by rival and size
	for round := range *scaleRounds {
		for _, n := range sizes {
			for _, v := range scaled {
				args := []string{"fan-out", "--window", "1", "--subscribers", strconv.Itoa(n)}
				if n > 10_000 {
					args = append(args, "--processes", "2", "--local", "127.0.0.2", "--local", "127.0.0.3")
				}
				l := thrice(func() (l *lap) {
					t.Run(fmt.Sprintf("%d/%d/%s", round+1, n, v.name), func(t *testing.T) {
						l = v.run(t, race{transports: []string{"websocket"}, args: args})
						if d := l.Deliver; d.Lost+d.Repeated+d.Disorder > 0 {
							t.Errorf("%d lost, %d repeated, %d out of order", d.Lost, d.Repeated, d.Disorder)
						}
					})
					return l
				})
				if l != nil {
					laps[fmt.Sprint(v.name, n)] = append(laps[fmt.Sprint(v.name, n)], *l)
				}
			}
		}
	}
	printScale(sizes, laps)
	printCores(laps)
}

// mostSockets is how many clients a server can have here: more than the limit of descriptors only root may allow, if at all.
func mostSockets() int {
	const enough = 50_000
	if descriptors() < enough {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: enough, Max: enough}) // descriptors tells whether it worked
	}
	return min(descriptors(), enough) - 500
}

// printScale writes the table, as it stands in docs/benchmarks.md.
func printScale(sizes []int, laps map[string][]lap) {
	perDelivery := func(l lap) float64 { return l.Server.PerDelivery }
	fmt.Print("\n| WebSockets | | CPU a delivery | × floor | × 1,000 | min | p50 | p99 | max | resident, each | pushes, runs | lost, repeated, out of order |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, n := range sizes {
		for _, v := range scaled {
			all := together(laps[fmt.Sprint(v.name, n)])
			if len(all) == 0 {
				continue
			}
			ms := func(of func(lap) float64) []float64 { return sorted(all, func(l lap) float64 { return of(l) / 1000 }) }
			pushes, wrong := uint64(0), [3]uint64{}
			for _, l := range all {
				pushes += l.Publish.Messages
				wrong[0] += l.Deliver.Lost
				wrong[1] += l.Deliver.Repeated
				wrong[2] += l.Deliver.Disorder
			}
			fmt.Printf("| %d | %s | %s µs | %s | %s | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.1f KB | %d, %s | %d, %d, %d |\n", n, v.name, spread(all, perDelivery),
				times(all, together(laps[fmt.Sprint("floor", n)]), perDelivery), times(all, together(laps[fmt.Sprint(v.name, 1_000)]), perDelivery),
				slices.Min(ms(func(l lap) float64 { return l.Deliver.Latency.Min })), median(all, func(l lap) float64 { return l.Deliver.Latency.P50 / 1000 }),
				median(all, func(l lap) float64 { return l.Deliver.Latency.P99 / 1000 }), slices.Max(ms(func(l lap) float64 { return l.Deliver.Latency.Max })),
				median(all, func(l lap) float64 { return l.Server.PerConnection / 1000 }), pushes, count(all), wrong[0], wrong[1], wrong[2])
		}
	}
}
