package bayeux

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
)

// Shutdown takes leave of every client: held connects are answered with the advice to begin anew after some seconds,
// different for each, sockets are closed as going away (1001), and streams end. All is spread over most of ctx's time (without a
// deadline, two seconds), or done at fifty clients a second if that is faster, so that they do not arrive elsewhere all at once. It returns when the last response,
// the last socket and the last stream are done, or ctx ends; then what is left is cut off. Connections of answered
// polls that wait for a next request are closed at once. New sessions are refused from the first moment.
// It comes before the broker's Shutdown, and may
// be called again.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.draining.Store(true)
	h.closeIdle(nil)
	h.drain(ctx)
	err := h.waitIdle(ctx)
	h.mu.RLock()
	for s := range h.sockets {
		_ = s.conn.Close()
	}
	for st := range h.streams {
		_ = st.conn.Close()
	}
	for c := range h.held {
		c.cutOff()
	}
	backs := slices.Collect(maps.Values(h.handbacks))
	h.mu.RUnlock()
	for _, b := range backs {
		_ = b.Close() // no poll is held any more
	}
	h.closed.Do(func() {
		h.endLife()
		if h.ownOutbox {
			h.outbox.Close()
		}
		if h.opts.Lot == nil {
			h.lot.Close()
		}
	})
	return err
}

// drainTick is how often the next few clients are sent away.
const drainTick = 20 * time.Millisecond

// drain ends sessions and sockets at a pace that leaves a fifth of the time for the last ones.
func (h *Handler) drain(ctx context.Context) {
	budget := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline) * 4 / 5
	}
	sessions, sockets := h.everything()
	ticks := max(int(budget/drainTick), 1)
	some := max((len(sessions)+ticks-1)/ticks, 1)
	pause := time.NewTicker(drainTick)
	defer pause.Stop()
	for i, s := range sessions {
		s.queue.Close(broker.ErrShutdown)
		if i%some == some-1 && i < len(sessions)-1 {
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	}
	for _, s := range sockets { // those without a session
		s.leave(0, websocket.CloseGoingAway)
	}
}

func (h *Handler) everything() (sessions []*session, sockets []*socket) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.sessions {
		sessions = append(sessions, s)
	}
	for s := range h.sockets {
		sockets = append(sockets, s)
	}
	return sessions, sockets
}

// waitIdle blocks until no poll, no socket and no stream is left, or ctx ends.
func (h *Handler) waitIdle(ctx context.Context) error {
	h.mu.Lock()
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.checkIdle()
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkIdle tells Shutdown when nothing is left; mu is held.
func (h *Handler) checkIdle() {
	if h.idle != nil && h.polls.Load() == 0 && len(h.held) == 0 && len(h.sockets) == 0 && len(h.streams) == 0 {
		close(h.idle)
		h.idle = nil
	}
}
