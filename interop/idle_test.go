//go:build interop

package interop

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
)

var idleSessions = flag.Int("idle", 1000, "sessions of each kind that TestIdle_memory holds")

// What an idle session may cost the server, heap and stacks: WebSocket 12 KB, held
// poll 20 KB, stream 12 KB. What the kernel keeps for a socket is not in it, nor
// is the client, which is another process. `make bench-idle` holds 10,000 of each, or as
// many as the machine allows.
func TestIdle_memory(t *testing.T) {
	for _, kind := range []struct {
		name, transport string
		budget          float64
	}{
		{"WebSocket, connect held", websocketType, 12_000},
		{"long poll held", pollingType, 20_000},
		{"callback poll held", callbackType, 20_000},
		{"EventSource", streamType, 12_000},
	} {
		t.Run(kind.transport, func(t *testing.T) {
			w := startWaftWith(t, `timeout = "20m"
ping = "20m"
max_interval = "20m"`)
			t.Cleanup(w.proc.kill) // nobody needs to be told
			before, err := w.gauges()
			if err != nil {
				t.Fatal(err)
			}
			clients := holdIdle(t, w, kind.transport, *idleSessions)
			var after gauges
			err = await("the sessions to be idle", func() error {
				after, err = w.gauges()
				if err != nil {
					return err
				}
				got := after["waft_bayeux_polls"] + after["waft_bayeux_sockets"] + after["waft_bayeux_streams"]
				if int(got) != len(clients) {
					return fmt.Errorf("%v of %d", got, len(clients))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			n := float64(len(clients))
			each := func(name string) float64 { return (after[name] - before[name]) / n }
			inUse := (after.inUse() - before.inUse()) / n
			t.Logf("%-26s %6.0f sessions: %5.1f KB each in use (heap %.1f, stacks %.1f), %.1f KB resident, %.1f goroutines, %.1f descriptors",
				kind.name, n, inUse/1000, each("go_memstats_heap_inuse_bytes")/1000, each("go_memstats_stack_inuse_bytes")/1000,
				each("process_resident_memory_bytes")/1000, each("go_goroutines"), each("process_open_fds"))
			if inUse > kind.budget {
				t.Errorf("%.0f bytes in use for each session; the budget is %.0f", inUse, kind.budget)
			}
		})
	}
}

// holdIdle opens sessions, each with a channel of its own, and leaves them with a
// connect held. Where descriptors run out, as many as there can be.
func holdIdle(t *testing.T, w *waft, transport string, sessions int) []*rawClient {
	t.Helper()
	if most := descriptors() - 200; sessions > most {
		t.Logf("%d descriptors are allowed: %d sessions instead of %d", descriptors(), most, sessions)
		sessions = most
	}
	addr := strings.TrimPrefix(w.url, "http://")
	clients := make([]*rawClient, sessions)
	var opening sync.WaitGroup
	next := make(chan int)
	for range 8 {
		opening.Go(func() {
			for i := range next {
				c, err := openRaw(addr, transport, fmt.Sprintf("/open/idle/%d", i), nil)
				if err == nil && transport != streamType {
					_, err = c.send("/meta/connect", c.connectFields())
				}
				if err != nil {
					t.Error(err)
					continue
				}
				if transport == streamType {
					c.nc.Close() // it was for the other requests
				}
				clients[i] = c
			}
		})
	}
	for i := range sessions {
		if t.Failed() {
			break
		}
		next <- i
	}
	close(next)
	opening.Wait()
	t.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				c.close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return clients
}
