package sse

import (
	"context"
	"maps"
	"slices"
	"time"

	"waft/broker"
)

// drainTick is how often the next few clients are sent away.
const drainTick = 20 * time.Millisecond

// Shutdown ends every stream with a word, spread over most of ctx's time (without a deadline, two seconds), or at fifty a second if
// that is faster, so that their clients do not arrive elsewhere all at once. It returns when the last one is done, or ctx ends; then
// what is left is cut off. Requests are refused from the first moment. It comes before the broker's Shutdown, and may be called again.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.draining = true
	streams := slices.Collect(maps.Keys(h.streams))
	h.mu.Unlock()
	h.drain(ctx, streams)
	err := h.waitIdle(ctx)
	h.mu.Lock()
	streams = slices.Collect(maps.Keys(h.streams))
	h.mu.Unlock()
	for _, st := range streams {
		_ = st.conn.Load().Close()
	}
	h.closed.Do(func() {
		if h.ownOutbox {
			h.outbox.Close()
		}
	})
	return err
}

func (h *Handler) drain(ctx context.Context, streams []*stream) {
	budget := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline) * 4 / 5
	}
	ticks := max(int(budget/drainTick), 1)
	some := max((len(streams)+ticks-1)/ticks, 1)
	pause := time.NewTicker(drainTick)
	defer pause.Stop()
	for i, st := range streams {
		st.session.Close(broker.ErrShutdown)
		if i%some == some-1 && i < len(streams)-1 {
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	}
}

// waitIdle blocks until no stream is left, or ctx ends.
func (h *Handler) waitIdle(ctx context.Context) error {
	h.mu.Lock()
	if h.entered == 0 {
		h.mu.Unlock()
		return nil
	}
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
