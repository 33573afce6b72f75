package bench

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stalls is a server that takes a message at once, but stands still for a second at the tenth.
func stalls(seen latencies) func(int, uint64, time.Time) error {
	return func(_ int, index uint64, at time.Time) error {
		if index == 10 {
			time.Sleep(time.Second)
		}
		seen.record(time.Since(at))
		return nil
	}
}

func TestPace_an_open_loop_counts_a_pause_for_every_message_that_was_due_in_it(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newLatencies()
		p := pace{publishers: 1, rate: 100, length: 3 * time.Second}
		until, late, err := p.run(t.Context(), []uint64{0}, make([]chan struct{}, 1), stalls(seen))
		if err != nil || until[0] != 300 {
			t.Fatalf("published %d, %v", until[0], err)
		}
		// 101 messages were due in the second, the first had to wait for all of it and each later one 10 ms less.
		if got := seen.summary(); got.Count != 300 || got.Max < 999_000 || got.P90 < 690_000 || got.P50 > 1 {
			t.Errorf("latency %v", got)
		}
		if got := late.summary(); got.Max < 989_000 {
			t.Errorf("late %v", got)
		}
	})
}

func TestPace_a_closed_loop_sees_the_same_pause_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newLatencies()
		permits := []chan struct{}{make(chan struct{}, 1)}
		permits[0] <- struct{}{}
		send := stalls(seen)
		p := pace{publishers: 1, window: 1, length: 3 * time.Second}
		_, _, err := p.run(t.Context(), []uint64{0}, permits, func(i int, index uint64, at time.Time) error {
			err := send(i, index, at)
			time.Sleep(10 * time.Millisecond)
			permits[0] <- struct{}{}
			return err
		})
		if got := seen.summary(); err != nil || got.Max < 999_000 || got.P99 > 1 {
			t.Errorf("latency %v, %v", got, err)
		}
	})
}

func TestPace_all_that_is_due_is_sent_even_when_the_stage_is_over(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{publishers: 3, rate: 30, length: time.Second}
		sent := make([]int, 3)
		until, _, err := p.run(t.Context(), []uint64{7, 0, 0}, make([]chan struct{}, 3), func(i int, _ uint64, _ time.Time) error {
			time.Sleep(time.Second)
			sent[i]++
			return nil
		})
		if err != nil || until[0] != 17 || sent[0]+sent[1]+sent[2] != 30 {
			t.Errorf("sent %v, %v", sent, err)
		}
	})
}

func TestPace_a_limit_is_shared_by_all_publishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{publishers: 3, rate: 100, length: time.Hour, messages: 11}
		until, _, err := p.run(t.Context(), []uint64{5, 0, 0}, make([]chan struct{}, 3), func(int, uint64, time.Time) error { return nil })
		if err != nil || until[0] != 5+4 || until[1] != 4 || until[2] != 3 {
			t.Errorf("published %v, %v", until, err)
		}
	})
}

func TestPace_a_failure_ends_all_publishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		p := pace{publishers: 2, rate: 2, length: time.Hour}
		until, _, err := p.run(t.Context(), []uint64{0, 0}, make([]chan struct{}, 2), func(i int, index uint64, _ time.Time) error {
			if i == 0 && index == 3 {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || until[0] != 3 || until[1] > 4 {
			t.Errorf("published %v, %v", until, err)
		}
	})
}

func TestPace_the_window_is_never_exceeded_and_outlives_the_stage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(1, 4, time.Minute, func(messageKey) uint64 { return 0 })
		var mu sync.Mutex
		under, most := 0, 0
		at := []uint64{0}
		for range 5 { // stages
			var err error
			at, _, err = pace{publishers: 1, window: 4, length: time.Second}.run(t.Context(), at, f.permits, func(i int, index uint64, at time.Time) error {
				if err := f.begin(messageKey{i, index}, at, 0); err != nil {
					return err
				}
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.AfterFunc(50*time.Millisecond, func() {
					mu.Lock()
					under--
					mu.Unlock()
					f.answer(messageKey{i, index}, nil)
				})
				time.Sleep(time.Microsecond)
				return nil
			})
			if err == nil {
				err = f.drain(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(f.permits[0]) != 4 {
				t.Fatalf("%d permits after the stage", len(f.permits[0]))
			}
		}
		if most != 4 || at[0] < 5*4*19 {
			t.Errorf("%d under way at most, %d published", most, at[0])
		}
	})
}

func TestPace_a_permit_taken_too_late_goes_back(t *testing.T) {
	permits := []chan struct{}{make(chan struct{}, 1)}
	permits[0] <- struct{}{}
	for range 50 { // both ways out are open, and chance takes one
		p := pace{publishers: 1, window: 1}
		_, _, err := p.run(t.Context(), []uint64{0}, permits, func(int, uint64, time.Time) error { return errors.New("sent") })
		if err != nil || len(permits[0]) != 1 {
			t.Fatalf("%d permits left, %v", len(permits[0]), err)
		}
	}
}

func TestFlight_a_message_that_never_arrives_is_given_up_and_makes_room(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(1, 1, time.Second, func(messageKey) uint64 { return 5 })
		go f.watch(t.Context())
		<-f.permits[0]
		start := time.Now()
		if err := f.begin(messageKey{0, 0}, start, 2); err != nil {
			t.Fatal(err)
		}
		f.answer(messageKey{0, 0}, nil)
		f.done(done{0, 0, 100}) // one of two workers
		<-f.permits[0]
		if waited := time.Since(start); waited < time.Second || waited > 1100*time.Millisecond || f.counts().given != 1 || f.counts().completed != 0 {
			t.Errorf("after %v: %+v", waited, f.counts())
		}
		f.done(done{0, 0, 100}) // too late to matter
	})
}

func TestFlight_a_message_is_complete_when_it_is_answered_and_everywhere(t *testing.T) {
	f := newFlight(1, 0, time.Second, func(messageKey) uint64 { return 5 })
	if err := f.begin(messageKey{0, 0}, time.Now(), 2); err != nil {
		t.Fatal(err)
	}
	f.done(done{0, 0, 300})
	f.done(done{0, 0, 100})
	if f.completed != 0 {
		t.Error("complete without an answer")
	}
	f.answer(messageKey{0, 0}, nil)
	if err := f.begin(messageKey{0, 1}, time.Now(), 2); err != nil {
		t.Fatal(err)
	}
	f.answer(messageKey{0, 1}, errors.New("no"))
	if err := f.drain(t.Context()); err != nil || f.completed != 1 || f.refused != 1 || f.unheard != 5 || f.last.summary().Max != 300 {
		t.Errorf("%d complete, %d refused, %d unheard, last %v, %v", f.completed, f.refused, f.unheard, f.last.summary(), err)
	}
}
