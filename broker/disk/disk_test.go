package disk

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDB opens a database that ends with the test.
func openDB(t testing.TB, o Options) *DB {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.MinFree = 1
	d, err := Open(o)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return d
}

// inMemory is the options of a database on a file system in memory.
func inMemory() Options { return Options{Dir: "data", fs: vfs.NewMem()} }

func newEngine(t testing.TB, d *DB) *Engine {
	t.Helper()
	e, err := d.Engine("default", EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// start gives a started engine that delivers to nobody.
func start(t testing.TB, d *DB) *Engine {
	t.Helper()
	e := newEngine(t, d)
	if err := e.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	return e
}

// noted is what an engine has delivered, in order.
type noted struct {
	mu   sync.Mutex
	list []string // channel and id
}

// startNoting gives a started engine that delivers to one reader.
func startNoting(t testing.TB, d *DB) (*Engine, *noted) {
	t.Helper()
	e, n := newEngine(t, d), &noted{}
	if err := e.Start(func(m *broker.Message) int {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.list = append(n.list, fmt.Sprint(m.Channel, m.ID))
		return 1
	}); err != nil {
		t.Fatal(err)
	}
	return e, n
}

// take gives what has been delivered since the last time.
func (n *noted) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

func TestEngine(t *testing.T) {
	brokertest.RunEngine(t, func(t *testing.T) broker.Engine { return newEngine(t, openDB(t, inMemory())) })
}

func TestEngine_on_a_real_disk(t *testing.T) {
	brokertest.RunEngine(t, func(t *testing.T) broker.Engine { return newEngine(t, openDB(t, Options{})) })
}

func TestStore(t *testing.T) {
	brokertest.RunStore(t, func(t *testing.T) broker.Store { return openDB(t, inMemory()).Store("default") })
}

var keep = broker.Retention{Size: 100}

func publish(t testing.TB, e broker.Engine, c broker.Channel, id string, a broker.Append) broker.Receipt {
	t.Helper()
	r, err := tryPublish(e, c, id, a)
	if err != nil {
		t.Fatalf("publish %s to %s: %v", id, c, err)
	}
	return r
}

func tryPublish(e broker.Engine, c broker.Channel, id string, a broker.Append) (broker.Receipt, error) {
	a.Message = &broker.Message{Channel: c, ID: id, Data: []byte(`"` + id + `"`), Time: time.Now()}
	return e.Publish(context.Background(), a)
}
