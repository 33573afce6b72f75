package bayeux

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// streamResponse serves a stream whose connection cannot be taken over, because others share it: the handler stays, and
// the outbox writes the response.
func (h *Handler) streamResponse(w http.ResponseWriter, r *http.Request, s *session) {
	c := &responseConn{w: w, control: http.NewResponseController(w), ctx: r.Context(), closed: make(chan struct{})}
	defer c.finish()
	_ = c.SetWriteDeadline(time.Now().Add(writeWithin)) // fails where there is no connection: in a test, or after its end
	if _, err := io.WriteString(c, retryLine()); err != nil {
		return
	}
	if st := h.openStream(c, s, h.clientAddress(r)); st != nil {
		st.read()
	}
}

// responseConn makes a response look like the writing half of a connection. Reading from it waits for the client to leave.
type responseConn struct {
	net.Conn // nil: nobody asks for addresses

	// static
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context //nolint:containedctx // the request's, which is as long as the connection
	closed  chan struct{}
	once    sync.Once

	using sync.Mutex // held while w or control is used, which must not be when the handler has returned
}

// Read blocks until the client is gone or the connection is closed.
func (c *responseConn) Read([]byte) (int, error) {
	select {
	case <-c.ctx.Done():
	case <-c.closed:
	}
	return 0, io.EOF
}

// Write sends b at once. The deadline is for this write alone: HTTP/2 would end the stream when it passes, whether
// anything is being written by then or not.
func (c *responseConn) Write(b []byte) (n int, err error) {
	err = c.use(func() (err error) {
		if n, err = c.w.Write(b); err == nil {
			err = c.control.Flush()
		}
		_ = c.control.SetWriteDeadline(time.Time{}) // fails where there was none
		return err
	})
	return n, err
}

// SetWriteDeadline bounds the next write.
func (c *responseConn) SetWriteDeadline(t time.Time) error {
	return c.use(func() error { return c.control.SetWriteDeadline(t) })
}

func (c *responseConn) use(f func() error) error {
	c.using.Lock()
	defer c.using.Unlock()
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
		return f()
	}
}

// Close does not wait for a write.
func (c *responseConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// finish closes and waits for the write under way, which its deadline or the client's leaving ends.
func (c *responseConn) finish() {
	_ = c.Close() // it never fails
	c.using.Lock()
	defer c.using.Unlock()
}
