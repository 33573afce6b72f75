package broker

import (
	"sync"
	"time"
)

// Wheel runs many coarse timers (idle sessions, pings, held polls, credentials) on one goroutine and one runtime
// timer. A timer costs a hundred bytes, and starting or stopping one is a list operation. It fires up to one tick
// late, never early. While no timer is pending, nothing runs.
type Wheel struct {
	tick  time.Duration
	start time.Time
	wake  chan struct{}
	stop  chan struct{}
	done  sync.WaitGroup

	mu      sync.Mutex // guards the rest
	now     int64      // ticks that have been run
	slots   [wheelSlots]*Timer
	pending int
	stopped bool
}

const wheelSlots = 1024

// Timer is one pending call.
type Timer struct {
	wheel      *Wheel
	f          func()
	due        int64 // tick; guarded by wheel.mu, as are the links
	prev, next *Timer
	queued     bool
}

// NewWheel starts a wheel; tick 0 means 20 ms.
func NewWheel(tick time.Duration) *Wheel {
	if tick <= 0 {
		tick = 20 * time.Millisecond
	}
	w := &Wheel{tick: tick, start: time.Now(), wake: make(chan struct{}, 1), stop: make(chan struct{})}
	w.done.Go(w.run)
	return w
}

// AfterFunc calls f after d, on the wheel's goroutine: f must not block.
func (w *Wheel) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{wheel: w, f: f}
	t.Reset(d)
	return t
}

// Reset makes the timer fire after d from now, whether or not it was pending.
func (t *Timer) Reset(d time.Duration) {
	w := t.wheel
	// Round up, and one more for the tick that is under way.
	due := int64((time.Since(w.start)+max(d, 0)+w.tick-1)/w.tick) + 1
	w.mu.Lock()
	w.unlink(t)
	t.due = max(due, w.now+1)
	w.link(t)
	first := w.pending == 1
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Stop takes the timer off the wheel and tells whether it was pending. After false, f has run, is running, or was
// never due.
func (t *Timer) Stop() bool {
	t.wheel.mu.Lock()
	defer t.wheel.mu.Unlock()
	was := t.queued
	t.wheel.unlink(t)
	return was
}

// Close stops the wheel; no timer fires after it returned. It must not be called from a timer.
func (w *Wheel) Close() {
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.stop)
	}
	w.mu.Unlock()
	w.done.Wait()
}

func (w *Wheel) link(t *Timer) {
	slot := &w.slots[t.due%wheelSlots]
	t.prev, t.next = nil, *slot
	if t.next != nil {
		t.next.prev = t
	}
	*slot = t
	t.queued = true
	w.pending++
}

func (w *Wheel) unlink(t *Timer) {
	if !t.queued {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[t.due%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.queued = nil, nil, false
	w.pending--
}

func (w *Wheel) run() {
	ticker := time.NewTimer(time.Hour)
	defer ticker.Stop()
	for {
		w.mu.Lock()
		idle := w.pending == 0
		w.mu.Unlock()
		if idle {
			select {
			case <-w.stop:
				return
			case <-w.wake:
			}
		}
		ticker.Reset(w.tick)
		select {
		case <-w.stop:
			return
		case <-ticker.C:
			w.advance(int64(time.Since(w.start) / w.tick))
		}
	}
}

// advance fires what is due up to the tick target.
func (w *Wheel) advance(target int64) {
	var due []*Timer
	w.mu.Lock()
	from := w.now + 1
	if target-w.now > wheelSlots {
		from = target - wheelSlots + 1 // one turn sees every slot
	}
	for tick := from; tick <= target; tick++ {
		for t := w.slots[tick%wheelSlots]; t != nil; {
			next := t.next
			if t.due <= target {
				w.unlink(t)
				due = append(due, t)
			}
			t = next
		}
	}
	w.now = max(w.now, target)
	w.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}
