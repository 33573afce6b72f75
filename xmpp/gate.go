package xmpp

import (
	"context"
	"errors"
	"sync"

	"waft/xmpp/component"
)

// gate tells those who have something to send when it is worth trying again.
type gate struct {
	mu      sync.Mutex // guards the rest
	up      bool
	changed chan struct{} // closed at the next change
}

func (g *gate) init() { g.changed = make(chan struct{}) }

// signal wakes everybody who waits; the link calls it when there is room again.
func (g *gate) signal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wake()
}

func (g *gate) set(up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up = up
	g.wake()
}

func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *gate) state() (up bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.up, g.changed
}

// awaitUp blocks until the link is up or ctx ends.
func (g *gate) awaitUp(ctx context.Context) error {
	for {
		up, changed := g.state()
		if up {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try calls send until it fails for another reason than a link that is full or, if patient, down. It returns send's
// last error, or ctx's.
func (g *gate) try(ctx context.Context, patient bool, send func() error) error {
	var changed <-chan struct{}
	for {
		err := send()
		if !errors.Is(err, component.ErrFull) && !(patient && errors.Is(err, component.ErrDown)) {
			return err
		}
		if changed == nil {
			_, changed = g.state()
			continue // it may have changed before we began to watch
		}
		select {
		case <-changed:
			changed = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
