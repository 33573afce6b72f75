package outbox

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// ResponseConn makes an HTTP response look like the writing half of a connection, for streams whose connection cannot be
// taken over because others share it (HTTP/2). The handler stays as long as the stream: it reads, which waits for the client
// to leave, and calls Finish before it returns.
type ResponseConn struct {
	net.Conn // nil: nobody asks for addresses

	// static
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context //nolint:containedctx // the request's, which is as long as the connection
	closed  chan struct{}
	once    sync.Once

	using sync.Mutex // held while w or control is used, which must not be when the handler has returned
}

// NewResponseConn takes the response to r over.
func NewResponseConn(w http.ResponseWriter, r *http.Request) *ResponseConn {
	return &ResponseConn{w: w, control: http.NewResponseController(w), ctx: r.Context(), closed: make(chan struct{})}
}

// Read blocks until the client is gone or the connection is closed.
func (c *ResponseConn) Read([]byte) (int, error) {
	select {
	case <-c.ctx.Done():
	case <-c.closed:
	}
	return 0, io.EOF
}

// Write sends b at once. The deadline is for this write alone: HTTP/2 would end the stream when it passes, whether
// anything is being written by then or not.
func (c *ResponseConn) Write(b []byte) (n int, err error) {
	err = c.use(func() (err error) {
		if n, err = c.w.Write(b); err == nil {
			err = c.control.Flush()
		}
		_ = c.control.SetWriteDeadline(time.Time{}) // fails where there was none
		return err
	})
	return n, err
}

// SetWriteDeadline bounds the next write. It fails where there is no connection: in a test, or after its end.
func (c *ResponseConn) SetWriteDeadline(t time.Time) error {
	return c.use(func() error { return c.control.SetWriteDeadline(t) })
}

func (c *ResponseConn) use(f func() error) error {
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
func (c *ResponseConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// Finish closes and waits for the write under way, which its deadline or the client's leaving ends.
func (c *ResponseConn) Finish() {
	_ = c.Close() // it never fails
	c.using.Lock()
	defer c.using.Unlock()
}
