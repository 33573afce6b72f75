package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// fake is a server of plain WebSockets, with waft's frames (/ws) and without, or a component with users (component_test.go), that does to its deliveries what the test says.
type fake struct {
	*httptest.Server

	mu      sync.Mutex
	sockets []*websocket.Conn
	outlets []func(message []byte) // of subscribers; nil: hang up
	posts   int
	// mangle gives what subscriber s gets instead of the n-th message; nil: nothing; hang up: a nil in it.
	mangle func(s, n int, message []byte) [][]byte
	answer string          // to who subscribes with a frame
	status func(n int) int // of the answer; nil: 200. Others are not delivered
}

func newFake(t *testing.T, secure bool) *fake {
	t.Helper()
	f := &fake{answer: `{"type":"subscribed","ref":1}`}
	f.Server = httptest.NewUnstartedServer(f)
	if secure {
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(func() {
		f.mu.Lock()
		for _, ws := range f.sockets {
			_ = ws.Close()
		}
		f.mu.Unlock()
		f.Close()
	})
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	plain := r.URL.Path == "/ws"
	if plain || strings.HasPrefix(r.URL.Path, "/sub/") {
		up := websocket.Upgrader{Subprotocols: []string{Plain}}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if plain {
			if _, _, err = ws.ReadMessage(); err != nil {
				_ = ws.Close()
				return
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if plain { // and nothing before that
			_ = ws.WriteMessage(websocket.TextMessage, []byte(f.answer))
		}
		f.sockets = append(f.sockets, ws)
		f.outlets = append(f.outlets, func(m []byte) {
			if m == nil {
				_ = ws.Close()
				return
			}
			if plain && bytes.Contains(m, []byte(stampMark)) {
				m = []byte(plainFrame("a-1", string(m)))
			}
			_ = ws.WriteMessage(websocket.TextMessage, m)
		})
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if status := f.deliver(body); status != http.StatusOK {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "not now")
	}
}

// deliver does to a message what the test says, and gives the status of the answer.
func (f *fake) deliver(body []byte) (status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.posts
	f.posts++
	if f.status != nil && f.status(n) != http.StatusOK {
		return f.status(n)
	}
	for s, out := range f.outlets {
		messages := [][]byte{body}
		if f.mangle != nil {
			messages = f.mangle(s, n, body)
		}
		for _, m := range messages {
			out(m)
		}
	}
	return http.StatusOK
}

// inProcess is a worker on a goroutine of the test.
func inProcess(ctx context.Context) (*Process, error) {
	toWorker, stdin := io.Pipe()
	stdout, fromWorker := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Work(ctx, toWorker, fromWorker)
		_ = fromWorker.Close()
		_ = toWorker.Close()
		ended <- err
	}()
	return &Process{stdin, stdout, func() error { return <-ended }}, nil
}

// plain are options for a short run over waft's own frames.
func (f *fake) plain() Options {
	o := f.quick()
	o.Target.Transport, o.Target.Subscribe = Plain, f.URL+"/ws"
	return o
}

// quick are options for a short run with the fake: 40 messages to 3 subscribers, and no warm-up, so that everything counts. On a
// machine that is busy it is not so quick.
func (f *fake) quick() Options {
	return Options{
		Scenario: FanOut, Subscribers: 3, Window: 4, Messages: 40, Duration: time.Minute, Warmup: -1, Patience: 500 * time.Millisecond, Spawn: inProcess,
		Target: Target{
			Transport: Raw, Subscribe: f.URL + "/sub{channel}", Publish: f.URL + "/pub{channel}", Body: "{data}", ContentType: "text/plain",
		},
	}
}
