//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/interop/loss"
)

// The loss checker finds out about a broker that is broken: here by what stands in front of it, which answers publishers and changes what
// readers are sent. Every reader notices what happens to publishes, and nobody else what happens on the way to one.
func TestLoss_notices_a_broken_broker(t *testing.T) {
	t.Parallel()
	everybody := []string{"REST history", "SSE", "Bayeux WebSocket"}
	for _, c := range []struct {
		name    string
		broken  brokenPath
		kills   bool
		notice  []string
		finding func(loss.Row) int
	}{
		{"none", brokenPath{}, true, nil, nil},
		{"drops a publish", brokenPath{publish: dropPublish}, false, everybody, func(r loss.Row) int { return r.Lost }},
		{"stores a publish twice", brokenPath{publish: repeatPublish}, false, everybody, func(r loss.Row) int { return r.Excess }},
		{"stores a publish late", brokenPath{publish: delayPublish}, false, everybody, func(r loss.Row) int { return r.Reordered }},
		{"acknowledges early", brokenPath{publish: hurryPublish}, true, everybody, func(r loss.Row) int { return r.Lost }},
		{"drops an event", brokenPath{event: dropEvent}, false, []string{"SSE"}, func(r loss.Row) int { return r.Lost }},
		{"repeats an event", brokenPath{event: repeatEvent}, false, []string{"SSE"}, func(r loss.Row) int { return r.Excess }},
		{"re-orders events", brokenPath{event: swapEvents}, false, []string{"SSE"}, func(r loss.Row) int { return r.Reordered }},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var path *brokenPublish
			r := newLossRun(t, 1, t.TempDir(), func(behind string) (addr string) {
				path, addr = c.broken.start(t, behind)
				return addr
			})
			r.start(httpPublishers[:1], []lossReader{httpLossReaders[0], httpLossReaders[2], bayeuxLossReaders[0]})
			enough := func(n int) func() error {
				return func() error {
					if r.ledger.Acknowledged() < n {
						return fmt.Errorf("less than %d messages", n)
					}
					return nil
				}
			}
			if err := await("messages", enough(25)); err != nil {
				t.Fatal(err)
			}
			if c.kills {
				r.w.proc.kill()
				path.die(t, c.notice != nil)
				r.w.start(t)
			}
			if err := await("more messages", enough(50)); err != nil {
				t.Fatal(err)
			}
			v := r.finish()
			for _, row := range v.Readers {
				wrong := !row.OK()
				if slices.Contains(c.notice, row.Reader) {
					wrong = c.finding(row) == 0
				}
				if wrong {
					t.Errorf("%s: %+v", row.Reader, row)
				}
			}
		})
	}
}

// brokenPath stands in front of waft. Its functions do something else with every tenth.
type brokenPath struct {
	publish func(*brokenPublish)
	event   func(*brokenEvents, string)
}

const brokenEvery = 10

// start gives the address in front of the address.
func (p brokenPath) start(t *testing.T, addr string) (*brokenPublish, string) {
	target := &url.URL{Scheme: "http", Host: addr}
	behind := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	behind.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	if p.event != nil {
		behind.ModifyResponse = func(resp *http.Response) error {
			if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
				resp.Body = &brokenEvents{body: resp.Body, change: p.event}
			}
			return nil
		}
	}
	b := &brokenPublish{behind: behind}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.publish == nil || !strings.HasSuffix(r.URL.Path, "/publish/") {
			behind.ServeHTTP(w, r)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		b.w, b.r, b.body = w, r, body
		if bytes.Contains(body, []byte(`"end-`)) { // what everybody waits for is left alone
			b.passHeld()
			b.pass(w, body)
			return
		}
		b.n++
		p.publish(b)
	}))
	t.Cleanup(s.Close)
	return b, s.Listener.Addr().String()
}

// brokenPublish is the publishes through a brokenPath, one at a time.
type brokenPublish struct {
	behind http.Handler

	mu   sync.Mutex
	n    int
	w    http.ResponseWriter
	r    *http.Request
	body []byte
	held [][]byte // acknowledged, and not passed on yet
}

// pass passes a publish on.
func (b *brokenPublish) pass(w http.ResponseWriter, body []byte) {
	r := b.r.Clone(b.r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	b.behind.ServeHTTP(w, r)
}

// die loses what is held, and waits that there is something.
func (b *brokenPublish) die(t *testing.T, holds bool) {
	err := await("a publish to lose", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if holds && len(b.held) == 0 {
			return errors.New("nothing is held")
		}
		b.held = nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *brokenPublish) acknowledge() { _, _ = io.WriteString(b.w, "Published\n") }

func dropPublish(b *brokenPublish) {
	if b.n%brokenEvery == 0 {
		b.acknowledge()
		return
	}
	b.pass(b.w, b.body)
}

// repeatPublish takes the id away, or waft would notice.
func repeatPublish(b *brokenPublish) {
	if b.n%brokenEvery == 0 {
		b.pass(httptest.NewRecorder(), bytes.Replace(b.body, []byte(`"id":`), []byte(`"no-id":`), 1))
	}
	b.pass(b.w, b.body)
}

// delayPublish acknowledges one and passes it on behind the next of its channel.
func delayPublish(b *brokenPublish) {
	if b.n%brokenEvery == 0 {
		b.held = append(b.held, b.body)
		b.acknowledge()
		return
	}
	b.pass(b.w, b.body)
	if b.n%brokenEvery == len(lossChannels) {
		b.passHeld()
	}
}

func (b *brokenPublish) passHeld() {
	for _, body := range b.held {
		b.pass(httptest.NewRecorder(), body)
	}
	b.held = nil
}

// hurryPublish acknowledges everything, and passes it on a little later, if it can.
func hurryPublish(b *brokenPublish) {
	b.held = append(b.held, b.body)
	b.acknowledge()
	if b.n%brokenEvery == 0 {
		b.passHeld()
	}
}

// brokenEvents is an event stream.
type brokenEvents struct {
	body   io.ReadCloser
	change func(*brokenEvents, string)

	n       int
	in, out []byte
	held    string
}

func (e *brokenEvents) Close() error { return e.body.Close() }

func (e *brokenEvents) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		piece := make([]byte, 4<<10)
		n, err := e.body.Read(piece)
		e.in = append(e.in, piece[:n]...)
		for {
			event, rest, whole := bytes.Cut(e.in, []byte("\n\n"))
			if !whole {
				break
			}
			e.in = rest
			if text := string(event) + "\n\n"; strings.Contains(text, `"data":{`) && !strings.Contains(text, `"end-`) {
				e.n++
				e.change(e, text)
			} else {
				e.write(text)
			}
		}
		if err != nil && len(e.out) == 0 {
			return 0, err
		}
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

func (e *brokenEvents) write(text string) { e.out = append(e.out, text...) }

func dropEvent(e *brokenEvents, text string) {
	if e.n%brokenEvery != 0 {
		e.write(text)
	}
}

func repeatEvent(e *brokenEvents, text string) {
	if e.write(text); e.n%brokenEvery == 0 {
		e.write(text)
	}
}

// swapEvents holds one back until the next of its channel has passed.
func swapEvents(e *brokenEvents, text string) {
	if e.n%brokenEvery == 0 {
		e.held = text
		return
	}
	e.write(text)
	if e.held != "" && e.n%brokenEvery == len(lossChannels) {
		e.write(e.held)
		e.held = ""
	}
}

// A disk that takes its time shows who does not wait for it: here waft itself, told not to.
func TestLoss_notices_what_is_acknowledged_before_it_is_on_the_disk(t *testing.T) {
	t.Parallel()
	if err := maySlowDown(t); err != nil {
		t.Skipf("nothing slows the disk down: %v", err)
	}
	r := newLossRun(t, 1, t.TempDir(), nil)
	r.w.proc.stop()
	r.w.configure(t, "fsync = \"interval\"\n") // behind [disk]
	r.w.start(t)
	r.start(httpPublishers, httpLossReaders[2:3])
	n := &nemesis{lossRun: r}
	n.slowed(500*time.Millisecond, func() {
		if err := await("an early answer", func() error {
			if p := r.ledger.Judge().Published; len(p) == 0 || p[0].Early == 0 {
				return fmt.Errorf("none: %+v", p)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	v := r.finish()
	if err := v.Err(); err == nil || !strings.Contains(err.Error(), "acknowledged before they can have been stored") {
		t.Error(err)
	}
	if row := v.Readers[0]; !row.OK() {
		t.Errorf("%+v", row)
	}
}
