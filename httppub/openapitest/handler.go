package openapitest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Handler is h, of which every exchange is checked: what is not as the document says is an error of the test. In a benchmark it is h,
// and for Unchecked.
//
// A connection that h takes over is out of sight, and left to the test: see Check and CheckEvent.
func (d *Document) Handler(t testing.TB, h http.Handler) http.Handler {
	switch t.(type) {
	case *testing.B, Unchecked:
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := Exchange{Request: r}
		asked := *r // handlers may change what is theirs
		x.Request = &asked
		sent := &copied{ReadCloser: r.Body}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = sent
		}
		if recorder, ok := w.(*httptest.ResponseRecorder); ok {
			h.ServeHTTP(w, r)
			result := recorder.Result()
			x.Status, x.Header, x.Body = result.StatusCode, result.Header, append([]byte{}, recorder.Body.Bytes()...)
			result.Body.Close()
		} else {
			watched := &watched{ResponseWriter: w}
			h.ServeHTTP(watched, r)
			if watched.taken || r.Context().Err() != nil {
				return
			}
			x.Status, x.Header, x.Body = watched.status, watched.header, watched.body.Bytes()
			if !watched.begun {
				x.Status, x.Header = http.StatusOK, w.Header()
			}
		}
		if sent.ended() {
			x.Sent = sent.text.Bytes()
		}
		if x.Header.Get("Content-Type") == "text/event-stream" || len(x.Body) == 0 && r.Context().Err() != nil {
			return // nobody was there to be answered
		}
		if err := d.Check(x); err != nil {
			t.Errorf("%s %s: %v", asked.Method, asked.URL, err)
		}
	})
}

// Unchecked is a test that counts what a handler costs, to which checking would add.
type Unchecked struct{ testing.TB }

// copied is a body of which a copy is kept.
type copied struct {
	io.ReadCloser

	mu   sync.Mutex // guards the rest: a handler may read in another goroutine
	text bytes.Buffer
	all  bool
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p[:n])
	c.all = c.all || err == io.EOF
	return n, err
}

func (c *copied) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// watched is a ResponseWriter that notes down what goes through it.
type watched struct {
	http.ResponseWriter

	begun  bool
	taken  bool
	status int
	header http.Header
	body   bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController: a flush begins the answer.
func (w *watched) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *watched) begin(status int) {
	if !w.begun {
		w.begun, w.status, w.header = true, status, w.ResponseWriter.Header().Clone()
	}
}

// Hijack is for http.ResponseController.
func (w *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.taken = err == nil
	return nc, rw, err
}
