package broker_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

func TestWheel_fires_once_late_by_at_most_two_ticks_and_never_early(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tick = 20 * time.Millisecond
		w := broker.NewWheel(tick)
		defer w.Close()
		var mu sync.Mutex
		fired := 0
		start := time.Now()
		for range 500 {
			d := time.Duration(rand.Int64N(int64(2 * time.Minute))) // several turns of the wheel
			w.AfterFunc(d, func() {
				if late := time.Since(start) - d; late < 0 || late > 2*tick {
					t.Errorf("a timer of %v fired %v late", d, late)
				}
				mu.Lock()
				fired++
				mu.Unlock()
			})
		}
		time.Sleep(3 * time.Minute)
		w.Close()
		if fired != 500 {
			t.Errorf("%d of 500 timers fired", fired)
		}
	})
}

func TestWheel_a_stopped_timer_does_not_fire_and_a_reset_one_fires_at_its_new_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := broker.NewWheel(0)
		defer w.Close()
		stopped := w.AfterFunc(time.Second, func() { t.Error("a stopped timer fired") })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop tells wrongly whether the timer was pending")
		}
		start := time.Now()
		var at atomic.Int64
		moved := w.AfterFunc(time.Second, func() { at.Store(int64(time.Since(start))) })
		time.Sleep(500 * time.Millisecond)
		moved.Reset(5 * time.Second)
		time.Sleep(time.Minute)
		if d := time.Duration(at.Load()); d < 5500*time.Millisecond || d > 5600*time.Millisecond {
			t.Errorf("the timer moved to 5.5s fired after %v", d)
		}
		// After an idle minute the wheel must catch up: neither fire at once nor never.
		again := time.Now()
		var after atomic.Int64
		moved2 := w.AfterFunc(time.Second, func() { after.Store(int64(time.Since(again))) })
		time.Sleep(2 * time.Second)
		if d := time.Duration(after.Load()); d < time.Second || d > 1100*time.Millisecond {
			t.Errorf("after an idle minute a timer of 1s fired after %v", d)
		}
		if moved2.Stop() {
			t.Error("a timer that fired was pending")
		}
	})
}

func TestWheel_nothing_fires_after_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := broker.NewWheel(0)
		w.AfterFunc(time.Second, func() { t.Error("fired after close") })
		w.Close()
		time.Sleep(time.Minute)
	})
}
