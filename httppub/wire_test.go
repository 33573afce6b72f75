package httppub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
)

// wire is a listener without a network, so that the time a body may take is the test's own, however busy the machine is.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire"} }

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	w.conns <- theirs
	return mine, nil
}

// serve puts the door behind net/http, in a bubble. HTTP/2 comes without TLS.
func (d *door) serve(t *testing.T) *wire {
	w := &wire{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: d, Protocols: &http.Protocols{}}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(w); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	return w
}

// stream is a bulk load over a connection.
type stream struct {
	conn net.Conn
	in   *bufio.Reader
	out  chan string // what a goroutine sends: the server may answer before it takes all
}

func openStream(t *testing.T, w *wire) *stream {
	t.Helper()
	c, err := w.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{conn: c, in: bufio.NewReader(c), out: make(chan string, 10)}
	var sending sync.WaitGroup
	sending.Go(func() {
		for text := range s.out {
			_, _ = c.Write([]byte(text)) // the server may have had enough
		}
	})
	t.Cleanup(func() { _ = c.Close(); close(s.out); sending.Wait() })
	s.out <- fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", publishPath, goodToken)
	return s
}

// send sends a piece of the body.
func (s *stream) send(text string) { s.out <- fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// end ends the body.
func (s *stream) end() { s.out <- "0\r\n\r\n" }

// answer reads the answer, whose body goes on.
func (s *stream) answer(t *testing.T) *bufio.Reader {
	t.Helper()
	r, err := http.ReadResponse(s.in, nil)
	if err != nil || r.StatusCode != 200 {
		t.Fatal(err, r)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	return bufio.NewReader(r.Body)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", line, err)
	}
	return line
}
