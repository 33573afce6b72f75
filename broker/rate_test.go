package broker_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestRate_a_burst_and_then_the_pace(t *testing.T) {
	r, now := broker.PerSecond(10, 2), int64(time.Hour)
	var tally broker.Tally
	for i := range 20 {
		if wait := tally.Take(r, now, 1); wait != 0 {
			t.Fatalf("%d of the burst has to wait %v", i, wait)
		}
	}
	for range 2 { // being refused costs nothing
		if wait := tally.Take(r, now, 1); wait != 100*time.Millisecond || tally.Wait(r, now) != wait {
			t.Errorf("beyond the burst: wait %v", wait)
		}
	}
	if wait := tally.Take(r, now+int64(100*time.Millisecond)-1, 1); wait != 1 {
		t.Errorf("a moment too early: wait %v", wait)
	}
	if wait := tally.Take(r, now+int64(100*time.Millisecond), 1); wait != 0 {
		t.Errorf("in time: wait %v", wait)
	}
	if tally.Idle(now) || !tally.Idle(now+int64(time.Hour)) {
		t.Error("whether it is as good as new")
	}
	now += int64(time.Hour)
	if wait := tally.Take(r, now, 21); wait == 0 {
		t.Error("more than a burst was taken at once")
	}
	if wait := tally.Take(r, now, 20); wait != 0 {
		t.Errorf("a burst after a quiet time: wait %v", wait)
	}
}

func TestRate_that_is_zero_sets_no_limit(t *testing.T) {
	var tally broker.Tally
	for _, r := range []broker.Rate{{}, broker.PerSecond(0, 5), broker.NewRate(0, 1)} {
		for range 100_000 {
			if tally.Take(r, 1, 1000) != 0 || tally.Wait(r, 1) != 0 {
				t.Fatal("it does")
			}
		}
	}
}

func TestRate_is_shared_by_goroutines(t *testing.T) {
	r := broker.NewRate(time.Hour, 1000)
	var tally broker.Tally
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if tally.Take(r, 1, 1) == 0 {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1000 {
		t.Errorf("%d were taken of 1000", taken.Load())
	}
}

func TestBroker_publishes_at_the_rate_of_the_realm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Publishes: broker.PerSecond(2, 2)})
		publish := func(n int) error {
			var batch []broker.Publication
			for range n {
				batch = append(batch, broker.Publication{Message: &broker.Message{Channel: "/a", Data: []byte("1")}})
			}
			_, err := b.PublishAll(ctx, broker.Principal{}, batch)
			return err
		}
		brokertest.Publish(t, b, "/a", "1")
		if err := publish(4); broker.KindOf(err) != broker.RateLimited {
			t.Errorf("a batch of four where three are left: %v", err)
		}
		if err := publish(3); err != nil {
			t.Error(err)
		}
		_, err := b.Publish(ctx, broker.Principal{}, &broker.Message{Channel: "/a", Data: []byte("1")}, broker.PublishOptions{})
		if broker.KindOf(err) != broker.RateLimited {
			t.Errorf("one more: %v", err)
		}
		if _, err := b.Publish(ctx, broker.Principal{}, &broker.Message{Channel: "/a"}, broker.PublishOptions{}); broker.KindOf(err) != broker.Invalid {
			t.Errorf("what cannot be published is told so first: %v", err)
		}
		time.Sleep(500 * time.Millisecond)
		brokertest.Publish(t, b, "/a", "1")
		if st := b.Stats(); st.Published != 5 || st.Rejected[broker.RateLimited] != 5 {
			t.Errorf("published %d, rejected %d", st.Published, st.Rejected[broker.RateLimited])
		}
	})
}
