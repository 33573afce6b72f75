//go:build interop

package interop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

var idleSessions = flag.Int("idle", 1000, "sessions of each kind that TestIdle_memory holds, and as many behind a PROXY header")

// What an idle session may cost the server, heap and stacks: WebSocket and stream 6 KB,
// held poll 5 KB, and a connection beside it on which something was published 2 KB; and no goroutine. What the kernel keeps for a socket is not in it, nor
// is the client, which is another process. `make bench-idle` holds 10,000 of each, or as
// many as the machine allows.
func TestIdle_memory(t *testing.T) {
	for _, kind := range []struct {
		name, transport string
		budget          float64
	}{
		{"WebSocket, connect held", websocketType, 6_000},
		{"long poll held", pollingType, 5_000},
		{"long poll, and publishes", bothType, 7_000},
		{"callback poll held", callbackType, 5_000},
		{"Bayeux over EventSource", streamType, 6_000},
		{"event stream", "events", 6_000},
		{"WebSocket without Bayeux", "ws", 6_000},
	} {
		t.Run(kind.transport, func(t *testing.T) { idleMemory(t, kind.name, kind.transport, kind.budget, false) })
		t.Run(kind.transport+" behind a PROXY header", func(t *testing.T) {
			idleMemory(t, kind.name+", PROXY", kind.transport, kind.budget, true)
		})
	}
}

func idleMemory(t *testing.T, name, transport string, budget float64, proxied bool) {
	t.Helper()
	w := newWaft(t, `timeout = "20m"
ping = "20m"
max_interval = "20m"
[realm.events]
keep_alive = "20m"
[realm.websocket]
keep_alive = "20m"`)
	if proxied {
		w.begin(t, "trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n")
		wantHeader.Store(strings.TrimPrefix(w.url, "http://"), true)
	}
	w.start(t)
	defer w.proc.kill() // nobody needs to be told
	before, err := w.gauges()
	if err != nil {
		t.Fatal(err)
	}
	clients := holdIdle(t, w, transport, *idleSessions)
	n := float64(len(clients))
	var after gauges
	each := func(name string) float64 { return (after[name] - before[name]) / n }
	err = await("the sessions to be idle", func() error {
		after, err = w.gauges()
		if err != nil {
			return err
		}
		got := after["waft_bayeux_polls"] + after["waft_bayeux_sockets"] + after["waft_bayeux_streams"] + after["waft_events_streams"] + after["waft_websocket_sockets"]
		if got != n {
			return fmt.Errorf("%v of %v", got, n)
		}
		if each("go_goroutines") > 0.1 { // those of net/http end a while after the session has begun
			return fmt.Errorf("%.1f goroutines each", each("go_goroutines"))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	inUse := (after.inUse() - before.inUse()) / n
	t.Logf("%-31s %6.0f sessions: %5.1f KB each in use (heap %.1f, stacks %.1f), %.1f KB resident, %.1f goroutines, %.1f descriptors",
		name, n, inUse/1000, each("go_memstats_heap_inuse_bytes")/1000, each("go_memstats_stack_inuse_bytes")/1000,
		each("process_resident_memory_bytes")/1000, each("go_goroutines"), each("process_open_fds"))
	if inUse > budget {
		t.Errorf("%.0f bytes in use for each session; the budget is %.0f", inUse, budget)
	}
}

// holdIdle opens sessions, each with a channel of its own, and leaves them with a
// connect held. Where descriptors run out, as many as there can be.
func holdIdle(t *testing.T, w *waft, transport string, sessions int) []io.Closer {
	t.Helper()
	most := descriptors() - 200
	if transport == bothType {
		most /= 2
	}
	if sessions > most {
		t.Logf("%d descriptors are allowed: %d sessions instead of %d", descriptors(), most, sessions)
		sessions = most
	}
	addr := strings.TrimPrefix(w.url, "http://")
	return openMany(t, sessions, func(i int) (io.Closer, error) {
		return openIdle(addr, transport, fmt.Sprintf("/open/idle/%d", i))
	})
}

// openMany opens connections, a few at a time, which end with the test.
func openMany[C io.Closer](t *testing.T, n int, open func(i int) (C, error)) []C {
	t.Helper()
	clients := make([]C, n)
	var opening sync.WaitGroup
	next := make(chan int)
	for range 8 {
		opening.Go(func() {
			for i := range next {
				c, err := open(i)
				if err != nil {
					t.Error(err)
					continue
				}
				clients[i] = c
				t.Cleanup(func() { c.Close() })
			}
		})
	}
	for i := range n {
		if t.Failed() {
			break
		}
		next <- i
	}
	close(next)
	opening.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return clients
}

// bothType is long-polling by a client that has another connection, as browsers have.
const bothType = pollingType + " and publishes"

// openBoth is openIdle of such a one. The second connection is left idle after a publish.
func openBoth(addr, channel string) (io.Closer, error) {
	c, err := openRaw(addr, pollingType, channel, nil)
	if err != nil {
		return nil, err
	}
	if c.stream, err = rawDial(addr); err == nil {
		other := newRaw(c.stream, pollingType)
		other.id = c.id
		other.patient()
		_, err = other.ask(channel+"/said", `"data":"hello"`)
	}
	if err == nil {
		_, err = c.send("/meta/connect", c.connectFields())
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// openIdle opens a session. The Closer is nil after an error.
func openIdle(addr, transport, channel string) (io.Closer, error) {
	switch transport {
	case "events":
		return openPlain(addr, "GET /realm/default/events?channel="+channel+" HTTP/1.1\r\nHost: waft.test\r\n\r\n", "", `"resumed":false`)
	case "ws":
		return openPlain(addr, "GET /realm/default/ws HTTP/1.1\r\nHost: waft.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: waft.v1\r\n\r\n",
			string(clientFrame(`{"type":"subscribe","channel":"`+channel+`"}`)), `"resumed":false`)
	}
	if transport == bothType {
		return openBoth(addr, channel)
	}
	c, err := openRaw(addr, transport, channel, nil)
	if err == nil && transport != streamType {
		_, err = c.send("/meta/connect", c.connectFields())
	}
	if err != nil {
		return nil, err
	}
	if transport == streamType {
		c.nc.Close() // it was for the other requests
	}
	return c, nil
}

// openPlain sends a request, and when its head is answered what comes then, and reads up to the text that says that all is well.
func openPlain(addr, request, then, well string) (io.Closer, error) {
	nc, err := rawDial(addr)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(2 * patience))
	_, err = io.WriteString(nc, request)
	buf, n := make([]byte, 2048), 0
	for err == nil && !bytes.Contains(buf[:n], []byte(well)) {
		var more int
		more, err = nc.Read(buf[n:])
		n += more
		if then != "" && bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
			_, err = io.WriteString(nc, then)
			then = ""
		}
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("after %q: %w", buf[:n], err)
	}
	return nc, nil
}
