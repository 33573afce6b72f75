package bayeux

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// BenchmarkReceipts measures what it costs to keep what was sent to sockets until they have shown that they have it. Two servers, one of
// which keeps nothing, take turns at a thousand subscribers each, who are another process and answer pings, as all real clients do.
// Each turn lasts until its pings are answered, so that each server pays its own. One iteration is a turn of each; ask for an odd number
// of them:
//
//	go test -run '^$' -bench Receipts -benchtime 9x ./bayeux
//
// Figures are medians: processor time of this process a delivery with receipts, the ratio of that to the other's of the same
// iteration, and what receipts add to the system calls and allocations.
func BenchmarkReceipts(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("in_flight=%d", inFlight), func(b *testing.B) { benchmarkReceipts(b, 1000, inFlight) })
	}
}

func benchmarkReceipts(b *testing.B, subscribers, inFlight int) {
	turns := 2 * time.Second
	with := newFanoutSide(b, subscribers, inFlight, func(*Options, *broker.Options) {})
	without := newFanoutSide(b, subscribers, inFlight, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = -1 })
	with.turn(turns / 4)
	without.turn(turns / 4)
	var cost, ratio, writes, allocs []float64
	for first := with; b.Loop(); {
		// The one that comes first is not always the same.
		of := map[*fanoutSide]turnCost{}
		second := with
		if first == with {
			second = without
		}
		of[first] = first.turn(turns)
		of[second] = second.turn(turns)
		first = second
		on, off := of[with], of[without]
		cost = append(cost, on.cpu)
		ratio = append(ratio, on.cpu/off.cpu)
		writes = append(writes, on.writes-off.writes)
		allocs = append(allocs, on.allocs-off.allocs)
	}
	b.ReportMetric(median(cost), "cpu-ns/delivery")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(slices.Min(ratio), "ratio-min")
	b.ReportMetric(slices.Max(ratio), "ratio-max")
	b.ReportMetric(median(writes), "more-writes/delivery")
	b.ReportMetric(median(allocs), "more-allocs/delivery")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }

// fanoutSide is a server, and the process of its subscribers.
type fanoutSide struct {
	*server
	subscribers, inFlight int
	progress              *bufio.Reader // a byte for each time that all have all
}

func newFanoutSide(b testing.TB, subscribers, inFlight int, set func(*Options, *broker.Options)) *fanoutSide {
	b.Helper()
	s := quickServer(b, set)
	clients := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestFanoutClients$")
	clients.Env = append(os.Environ(), fanoutClients+"="+fmt.Sprint(s.url, " ", subscribers, " ", inFlight))
	clients.Stderr = os.Stderr
	out, err := clients.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := clients.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = clients.Process.Kill()
		_ = clients.Wait()
	})
	f := &fanoutSide{s, subscribers, inFlight, bufio.NewReader(out)}
	f.wait() // until they are subscribed
	return f
}

func (f *fanoutSide) wait() {
	if c, err := f.progress.ReadByte(); err != nil || c != '.' {
		f.t.Fatalf("the subscribers are gone: %q %v", c, err)
	}
}

// turnCost is for one delivery.
type turnCost struct{ cpu, writes, allocs float64 }

// turn publishes for a while.
func (f *fanoutSide) turn(d time.Duration) turnCost {
	f.t.Helper()
	data := []byte(`"!` + strings.Repeat("x", 126) + `"`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, writes, rounds := cpuTime(), f.h.outbox.Stats().Writes, 0
	for begin := time.Now(); time.Since(begin) < d; rounds++ {
		for range f.inFlight {
			_, err := f.b.Publish(f.t.Context(), broker.Principal{}, &broker.Message{Channel: "/bench", Data: data}, broker.PublishOptions{})
			if err != nil {
				f.t.Fatal(err)
			}
		}
		f.wait()
	}
	if f.h.keeps() {
		eventually(f.t, f.proven)
	}
	cpu, writes = cpuTime()-cpu, f.h.outbox.Stats().Writes-writes
	runtime.ReadMemStats(&after)
	n := float64(rounds * f.subscribers * f.inFlight)
	return turnCost{float64(cpu) / n, float64(writes) / n, float64(after.Mallocs-before.Mallocs) / n}
}

// proven tells whether nothing is unconfirmed.
func (f *fanoutSide) proven() bool {
	time.Sleep(50 * time.Millisecond)
	f.h.mu.RLock()
	defer f.h.mu.RUnlock()
	for _, s := range f.h.sessions {
		s.mu.Lock()
		n := s.sent.len()
		s.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	return true
}

// fanoutClients has the address of a server, how many subscribers it is to have, and how many messages come together.
const fanoutClients = "WAFT_FANOUT_CLIENTS"

// TestFanoutClients is no test: it is the process of a benchmark's subscribers.
func TestFanoutClients(t *testing.T) {
	if os.Getenv(fanoutClients) == "" {
		return
	}
	var url string
	var subscribers, inFlight int64
	if _, err := fmt.Sscan(os.Getenv(fanoutClients), &url, &subscribers, &inFlight); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: url, dial: new(net.Dialer).DialContext}
	var received atomic.Int64
	gone := make(chan error, subscribers)
	for range subscribers {
		nc := s.rawSocket("["+msg("/meta/connect", "CID", `"1"`, `"connectionType":"websocket"`)+"]", "["+subscribe("CID", `"2"`, `"/bench"`)+"]")
		go func() {
			gone <- countEvents(nc, func(n int) {
				now := received.Add(int64(n))
				for done := (now - int64(n)) / (subscribers * inFlight); done < now/(subscribers*inFlight); done++ {
					_, _ = os.Stdout.WriteString(".")
				}
			})
		}()
	}
	_, _ = os.Stdout.WriteString(".")
	t.Fatal(<-gone)
}

// countEvents reads frames, counts the events in them by their exclamation marks, and answers pings.
func countEvents(nc net.Conn, count func(int)) error {
	r := bufio.NewReaderSize(nc, 4<<10)
	for {
		head, err := r.Peek(2)
		if err != nil {
			return err
		}
		op, n := head[0], int(head[1])
		if n == 126 {
			if head, err = r.Peek(4); err != nil {
				return err
			}
			n = int(head[2])<<8 | int(head[3])
		}
		_, _ = r.Discard(len(head))
		if op == 0x80|wsframe.Ping {
			pong := make([]byte, n)
			if _, err = io.ReadFull(r, pong); err != nil {
				return err
			}
			if _, err = nc.Write(append(append([]byte{0x80 | wsframe.Pong, 0x80 | byte(n)}, 0, 0, 0, 0), pong...)); err != nil {
				return err
			}
			continue
		}
		events := 0
		for n > 0 {
			if _, err = r.Peek(1); err != nil {
				return err
			}
			part, _ := r.Peek(min(n, r.Buffered()))
			events += bytes.Count(part, []byte("!"))
			n -= len(part)
			_, _ = r.Discard(len(part))
		}
		if events > 0 {
			count(events)
		}
	}
}
