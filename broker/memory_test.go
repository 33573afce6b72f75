package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestMemoryEngine(t *testing.T) {
	brokertest.RunEngine(t, func(*testing.T) broker.Engine { return broker.NewMemoryEngine(broker.MemoryOptions{}) })
}

func TestMemoryStore(t *testing.T) {
	brokertest.RunStore(t, func(*testing.T) broker.Store { return broker.NewMemoryStore() })
}

// startEngine runs a memory engine that ends with the test.
func startEngine(t *testing.T, o broker.MemoryOptions) *broker.MemoryEngine {
	t.Helper()
	e := broker.NewMemoryEngine(o)
	if err := e.Start(func(*broker.Message) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func put(t *testing.T, e broker.Engine, c broker.Channel, data, key string, keep broker.Retention) broker.Receipt {
	t.Helper()
	m := &broker.Message{Channel: c, ID: data, Data: []byte(data), Time: time.Now()}
	r, err := e.Publish(context.Background(), broker.Append{Message: m, Key: key, Keep: keep})
	if err != nil {
		t.Fatalf("publish to %s: %v", c, err)
	}
	return r
}

func TestMemoryEngine_forgets_a_key_after_its_window(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, broker.MemoryOptions{Window: 2 * time.Minute})
		put(t, e, "/a", "1", "k", broker.Retention{Size: 9})
		time.Sleep(2*time.Minute - time.Nanosecond)
		if r := put(t, e, "/a", "2", "k", broker.Retention{Size: 9}); !r.Duplicate {
			t.Error("the key was forgotten within its window")
		}
		time.Sleep(time.Nanosecond)
		if r := put(t, e, "/a", "3", "k", broker.Retention{Size: 9}); r.Duplicate {
			t.Error("the key was remembered beyond its window")
		}
	})
}

func TestMemoryEngine_bounds_the_keys_of_a_channel(t *testing.T) {
	e := startEngine(t, broker.MemoryOptions{MaxKeys: 3})
	for i := range 4 {
		put(t, e, "/a", "1", fmt.Sprint(i), broker.Retention{})
	}
	for i := 1; i < 4; i++ {
		if r := put(t, e, "/a", "1", fmt.Sprint(i), broker.Retention{}); !r.Duplicate {
			t.Errorf("key %d of the newest three was forgotten", i)
		}
	}
	if r := put(t, e, "/a", "1", "0", broker.Retention{}); r.Duplicate {
		t.Error("a fourth key was remembered")
	}
}

func TestMemoryEngine_sweeps_what_nobody_touches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, broker.MemoryOptions{Window: time.Minute, Sweep: time.Second})
		first := put(t, e, "/a", "1", "k", broker.Retention{Size: 5, Age: 10 * time.Minute})
		put(t, e, "/idle", "1", "", broker.Retention{})
		time.Sleep(5 * time.Minute)
		if s := e.Stats(); s.Channels != 1 || s.Messages != 1 {
			t.Fatalf("with one history left: %+v", s)
		}
		time.Sleep(6 * time.Minute)
		if s := e.Stats(); s != (broker.EngineStats{}) {
			t.Fatalf("when everything had expired: %+v", s)
		}
		// A channel that comes back counts in a new epoch: the old position is lost, not taken for a new one.
		again := put(t, e, "/a", "2", "", broker.Retention{Size: 5})
		if again.Position.Epoch == first.Position.Epoch {
			t.Error("the epoch was used again")
		}
		if _, err := e.History(context.Background(), "/a", broker.Range{After: first.Position}); broker.KindOf(err) != broker.HistoryLost {
			t.Errorf("resuming in the old epoch: %v", err)
		}
	})
}

func TestMemoryEngine_evicts_the_least_recently_used(t *testing.T) {
	t.Run("by number of channels", func(t *testing.T) {
		e := startEngine(t, broker.MemoryOptions{MaxChannels: 10})
		for i := range 1000 {
			put(t, e, broker.Channel(fmt.Sprintf("/c/%d", i)), "1", "", broker.Retention{Size: 5})
			if n := e.Stats().Channels; n > 10 {
				t.Fatalf("%d channels after %d publishes", n, i+1)
			}
		}
		if s := e.Stats(); s.Evicted != 990 || s.Messages != 10 {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("by bytes", func(t *testing.T) {
		const most = 100_000
		e := startEngine(t, broker.MemoryOptions{MaxBytes: most})
		big := fmt.Sprintf("%q", make([]byte, 1000))
		for i := range 200 {
			put(t, e, broker.Channel(fmt.Sprintf("/c/%d", i%20)), big, "", broker.Retention{Size: 1000})
			if n := e.Stats().Bytes; n > most {
				t.Fatalf("%d bytes after %d publishes", n, i+1)
			}
		}
	})
	t.Run("one channel alone keeps within the bytes", func(t *testing.T) {
		e := startEngine(t, broker.MemoryOptions{MaxBytes: 3000})
		for range 100 {
			put(t, e, "/a", "1", "", broker.Retention{Size: 1000})
		}
		if s := e.Stats(); s.Bytes > 3000 || s.Messages < 2 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestMemoryEngine_counts_what_it_keeps(t *testing.T) {
	e := startEngine(t, broker.MemoryOptions{})
	for i := range 500 {
		put(t, e, "/a", fmt.Sprint(i), "", broker.Retention{Size: 40})
		if i%7 == 0 {
			if err := e.Remove(context.Background(), "/a", fmt.Sprint(i), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := e.History(context.Background(), "/a", broker.Range{})
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, m := range p.Messages {
		bytes += m.Size()
	}
	if s := e.Stats(); s.Messages != len(p.Messages) || s.Bytes != int64(bytes) || s.Channels != 1 || len(p.Messages) != 40 {
		t.Errorf("stats %+v, history %d messages of %d bytes", s, len(p.Messages), bytes)
	}
}
