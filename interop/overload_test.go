//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	overloadChannel = "/open/overload"
	overloadHealthy = 4
	overloadStalled = 4
	overloadQueue   = 20 // messages that may wait for a session
	overloadSize    = 8 << 10
)

// overloadConfig keeps those who do not read: nobody is pinged or cut off for it while the test looks.
const overloadConfig = `max_messages = 20
max_bytes = 100000000
timeout = "20m"
ping = "20m"
pong_wait = "20m"
receipt_delay = "20m"
max_unconfirmed = 0
max_interval = "20m"
`

// outboxPatience goes to the end of the file.
const outboxPatience = `
[outbox]
write_timeout = "20m"
`

// Some readers stall. Whatever the policy for them, the others lose nothing and everything stays in order; with drop_oldest every
// message that a stalled one was not given is counted, and with disconnect every session that ended. Memory for them is bounded by
// their queues, however much is published.
func TestOverload(t *testing.T) {
	t.Parallel()
	t.Run("drop_oldest", func(t *testing.T) {
		t.Parallel()
		o := newOverload(t, `overflow = "drop_oldest"`)
		o.publishUntil(t, func() bool {
			return o.w.labelled(t, "waft_deliveries_lost_total", `reason="drop_oldest"`) > overloadStalled*overloadQueue
		})
		full := o.memory(t)
		first := o.published
		o.publishUntil(t, func() bool { return o.published >= first+500 })
		if grown := o.memory(t) - full; grown > 500*overloadSize/2 {
			t.Errorf("queues were full, and with %.1f MB more published %.1f MB more are in use", 500*overloadSize/1e6, grown/1e6)
		}
		got := 0
		for _, c := range o.stalled {
			n, err := readOn(c, o.published)
			if err != nil {
				t.Error(err)
			}
			got += n
		}
		lost := o.w.labelled(t, "waft_deliveries_lost_total", `reason="drop_oldest"`)
		if got+int(lost) != overloadStalled*o.published {
			t.Errorf("of %d messages for %d stalled readers %d came and %.0f were counted as dropped", o.published, overloadStalled, got, lost)
		}
		if ended := o.w.read(t, "waft_sessions_ended_total"); ended != 0 {
			t.Errorf("%.0f sessions ended", ended)
		}
		t.Logf("%d messages; the stalled got %d in the end, and %.0f were dropped", o.published, got, lost)
	})
	t.Run("disconnect", func(t *testing.T) {
		t.Parallel()
		o := newOverload(t, `overflow = "disconnect"`)
		o.publishUntil(t, func() bool {
			return o.w.labelled(t, "waft_sessions_ended_total", `kind="slow_consumer"`) == overloadStalled
		})
		if lost := o.w.labelled(t, "waft_deliveries_lost_total", `reason="slow_consumer"`); lost < overloadStalled {
			t.Errorf("%.0f messages are counted as lost with %d sessions", lost, overloadStalled)
		}
		if err := await("the healthy alone to be left", func() error { return o.w.metric("waft_sessions", overloadHealthy) }); err != nil {
			t.Error(err)
		}
		for _, c := range o.stalled {
			n, err := readOn(c, o.published)
			if errors.Is(err, errDisorder) || n >= o.published {
				t.Errorf("a stalled reader that was cut off got %d of %d messages: %v", n, o.published, err)
			}
		}
	})
}

// overload is a server with readers that read and readers that do not.
type overload struct {
	w         *waft
	healthy   []*overloadReader
	stalled   []*rawClient
	published int
}

func newOverload(t *testing.T, policy string) *overload {
	o := &overload{w: newWaft(t, overloadConfig+policy)}
	o.w.configure(t, outboxPatience)
	o.w.start(t)
	t.Cleanup(o.w.proc.kill)
	addr := strings.TrimPrefix(o.w.url, "http://")
	for range overloadHealthy {
		r := &overloadReader{progress: make(chan struct{}, 1)}
		var err error
		if r.raw, err = openRaw(addr, websocketType, overloadChannel, r.event); err != nil {
			t.Fatal(err)
		}
		if _, err := r.raw.send("/meta/connect", r.raw.connectFields()); err != nil {
			t.Fatal(err)
		}
		var reading sync.WaitGroup
		reading.Go(r.read)
		t.Cleanup(func() {
			r.raw.close()
			reading.Wait()
		})
		o.healthy = append(o.healthy, r)
	}
	o.stalled = openStalled(t, addr, overloadStalled, overloadChannel)
	return o
}

// memory is the live heap.
func (o *overload) memory(t *testing.T) float64 {
	t.Helper()
	g, err := o.w.gauges()
	if err != nil {
		t.Fatal(err)
	}
	return g[heapInUse]
}

// publishUntil publishes, never more than the healthy can queue before they have it, until enough.
func (o *overload) publishUntil(t *testing.T, enough func() bool) {
	t.Helper()
	const most = 10_000 // 80 MB: far more than queues and the kernel hold
	for o.published < most && !enough() {
		var items []string
		for range overloadQueue / 2 {
			o.published++
			items = append(items, fmt.Sprintf(`{"channel":"%s","json-object":{"n":%d,"pad":"%s"}}`, overloadChannel, o.published, strings.Repeat("x", overloadSize)))
		}
		postItems(t, o.w, strings.Join(items, ","))
		for i, r := range o.healthy {
			if err := r.reached(o.published); err != nil {
				t.Fatalf("healthy reader %d: %v", i, err)
			}
		}
	}
	if o.published >= most {
		t.Fatalf("after %d messages nothing has happened to those who do not read", o.published)
	}
}

// overloadReader reads as fast as it can, and is to get everything.
type overloadReader struct {
	raw      *rawClient
	progress chan struct{}
	got      atomic.Int64
	wrong    atomic.Pointer[error]
}

var errDisorder = errors.New("out of order")

func (r *overloadReader) event(m rawMessage) {
	if n, err := overloadNumber(m); err != nil || n != int(r.got.Add(1)) {
		err = errors.Join(err, fmt.Errorf("%w: %d after %d", errDisorder, n, r.got.Load()-1))
		r.wrong.CompareAndSwap(nil, &err)
	}
	select {
	case r.progress <- struct{}{}:
	default:
	}
}

func (r *overloadReader) read() {
	for {
		r.raw.patient()
		if _, err := r.raw.receive(); err != nil {
			r.wrong.CompareAndSwap(nil, &err)
			close(r.progress)
			return
		}
	}
}

// reached waits for the n-th message.
func (r *overloadReader) reached(n int) error {
	for int(r.got.Load()) < n && r.wrong.Load() == nil {
		<-r.progress // its read has a deadline
	}
	if err := r.wrong.Load(); err != nil {
		return *err
	}
	return nil
}

func overloadNumber(m rawMessage) (int, error) {
	var data struct {
		N int `json:"n"`
	}
	if err := json.Unmarshal(m.Data, &data); err != nil || m.Channel != overloadChannel {
		return 0, fmt.Errorf("an event of %s: %.40s: %w", m.Channel, m.Data, err)
	}
	return data.N, nil
}

// readOn has a stalled reader read until the last message, and counts what comes.
func readOn(c *rawClient, last int) (n int, err error) {
	at := 0
	c.onEvent = func(m rawMessage) {
		number, e := overloadNumber(m)
		if e != nil || number <= at {
			err = errors.Join(e, fmt.Errorf("%w: %d after %d", errDisorder, number, at))
		}
		at = number
		n++
	}
	for at < last && err == nil {
		c.patient()
		if _, e := c.receive(); e != nil {
			err = e
		}
	}
	return n, err
}
