//go:build interop

package interop

import (
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	benchRounds   = flag.Int("bench-rounds", 0, "how often TestBench_peers measures each server; 0: not at all")
	benchOnly     = flag.String("bench-only", "", "the servers that TestBench_peers measures, with ; between them; empty: all")
	benchDuration = flag.String("bench-duration", "2s", "how long each time")
)

// race is one thing that is measured. Servers speak what they speak: of transports that serve the same purpose the first
// is taken that a server has.
type race struct {
	name        string
	connections int
	transports  []string
	args        []string
}

// The ways that serve the same purpose.
var (
	sockets = []string{"websocket", "waft.v1", "raw"}
	streams = []string{"sse"}
	polls   = []string{"long-polling", "polls"}
)

var races = []race{
	{"1,000 WebSockets, 1 message on its way", 1000, sockets, []string{"fan-out", "--window", "1"}},
	{"1,000 WebSockets, 16 messages on their way", 1000, sockets, []string{"fan-out", "--window", "16"}},
	{"1,000 WebSockets, 1 message of 1 KB on its way", 1000, sockets, []string{"fan-out", "--window", "1", "--size", "1024"}},
	{"1,000 WebSockets, 16 messages of 1 KB on their way", 1000, sockets, []string{"fan-out", "--window", "16", "--size", "1024"}},
	{"1,000 event streams, 1 message on its way", 1000, streams, []string{"fan-out", "--window", "1"}},
	{"1,000 long polls, 1 message on its way", 1000, polls, []string{"fan-out", "--window", "1"}},
}

// waiting is what is only looked at: connections with a channel each, and no message, to servers that have done nothing yet.
var waiting = []race{{name: "WebSocket", transports: sockets}, {name: "event stream", transports: streams}, {name: "long poll", transports: polls}}

// lap is what one run of `waft bench` said, as far as it is compared.
type lap struct {
	Publish struct {
		Messages  uint64  `json:"messages"`
		PerSecond float64 `json:"per_second"`
		Refused   uint64  `json:"refused"`
	} `json:"publish"`
	Deliver struct {
		PerSecond float64 `json:"per_second"`
		Lost      uint64  `json:"lost"`
		Repeated  uint64  `json:"repeated"`
		Disorder  uint64  `json:"out_of_order"`
		Gone      int     `json:"disconnected"`
		Latency   struct {
			Min float64 `json:"min"`
			P50 float64 `json:"p50"`
			P99 float64 `json:"p99"`
			Max float64 `json:"max"`
		} `json:"latency"`
	} `json:"deliver"`
	Server struct {
		PerDelivery   float64 `json:"cpu_us_per_delivery"`
		PerConnection float64 `json:"memory_per_connection"`
	} `json:"server"`
	Client struct {
		Busiest float64 `json:"busiest"`
	} `json:"client"`

	apart time.Duration // the cores, before it and after: the longer
}

// TestBench_peers measures waft beside others, in turn, so that a busy machine is busy for all; every server on the first
// core, `waft bench` on the second. `make bench-peers` runs it. It fails only if something does not run: figures are for reading.
func TestBench_peers(t *testing.T) {
	if *benchRounds == 0 {
		t.Skip("nothing is measured: run `make bench-peers`")
	}
	pin(t)
	laps := map[string][]lap{} // by race and rival
	for round := range *benchRounds {
		for _, v := range rivals {
			if !v.measured() {
				continue
			}
			if err := missing(v.needs...); err != nil {
				t.Logf("without %s: %v", v.name, err)
				continue
			}
			for _, r := range races {
				if v.transport(r) == "" {
					continue
				}
				l := thrice(func() (l *lap) {
					t.Run(fmt.Sprintf("%d/%s/%s", round+1, v.name, r.name), func(t *testing.T) { l = v.run(t, r) })
					return l
				})
				if l != nil {
					laps[r.name+v.name] = append(laps[r.name+v.name], *l)
				}
			}
		}
	}
	for _, r := range races {
		printRace(r, laps)
	}
	printCores(laps)
	measureWaiting(t)
}

// measureWaiting finds what a connection takes in each server's memory.
func measureWaiting(t *testing.T) {
	connections := min(10_000, mostSockets()) / 1000 * 1000
	table := fmt.Sprintf("\n| %d connections, a channel each: resident memory, each |", connections)
	for _, r := range waiting {
		table += fmt.Sprintf(" %s |", r.name)
	}
	table += "\n|---|---|---|---|\n"
	for _, v := range rivals {
		if v.name == "floor" || v.name == silentFloor { // it knows nothing of its connections
			continue
		}
		if !v.measured() || missing(v.needs...) != nil {
			continue
		}
		table += fmt.Sprintf("| %s |", v.name)
		for _, r := range waiting {
			cell := "–"
			if v.transport(r) != "" {
				r.args, r.connections = []string{"idle", "--subscribers", strconv.Itoa(connections)}, connections
				t.Run("waiting/"+v.name+"/"+r.name, func(t *testing.T) {
					if l := v.run(t, r); l != nil {
						cell = fmt.Sprintf("%.1f KB", l.Server.PerConnection/1000)
					}
				})
			}
			table += fmt.Sprintf(" %s |", cell)
		}
		table += "\n"
	}
	fmt.Print(table)
}

// measured tells whether it is to be measured.
func (v rival) measured() bool {
	return *benchOnly == "" || slices.Contains(strings.Split(*benchOnly, ";"), v.name)
}

// transport is the rival's in a race; "": it has none of the race's.
func (v rival) transport(r race) string {
	for _, transport := range r.transports {
		if slices.Contains(v.speaks, transport) {
			return transport
		}
	}
	return ""
}

// run starts the rival, measures it, and stops it.
func (v rival) run(t *testing.T, r race) *lap {
	running := v.start(t)
	if err := await(v.name, running.ready); err != nil {
		t.Fatalf("%v\n%s", err, running.proc.log)
	}
	transport := v.transport(r)
	if transport == "" {
		return nil
	}
	if !running.several {
		defer running.proc.kill() // a thousand clients that say goodbye are nothing to wait for
	}
	time.Sleep(time.Duration(r.connections) * running.lead)
	l := benchLap(t, running.proc, slices.Concat(r.args, running.kinds[transport],
		[]string{"--transport", transport, "--duration", *benchDuration, "--warmup", "500ms"})...)
	return &l
}

// benchLap runs `waft bench` on the second core. A run that found losses still has a report.
func benchLap(t *testing.T, server *process, args ...string) (l lap) {
	t.Helper()
	settle()
	release := keepAwake(t)
	defer release()
	before := apart()
	cmd := exec.Command("taskset", slices.Concat([]string{"-c", clientCore(), executable(t), "bench"}, args,
		[]string{"--json", "--quiet", "--pid", strconv.Itoa(server.cmd.Process.Pid)})...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if e := json.Unmarshal(out, &l); e != nil {
		t.Fatalf("waft bench: %v\n%s\n%s", err, &said, server.log)
	}
	l.apart = max(before, apart())
	t.Logf("%.2f µs of CPU a delivery, %.0f deliveries/s, p50 %.1f ms, p99 %.1f ms, max %.1f ms, client %.2f cores, which are %d ns apart; %s", l.Server.PerDelivery,
		l.Deliver.PerSecond, l.Deliver.Latency.P50/1000, l.Deliver.Latency.P99/1000, l.Deliver.Latency.Max/1000, l.Client.Busiest, l.apart.Nanoseconds(), &said)
	return l
}

// printRace writes the table of one race, as it stands in docs/benchmarks.md.
func printRace(r race, laps map[string][]lap) {
	perDelivery := func(l lap) float64 { return l.Server.PerDelivery }
	fmt.Printf("\n| %s | CPU a delivery | × waft | × floor | deliveries a second | p50 | p99 | lost, repeated, out of order | runs |\n|---|---|---|---|---|---|---|---|---|\n", r.name)
	for _, v := range rivals {
		all := together(laps[r.name+v.name])
		if len(all) == 0 {
			continue
		}
		var wrong [3]uint64
		for _, l := range all {
			wrong[0] += l.Deliver.Lost
			wrong[1] += l.Deliver.Repeated
			wrong[2] += l.Deliver.Disorder
		}
		fmt.Printf("| %s | %s µs | %s | %s | %.0f | %s ms | %s ms | %d, %d, %d | %s |\n", v.name, spread(all, perDelivery),
			times(all, together(laps[r.name+"waft"]), perDelivery), times(all, together(laps[r.name+v.floor(r)]), perDelivery),
			median(all, func(l lap) float64 { return l.Deliver.PerSecond }),
			spread(all, func(l lap) float64 { return l.Deliver.Latency.P50 / 1000 }), spread(all, func(l lap) float64 { return l.Deliver.Latency.P99 / 1000 }),
			wrong[0], wrong[1], wrong[2], count(all))
	}
}

// times is the ratio of two medians, of what was measured with the cores in the same places.
func times(laps, reference []lap, of func(lap) float64) string {
	if median(reference, of) == 0 || near(laps[0].apart) != near(reference[0].apart) {
		return "–"
	}
	return fmt.Sprintf("%.2f", median(laps, of)/median(reference, of))
}

func sorted(laps []lap, of func(lap) float64) []float64 {
	var all []float64
	for _, l := range laps {
		all = append(all, of(l))
	}
	slices.Sort(all)
	return all
}

// median is 0 if there is nothing.
func median(laps []lap, of func(lap) float64) float64 {
	all := sorted(laps, of)
	if len(all) == 0 {
		return 0
	}
	return (all[len(all)/2] + all[(len(all)-1)/2]) / 2
}

// spread is the median, and from where to where it goes.
func spread(laps []lap, of func(lap) float64) string {
	all := sorted(laps, of)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(laps, of), all[0], all[len(all)-1])
}
