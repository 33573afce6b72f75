package bayeux

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
)

// These are about polls without a goroutine, which are those on plain sockets. Elsewhere they have one.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no epoll")
	}
}

// longLived: time is the machine's here, which may be busy.
func longLived(o *Options, _ *broker.Options) { o.Timeout, o.MaxInterval = time.Hour, time.Minute }

// frontAsked: every request goes through what is in front of the handler.
func frontAsked(o *Options, _ *broker.Options) { o.PureFront = false }

// parkedNow are the connections that hold a poll and have no goroutine.
func (s *server) parkedNow() (n int) {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	for c := range s.h.held {
		if c.isParked() && !c.idle.Load() {
			n++
		}
	}
	return n
}

// idleNow waits until so many connections wait for a next request, and none is held.
func (s *server) idleNow(n int) { s.polling(0, n) }

// polling waits until so many polls are held, and so many connections wait for a next request.
func (s *server) polling(held, idle int) {
	s.t.Helper()
	eventually(s.t, func() bool {
		s.client.CloseIdleConnections() // they wait like others
		s.h.mu.RLock()
		defer s.h.mu.RUnlock()
		n := 0
		for c := range s.h.held {
			if c.idle.Load() {
				n++
			}
		}
		return len(s.h.held) == held+idle && n == idle && int(s.h.polls.Load()) == held
	})
}

func TestParked_a_held_poll_has_no_goroutine(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	const polls = 50
	ids := make([]string, polls)
	for i := range ids {
		ids[i] = s.connected(`"/a"`)
	}
	w := make([]*wire, polls)
	poll := func() {
		for i := range w {
			w[i].send(rawPost(connect(ids[i], `"1"`)))
		}
		s.heldNow(polls)
	}
	for i := range w {
		w[i] = s.wire()
	}
	poll()
	equal(t, "parked", s.parkedNow(), polls)
	for round := range 3 {
		// net/http's goroutines end some time after they have given up their connections.
		eventually(t, func() bool { return runtime.NumGoroutine() < polls })
		s.event("/a", fmt.Sprint(round))
		for i := range w {
			equal(t, "event", strings.Join(w[i].messages().events(), ","), fmt.Sprint(round))
		}
		poll()
	}
}

// What waits for a wrapped connection is the wrapping's own business: it keeps its goroutine.
func TestParked_only_plain_sockets(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { _ = s.web.Serve(wrappingListener{l}); close(served) }()
	defer func() { s.web.Close(); <-served }()
	id := s.connected(`"/a"`)
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	w := &wire{t, nc, newReader(nc)}
	for i := range 3 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		equal(t, "parked", s.parkedNow(), 0)
		s.event("/a", fmt.Sprint(i))
		equal(t, "event", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
	}
}

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return struct{ net.Conn }{nc}, err
}

// However a client leaves, its poll ends and the events are for the next.
func TestParked_a_client_that_leaves_is_noticed(t *testing.T) {
	for name, leave := range map[string]func(*wire){
		"it closes":              func(w *wire) { w.nc.Close() },
		"it ends its half":       func(w *wire) { _ = w.nc.(*net.TCPConn).CloseWrite() },
		"it resets":              func(w *wire) { _ = w.nc.(*net.TCPConn).SetLinger(0); w.nc.Close() },
		"at once":                nil,
		"at once, on the way on": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			id := s.connected(`"/a"`)
			w := s.wire()
			poll := func() { w.send(rawPost(connect(id, `"1"`))) }
			if strings.Contains(name, "on the way on") {
				poll()
				s.heldNow(1)
				s.event("/a", "0")
				w.messages()
				s.idleNow(1)
			}
			poll()
			if leave != nil {
				s.heldNow(1)
				leave(w)
			} else {
				_ = w.nc.(*net.TCPConn).CloseWrite()
			}
			if !strings.HasPrefix(name, "it closes") && !strings.HasPrefix(name, "it resets") {
				w.ended()
			}
			eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
			s.event("/a", "1")
			if got := strings.Join(s.post(connect(id, `"2"`)).events(), ","); !strings.HasSuffix(got, "1") {
				t.Errorf("events %q", got)
			}
		})
	}
}

// The end may be announced while a request is there that cannot be read yet: it is not forgotten when that has been, be it the first that waits
// for its turn on the connection, or one that is known by its head.
func TestParked_a_client_that_asks_once_more_and_leaves_is_noticed(t *testing.T) {
	for before := range 3 {
		t.Run(fmt.Sprint(before, " polls before"), func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			id := s.connected(`"/a"`)
			w := s.wire()
			for i := range before + 1 {
				w.send(rawPost(connect(id, fmt.Sprintf(`"%d"`, i))))
				s.heldNow(1)
				if i == before {
					w.send(rawPost(connect(id, `"9"`)))
					_ = w.nc.(*net.TCPConn).CloseWrite()
				}
				s.event("/a", fmt.Sprint(i))
				equal(t, "events", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
				if i < before {
					s.idleNow(1)
				}
			}
			w.ended()
			eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
		})
	}
}

// What a socket does not take at once is written by a goroutine, and the connection serves on after that.
func TestParked_a_large_answer_to_a_slow_reader(t *testing.T) {
	s := newServer(t, handedBack, longLived, func(o *Options, b *broker.Options) {
		o.MaxBytes, o.MaxUnconfirmedBytes, b.MaxMessage = 64<<20, 64<<20, 32<<20
	})
	id := s.connected(`"/a"`)
	w := s.wire()
	large := `"` + strings.Repeat("x", 16<<20) + `"`
	for range 2 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		s.event("/a", large)
		eventually(t, func() bool { return s.h.Stats().Polls == 1 }) // it is being answered
		events := w.messages().events()
		if len(events) != 1 || events[0] != large {
			t.Fatal("the event came otherwise")
		}
		s.idleNow(1)
	}
}

// A client that goes away while a large answer is on its way has its events for the next poll.
func TestParked_events_of_an_answer_that_is_cut_are_returned(t *testing.T) {
	s := newServer(t, handedBack, longLived, func(o *Options, b *broker.Options) {
		o.MaxBytes, o.MaxUnconfirmedBytes, b.MaxMessage = 64<<20, 64<<20, 32<<20
	})
	id := s.connected(`"/a"`)
	w := s.wire()
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", `"`+strings.Repeat("x", 16<<20)+`"`)
	if _, err := w.r.ReadByte(); err != nil { // it has begun
		t.Fatal(err)
	}
	_ = w.nc.(*net.TCPConn).SetLinger(0)
	w.nc.Close()
	eventually(t, func() bool { return s.h.Stats().Returned == 1 && s.connections() == 0 })
}

func TestParked_idle_connections(t *testing.T) {
	idleConnectionsEnd(t, func(s *server) *wire {
		id := s.connected(`"/a"`)
		w := s.wire()
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		s.event("/a", "1")
		w.messages()
		s.idleNow(1)
		return w
	})
}

// idleConnectionsEnd is about the connection that open leaves waiting for a next request.
func idleConnectionsEnd(t *testing.T, open func(*server) *wire) {
	t.Helper()
	for name, end := range map[string]func(*server) error{
		"they end with the handler":          func(s *server) error { return s.h.Shutdown(context.Background()) },
		"they end with the server's Close":   func(s *server) error { return s.web.Close() },
		"they do not hold up its Shutdown":   func(s *server) error { return s.web.Shutdown(context.Background()) },
		"they end when the client ends them": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			w := open(s)
			if end == nil {
				w.nc.Close()
			} else {
				if err := end(s); err != nil {
					t.Error(err)
				}
				w.ended()
			}
			eventually(t, func() bool { return s.connections() == 0 })
		})
	}
}

// newWeb serves the handler by another server.
func (s *server) newWeb(web *http.Server) (address string) {
	return s.newWebOn(web, func(l net.Listener) net.Listener { return l })
}

// newWrappedWeb is newWeb with connections that cannot be parked.
func (s *server) newWrappedWeb(web *http.Server) (address string) {
	return s.newWebOn(web, func(l net.Listener) net.Listener { return wrappingListener{l} })
}

func (s *server) newWebOn(web *http.Server, wrap func(net.Listener) net.Listener) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	l = wrap(l)
	if web.Handler == nil {
		web.Handler = s.h
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(l) })
	s.t.Cleanup(func() { web.Close(); serving.Wait() })
	return l.Addr().String()
}

func (s *server) wireTo(address string) *wire {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return &wire{s.t, nc, newReader(nc)}
}

func TestParked_idle_connections_end_when_their_time_is_up(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	w := s.wireTo(s.newWeb(&http.Server{IdleTimeout: 50 * time.Millisecond}))
	id := s.connected(`"/a"`)
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", "1")
	w.messages()
	w.ended()
	eventually(t, func() bool { return s.connections() == 0 })
}

// The time for a next request is not that of the poll.
func TestParked_a_poll_is_held_longer_than_connections_may_idle(t *testing.T) {
	s := newServer(t, handedBack, longLived, func(o *Options, _ *broker.Options) { o.Timeout = 300 * time.Millisecond })
	w := s.wireTo(s.newWeb(&http.Server{IdleTimeout: 100 * time.Millisecond}))
	id := s.connected(`"/a"`)
	for range 3 {
		w.send(rawPost(connect(id, `"1"`)))
		ok(t, w.messages().with(t, `"1"`)) // its time has passed
	}
}

func TestParked_polls_are_answered_when_the_handler_or_the_server_stops(t *testing.T) {
	for name, stop := range map[string]func(*server) error{
		"handler": func(s *server) error { return s.h.Shutdown(context.Background()) },
		"server":  func(s *server) error { return s.web.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived, func(o *Options, _ *broker.Options) { o.Timeout = 300 * time.Millisecond })
			id := s.connected(`"/a"`)
			w := s.wire()
			w.send(rawPost(connect(id, `"1"`)))
			s.heldNow(1)
			if err := stop(s); err != nil {
				t.Error(err)
			}
			res, body := w.next()
			parseReply(t, body)
			equal(t, "Connection: close", res.closes, true)
			w.ended()
			eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
		})
	}
}

// When the time for it is over, Shutdown cuts off whoever does not take his answer, and leaves nothing behind.
func TestParked_shutdown_cuts_off_what_is_left(t *testing.T) {
	s := newServer(t, handedBack, longLived, func(o *Options, b *broker.Options) {
		o.MaxBytes, o.MaxUnconfirmedBytes, b.MaxMessage = 64<<20, 64<<20, 32<<20
	})
	id := s.connected(`"/a"`)
	w := s.wire()
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", `"`+strings.Repeat("x", 16<<20)+`"`)
	if _, err := w.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	w2 := s.wire()
	w2.send(rawPost(connect(s.connected(`"/b"`), `"1"`)))
	eventually(t, func() bool { return s.h.Stats().Polls == 2 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.h.Shutdown(ctx); err == nil {
		t.Error("it says that all is done")
	}
	_, _ = io.Copy(io.Discard, w.nc)
	_, _ = io.Copy(io.Discard, w2.nc)
	eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
}

// A newer poll of the session takes over, wherever it comes.
func TestParked_a_superseded_poll_is_answered(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	id := s.connected(`"/a"`)
	w := []*wire{s.wire(), s.wire()}
	w[0].send(rawPost(connect(id, `"0"`)))
	s.heldNow(1)
	for i := range 4 {
		w[(i+1)%2].send(rawPost(connect(id, fmt.Sprintf(`"%d"`, i+1))))
		ok(t, w[i%2].messages().with(t, fmt.Sprintf(`"%d"`, i)))
		s.polling(1, 1)
	}
	s.event("/a", "1")
	equal(t, "event", strings.Join(w[0].messages().events(), ","), "1")
}

// A request that may have to wait, for a disk or for what is in front, holds up nobody else.
func TestParked_requests_that_wait_hold_up_no_others(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	free, stuck := make(chan struct{}), make(chan struct{}, 100)
	address := s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") != "" {
			stuck <- struct{}{}
			<-free
		}
		s.h.ServeHTTP(w, r)
	})})
	const waiting = 8
	var all []*wire
	for range waiting + 1 {
		id := s.connected(`"/a"`)
		w := s.wireTo(address)
		w.send(rawPost(connect(id, `"1"`)))
		all = append(all, w)
	}
	s.heldNow(waiting + 1)
	s.event("/a", "1")
	for _, w := range all {
		w.messages()
	}
	s.idleNow(waiting + 1)
	id := s.connected(`"/a"`)
	for i, w := range all[:waiting] {
		request := rawPost(publish(id, fmt.Sprintf(`"p%d"`, i), "/b", "1"))
		if i%2 == 0 {
			request = rawPost(connect(id, `"1"`))
		}
		w.send(bytes.Replace(request, []byte("\r\n"), []byte("\r\nX-Wait: yes\r\n"), 1))
	}
	for range waiting {
		<-stuck
	}
	last := all[waiting]
	for i := range 5 {
		last.send(rawPost(publish(id, fmt.Sprintf(`"q%d"`, i), "/b", "1")))
		ok(t, last.messages().with(t, fmt.Sprintf(`"q%d"`, i)))
	}
	close(free)
	for i, w := range all[:waiting] {
		if i%2 == 1 {
			ok(t, w.messages().with(t, fmt.Sprintf(`"p%d"`, i)))
		}
	}
}

// A handler in front may take the connection for itself: then nobody here touches it any more.
func TestParked_a_connection_that_somebody_else_takes_over(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	address := s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Mine") == "" {
			s.h.ServeHTTP(w, r)
			return
		}
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer nc.Close()
			_, _ = io.Copy(nc, nc)
		}()
	})})
	id := s.connected(`"/a"`)
	w := s.wireTo(address)
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", "1")
	w.messages()
	s.idleNow(1)
	w.send(bytes.Replace(rawPost("[]"), []byte("\r\n"), []byte("\r\nX-Mine: yes\r\n"), 1))
	eventually(t, func() bool { return s.connections() == 0 })
	for _, text := range []string{"one", "two"} {
		w.send([]byte(text))
		b := make([]byte, len(text))
		if _, err := io.ReadFull(w.r, b); err != nil || string(b) != text {
			t.Errorf("%q %v", b, err)
		}
	}
}

// A panic in front, after the poll has come to be held again, ends the connection and the poll.
func TestParked_a_panic_behind_the_handler(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	address := s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.h.ServeHTTP(w, r)
		if r.Header.Get("X-Panic") != "" {
			panic(http.ErrAbortHandler)
		}
	})})
	id := s.connected(`"/a"`)
	w := s.wireTo(address)
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", "1")
	w.messages()
	s.idleNow(1)
	w.send(bytes.Replace(rawPost(connect(id, `"1"`)), []byte("\r\n"), []byte("\r\nX-Panic: yes\r\n"), 1))
	w.ended()
	eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
	s.event("/a", "2")
	equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "2")
}

// What an address has open is counted while a poll is held, and no longer.
func TestParked_polls_count_for_their_address(t *testing.T) {
	s := newServer(t, handedBack, longLived, func(o *Options, _ *broker.Options) { o.Limits.AddressConnections = 3 })
	id := s.connected(`"/a"`)
	w := s.wire()
	for i := range 5 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		eventually(t, func() bool { return s.openNow() == 1 })
		s.event("/a", fmt.Sprint(i))
		w.messages()
		s.idleNow(1)
		eventually(t, func() bool { return s.openNow() == 0 })
	}
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	w.nc.Close()
	eventually(t, func() bool { return s.openNow() == 0 })
}

// Many clients poll while many messages are published, others come and leave in between, and the handler stops in the end: those who
// stay get all in order, and nothing is left.
func TestParked_many_at_once(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	const clients, events = 8, 200
	var staying, leaving sync.WaitGroup
	over := make(chan struct{})
	for i := range clients {
		id := s.connected(`"/a"`)
		staying.Go(func() {
			w := s.wire()
			for next := 0; next < events; {
				w.send(rawPost(connect(id, `"1"`)))
				res, err := http.ReadResponse(w.r, nil)
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				for _, e := range parseReply(t, string(body)).events() {
					if e != fmt.Sprint(next) {
						t.Errorf("client %d: %s instead of %d", i, e, next)
						return
					}
					next++
				}
			}
		})
		other := s.connected(`"/a"`)
		leaving.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				w := s.wire()
				w.send(rawPost(connect(other, `"1"`)))
				if n%2 == 0 {
					_, _ = w.r.ReadByte()
				}
				if n%3 == 0 {
					_ = w.nc.(*net.TCPConn).SetLinger(0)
				}
				w.nc.Close()
			}
		})
	}
	for i := range events {
		s.event("/a", fmt.Sprint(i))
	}
	staying.Wait()
	close(over)
	if err := s.h.Shutdown(context.Background()); err != nil { // which answers those who wait for a first byte
		t.Error(err)
	}
	leaving.Wait()
	eventually(t, func() bool { return s.connections() == 0 })
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// FuzzAgainRaw: what is served of raw bytes is what net/http makes of them, whether the head was met before or not.
func FuzzAgainRaw(f *testing.F) {
	f.Add(string(rawPost("[]")))
	f.Add(string(rawPost("[]")) + "GET / HTTP/1.1\r\n\r\n")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[] ")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 4\r\nCookie: a=b\r\n\r\n[[]]")
	f.Add("POST /bayeux HTTP/1.1\nHost: waft.test\nContent-Length: 4\n\n\r\n\r\n")
	f.Add("POST /bayeux HTTP/1.1\nHost: waft.test\nContent-Length: 4\n\nPOST /bayeux HTTP/1.1\r\nHost: waft.test\r\n\r\n")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\n X: y\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) == 0 || len(text) > 4<<10 {
			return
		}
		h := new(Handler)
		c := &reader{heldPoll: &heldPoll{kind: &kind{host: "waft.test", door: "/bayeux"}, back: &handback{h: h, server: &http.Server{}}, nc: addressed{}}}
		r := bufio.NewReaderSize(strings.NewReader(text), 4<<10)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		want, _ := c.like(r)
		for _, met := range []bool{false, true} {
			raw := []byte(text)
			q, body, _ := c.likeRaw(raw)
			if string(raw) != text {
				t.Fatalf("%q became %q", text, raw)
			}
			if q == nil {
				return // the server sees to it
			}
			if want == nil {
				t.Fatalf("met before: %v: %q is served as %v, and net/http would not", met, text, q)
			}
			if q.Method != want.Method || q.RequestURI != want.RequestURI || q.Host != want.Host || q.ContentLength != want.ContentLength ||
				q.Close != want.Close || !reflect.DeepEqual(q.Header, want.Header) || !reflect.DeepEqual(q.URL, want.URL) {
				t.Errorf("met before: %v: %v instead of %v", met, q, want)
			}
			if !met {
				if all, err := io.ReadAll(want.Body); err != nil || string(all) != string(body) {
					t.Errorf("body %q instead of %q: %v", body, all, err)
				}
			}
		}
	})
}

// Heads that are kept are few, and none that says who somebody is.
func TestHeads_are_bounded_and_hold_no_secret(t *testing.T) {
	var h heads
	for i := range 3 * maxHeads {
		raw := []byte(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		if h.parse(raw, len(raw)) == nil || h.find(raw) == nil {
			t.Fatal("a head was not taken")
		}
	}
	if n := len(h.known); n > maxHeads {
		t.Errorf("%d are kept", n)
	}
	for _, field := range []string{"Authorization: Bearer x", "Cookie: a=b", "authorization: Basic x", "X: " + strings.Repeat("x", maxHead)} {
		raw := []byte("POST / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n\r\n")
		k := h.parse(raw, len(raw))
		if k == nil || h.find(raw) != nil {
			t.Fatalf("%q is kept, or not taken", field)
		}
		equal(t, field+" may be asked about", k.mark == mark{}, strings.HasPrefix(strings.ToLower(field), "authorization"))
	}
}

// What is in front of the handler may change the request it is given: it is that request's alone.
func TestHeads_requests_share_nothing(t *testing.T) {
	s := newServer(t, handedBack, longLived, frontAsked)
	seen := make(chan string, 10)
	w := s.wireTo(s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Kept") + r.URL.Path
		r.Header.Set("X-Kept", "changed")
		r.URL.Path = "/changed"
		s.h.ServeHTTP(w, r)
	})}))
	id := s.connected(`"/a"`)
	for i := range 4 {
		w.send(bytes.Replace(rawPost(connect(id, `"1"`)), []byte("\r\n"), []byte("\r\nX-Kept: yes\r\n"), 1))
		s.heldNow(1)
		equal(t, "seen", <-seen, "yes/bayeux")
		s.event("/a", fmt.Sprint(i))
		w.messages()
	}
}
