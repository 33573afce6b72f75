package sse

import (
	"context"
	"net"
	"net/netip"

	"waft/broker"
	"waft/httppub/place"
)

// opening is a stream on its way: its subscriptions are made, from where its client left off.
type opening struct {
	h       *Handler
	st      *stream
	place   *place.Opening
	resumes bool // the client has an id
}

// open makes the session and its subscriptions, or, with more to replay than a session may queue, leaves them to CatchUp.
func (h *Handler) open(ctx context.Context, who broker.Principal, a ask, last *place.Token, from netip.Addr) (*opening, error) {
	st := &stream{h: h, form: a.form, from: from}
	o := &opening{h: h, st: st, resumes: last != nil}
	var err error
	st.session, err = h.broker.Open(broker.SessionOptions{
		Protocol: "sse", MaxMessages: h.opts.MaxMessages, MaxBytes: h.opts.MaxBytes, MaxSubscriptions: len(a.patterns),
		Wake: st.wake, Ended: st.ended, Lapsed: lapsed,
	})
	if err != nil {
		return nil, err
	}
	if o.place, err = h.places.Open(ctx, st.session, who, a.patterns, last); err != nil {
		st.session.Close(errGone)
		return nil, err
	}
	st.cursor = o.place.Cursor
	return o, nil
}

// catcher writes a replay that is more than a session may queue. Each event has its id, so whoever is cut off in the middle goes on
// from there.
type catcher struct {
	*opening
	nc    net.Conn
	chunk []byte
	memo  place.Memo
}

// chunkSize is how many bytes are written at a time.
const chunkSize = 32 << 10

// Replay implements place.Catcher.
func (c *catcher) Replay(messages []*broker.Message) error {
	c.h.counters.replayed.Add(uint64(len(messages)))
	for _, m := range messages {
		if c.chunk, _ = c.memo.AppendOne(c.chunk, c.st.cursor, c.st.form.with(single, false), m); len(c.chunk) >= chunkSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

func (c *catcher) flush() error {
	if len(c.chunk) == 0 {
		return nil
	}
	err := write(c.nc, c.chunk)
	c.chunk = c.chunk[:0]
	return err
}

// Lost implements place.Catcher.
func (c *catcher) Lost() error { return write(c.nc, c.appendReset(nil)) }
