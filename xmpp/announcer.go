package xmpp

import (
	"context"
	"sync"
)

// announcer is the queue of what the service has to say besides items: that a node was configured, purged or deleted, what
// became of somebody's subscription, a new subscriber's last item. One goroutine sends it, in the order it came, waiting
// while the link is full or down, so that neither the one whose request it is about nor his worker waits for the fan-out.
//
// It is bounded in recipients. What does not fit is not said, and counted: everything that is announced can be asked for.
type announcer struct {
	most int           // recipients that may wait; static
	wake chan struct{} // holds a token when the goroutine should look; static

	mu      sync.Mutex // guards the rest
	waiting []chore
	weight  int // recipients waiting, or being told
	closed  bool
}

// chore is one thing to say or do.
type chore struct {
	weight int // recipients
	do     func(ctx context.Context)
}

func newAnnouncer(most int) *announcer { return &announcer{most: most, wake: make(chan struct{}, 1)} }

// put never blocks. It tells whether there was room; one chore of any weight has room when nothing else waits, and one
// without recipients always has.
func (a *announcer) put(weight int, do func(ctx context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || weight > 0 && a.weight > 0 && a.weight+weight > a.most {
		return false
	}
	a.waiting = append(a.waiting, chore{weight, do})
	a.weight += weight
	a.ring()
	return true
}

// close lets what waits be said, and takes nothing more.
func (a *announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.ring()
}

func (a *announcer) ring() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// take gives the next chore; open tells that there can be more when there is none.
func (a *announcer) take() (c chore, ok, open bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.waiting = nil // and with it the memory of a burst
		return chore{}, false, !a.closed
	}
	c, a.waiting[0] = a.waiting[0], chore{}
	a.waiting = a.waiting[1:]
	return c, true, true
}

func (a *announcer) done(c chore) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.weight -= c.weight
}

// size is how many recipients wait.
func (a *announcer) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.weight
}

// run is the goroutine. It ends when the announcer is closed and empty, or ctx ends; then left is what was not said.
func (a *announcer) run(ctx context.Context) (left int) {
	for {
		c, ok, open := a.take()
		switch {
		case ctx.Err() != nil:
			return a.size()
		case ok:
			c.do(ctx)
			a.done(c)
			continue
		case !open:
			return 0
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
		}
	}
}
