package ws

import (
	"context"
	"maps"
	"slices"

	"waft/broker"
	"waft/httppub"
)

// Shutdown closes every socket as going away (1001), spread over most of ctx's time (without a deadline, two seconds), or at fifty a second
// if that is faster, so that their clients do not arrive elsewhere all at once. It returns when the last one is done, or ctx ends; then
// what is left is cut off. Requests are refused from the first moment. It comes before the broker's Shutdown, and may be called again.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.guests.Close()
	httppub.Drain(ctx, h.attached(), func(s *socket) { s.session.Close(broker.ErrShutdown) })
	err := h.guests.Wait(ctx)
	for _, s := range h.attached() {
		_ = s.conn.Load().Close()
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

// attached lists the sockets that are.
func (h *Handler) attached() []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.sockets))
}
