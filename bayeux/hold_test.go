package bayeux

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/outbox/park"
)

// These are about polls that gave up their requests, whichever way the tests run.
func handedBack(o *Options, _ *broker.Options) { o.HoldInHandler = false }

// wire is a connection spoken by hand.
type wire struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (s *server) wire() *wire {
	nc, r := s.rawConn()
	return &wire{s.t, nc, r}
}

func (w *wire) send(parts ...[]byte) {
	w.t.Helper()
	writeAll(w.t, w.nc, slices.Concat(parts...))
}

// wireResponse is a response, as far as tests ask.
type wireResponse struct {
	response
	length int64
	closes bool
}

// next is the next response, and its body.
func (w *wire) next() (wireResponse, string) {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return wireResponse{response{res.StatusCode, res.Header, string(body)}, res.ContentLength, res.Close}, string(body)
}

func (w *wire) messages() messages {
	w.t.Helper()
	res, body := w.next()
	equal(w.t, "status", res.status, 200)
	return parseReply(w.t, body)
}

// ended fails unless the server has closed the connection.
func (w *wire) ended() {
	w.t.Helper()
	if b, err := io.ReadAll(w.r); err != nil || len(b) > 0 {
		w.t.Errorf("instead of the end: %q %v", b, err)
	}
}

// connections are those taken over, with polls and without; the client's own are closed when it does not need them.
func (s *server) connections() int {
	s.client.CloseIdleConnections()
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	return len(s.h.held)
}

// heldNow waits until so many polls are held that gave up their requests, and no others.
func (s *server) heldNow(n int) {
	s.t.Helper()
	eventually(s.t, func() bool {
		s.h.mu.RLock()
		defer s.h.mu.RUnlock()
		idle := 0
		for c := range s.h.held {
			if c.idle.Load() {
				idle++
			}
		}
		return len(s.h.held)-idle == n && int(s.h.polls.Load()) == n
	})
}

var other = []byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n")

func TestHold_the_connection_serves_on(t *testing.T) {
	s := newServer(t, handedBack)
	id := s.connected(`"/a"`)
	w := s.wire()
	for i, between := range []func(){
		func() {},
		func() { // another address
			w.send(other)
			_, body := w.next()
			equal(t, "other", body, "other")
		},
		func() { // the same address, and no poll
			w.send(rawPost(publish(id, `"p"`, "/b", "1")))
			ok(t, w.messages().with(t, `"p"`))
		},
		func() { // in pieces
			b := rawPost(publish(id, `"q"`, "/b", "1"))
			for i := range b {
				w.send(b[i : i+1])
			}
			ok(t, w.messages().with(t, `"q"`))
		},
		func() { // two at once
			w.send(rawPost(publish(id, `"r"`, "/b", "1")), other)
			ok(t, w.messages().with(t, `"r"`))
			_, body := w.next()
			equal(t, "other", body, "other")
		},
		func() { // chunked
			w.send([]byte("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"))
			_, body := w.next()
			equal(t, "empty", body, "[]")
		},
		func() { // asking first
			w.send([]byte("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
			res, _ := w.next()
			equal(t, "first", res.status, 100)
			w.send([]byte("[]"))
			_, body := w.next()
			equal(t, "empty", body, "[]")
		},
		func() { // refused
			w.send(rawPost("{"))
			res, body := w.next()
			equal(t, "status", res.status, 400)
			equal(t, "type", res.header.Get("Content-Type"), "text/plain; charset=utf-8")
			if body == "" || res.length != int64(len(body)) || res.header.Get("Date") == "" {
				t.Error("refused by", res, body)
			}
		},
	} {
		between()
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		s.event("/a", fmt.Sprint(i))
		equal(t, "event", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
	}
}

func TestHold_requests_sent_ahead_are_served_after_the_answer(t *testing.T) {
	for _, when := range []string{"with the poll", "while it is held"} {
		t.Run(when, func(t *testing.T) {
			s := newServer(t, handedBack)
			id := s.connected(`"/a"`)
			w := s.wire()
			ahead := slices.Concat(rawPost(publish(id, `"p"`, "/b", "1")), other)
			if when == "with the poll" {
				w.send(rawPost(connect(id, `"1"`)), ahead)
			} else {
				w.send(rawPost(connect(id, `"1"`)))
				s.heldNow(1)
				w.send(ahead)
			}
			s.heldNow(1)
			s.event("/a", "1")
			equal(t, "event", strings.Join(w.messages().events(), ","), "1")
			ok(t, w.messages().with(t, `"p"`))
			_, body := w.next()
			equal(t, "other", body, "other")
		})
	}
}

// Heads do not differ from those that net/http writes, and each response is one write.
func TestHold_answers_as_from_the_handler(t *testing.T) {
	callback := func(s *server, id string) []byte {
		q := url.Values{"message": {connect(id, `"1"`)}, "jsonp": {"__jsonp1__"}}
		return []byte("GET /bayeux?" + q.Encode() + " HTTP/1.1\r\nHost: waft.test\r\n\r\n")
	}
	post := func(fields string) func(*server, string) []byte {
		return func(_ *server, id string) []byte {
			return bytes.Replace(rawPost(connect(id, `"1"`)), []byte("\r\n"), []byte("\r\n"+fields), 1)
		}
	}
	for name, request := range map[string]func(*server, string) []byte{
		"plain": post(""), "page": post("Origin: " + page + "\r\n"), "callback": callback, "last": post("Connection: close\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var heads []http.Header
			for _, inHandler := range []bool{true, false} {
				bubble(t, func(t *testing.T, s *server) {
					id := s.connected(`"/a"`)
					w := s.wire()
					w.send(request(s, id))
					synctest.Wait()
					equal(t, "gave up the request", s.connections(), map[bool]int{true: 0, false: 1}[inHandler])
					s.event("/a", `"x"`)
					buf := make([]byte, 4096)
					n, err := w.nc.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					w.r.Reset(io.MultiReader(bytes.NewReader(buf[:n]), w.nc))
					res, body := w.next()
					if !strings.Contains(body, `"data":"x"`) || n < len(body) || !inHandler && w.r.Buffered() > 0 {
						t.Errorf("%q", buf[:n])
					}
					if res.closes {
						w.ended()
						res.header.Set("closes", "")
					}
					heads = append(heads, res.header)
				}, func(o *Options, _ *broker.Options) { o.HoldInHandler = inHandler })
			}
			if !maps.EqualFunc(heads[0], heads[1], slices.Equal[[]string]) {
				t.Errorf("in the handler %v, else %v", heads[0], heads[1])
			}
		})
	}
}

func TestHold_requests_that_keep_their_handler(t *testing.T) {
	s := newServer(t, handedBack)
	body := func(id string) string { return connect(id, `"1"`) }
	for name, request := range map[string]func(id string) []byte{
		"HTTP/1.0": func(id string) []byte {
			return bytes.Replace(rawPost(body(id)), []byte("HTTP/1.1"), []byte("HTTP/1.0"), 1)
		},
		"callback with a body": func(id string) []byte {
			return []byte("GET /bayeux?message=" + url.QueryEscape(body(id)) + " HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 5\r\n\r\nhello")
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := s.connected(`"/a"`)
			w := s.wire()
			w.send(request(id))
			eventually(t, func() bool { return s.h.Stats().Polls == 1 })
			eventually(t, func() bool { return s.connections() == 0 })
			s.event("/a", "1")
			if _, body := w.next(); !strings.Contains(body, `"data":1`) {
				t.Error(body)
			}
		})
	}
	t.Run("TLS", func(t *testing.T) {
		web := httptest.NewTLSServer(s.h)
		defer web.Close()
		id := s.connected(`"/a"`)
		answer := make(chan error, 1)
		go func() {
			res, err := web.Client().Post(web.URL, "application/json", strings.NewReader(body(id)))
			if err == nil {
				res.Body.Close()
			}
			answer <- err
		}()
		eventually(t, func() bool { return s.h.Stats().Polls == 1 })
		eventually(t, func() bool { return s.connections() == 0 })
		s.event("/a", "1")
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// A client that does not read its answer has it for some seconds, and its events for the next poll.
func TestHold_events_of_a_failed_response_are_returned(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		w := s.wire()
		w.send(rawPost(connect(id, `"1"`)))
		synctest.Wait()
		s.event("/a", "1")
		synctest.Wait() // else the response may have both
		s.event("/a", "2")
		time.Sleep(writeWithin + time.Second)
		equal(t, "returned", s.h.Stats().Returned, 1)
		equal(t, "polls", s.h.Stats().Polls, 0)
		equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1,2")
	}, handedBack, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Minute })
}

func TestHold_a_client_that_hangs_up_frees_the_session(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		w := s.wire()
		w.send(rawPost(connect(id, `"1"`)))
		synctest.Wait()
		w.nc.Close()
		synctest.Wait()
		equal(t, "polls", s.h.Stats().Polls, 0)
		equal(t, "held", s.connections(), 0)
		time.Sleep(grace / 2)
		s.event("/a", "1")
		equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1")

		w = s.wire()
		w.send(rawPost(connect(id, `"3"`)))
		synctest.Wait()
		w.nc.Close()
		time.Sleep(2 * grace)
		equal(t, "sessions", s.h.Stats().Sessions, 0)
	}, handedBack)
}

// What becomes of connections on which nothing is under way.
func TestHold_idle_connections(t *testing.T) {
	idle := func(t *testing.T, s *server) *wire {
		id := s.connected(`"/a"`)
		w := s.wire()
		w.send(rawPost(connect(id, `"1"`)))
		synctest.Wait()
		s.event("/a", "1")
		equal(t, "event", strings.Join(w.messages().events(), ","), "1")
		synctest.Wait()
		equal(t, "polls", s.h.Stats().Polls, 0)
		equal(t, "connections", s.connections(), 1)
		return w
	}
	for name, end := range map[string]func(*server) error{
		"they end with the handler":          func(s *server) error { return s.h.Shutdown(context.Background()) },
		"they end with the server's Close":   func(s *server) error { return s.web.Close() },
		"they do not hold up its Shutdown":   func(s *server) error { return s.web.Shutdown(context.Background()) },
		"they end when their time is up":     func(*server) error { time.Sleep(time.Minute); return nil },
		"they end when the client ends them": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				w := idle(t, s)
				if end == nil {
					w.nc.Close()
				} else {
					began := time.Now()
					if err := end(s); err != nil {
						t.Error(err)
					}
					w.ended()
					if took := time.Since(began); took >= time.Minute && !strings.Contains(name, "time is up") {
						t.Error("took", took)
					}
				}
				synctest.Wait()
				equal(t, "connections", s.connections(), 0)
			}, handedBack)
		})
	}
}

func TestHold_polls_are_answered_when_the_handler_or_the_server_stops(t *testing.T) {
	for name, stop := range map[string]func(*server) error{
		"handler": func(s *server) error { return s.h.Shutdown(context.Background()) },
		"server":  func(s *server) error { return s.web.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				w := s.wire()
				w.send(rawPost(connect(id, `"1"`)))
				synctest.Wait()
				stopped := make(chan error, 1)
				go func() { stopped <- stop(s) }()
				res, body := w.next()
				parseReply(t, body)
				equal(t, "Connection: close", res.closes, true)
				w.ended()
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				equal(t, "connections", s.connections(), 0)
				equal(t, "polls", s.h.Stats().Polls, 0)
			}, handedBack)
		})
	}
}

// Sockets and streams can be opened where polls were held.
func TestHold_connections_can_be_taken_over_again(t *testing.T) {
	s := newServer(t, handedBack)
	id := s.connected(`"/a"`)
	w := s.wire()
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", "1")
	w.messages()
	w.send([]byte("GET /bayeux/" + id + " HTTP/1.1\r\nHost: waft.test\r\nAccept: text/event-stream\r\n\r\n"))
	eventually(t, func() bool { return s.h.Stats().Streams == 1 })
	s.h.mu.RLock()
	for st := range s.h.streams {
		if park.Plain(st.conn.NetConn()) == nil {
			t.Errorf("the outbox cannot write to a %T without a goroutine", st.conn.NetConn())
		}
	}
	s.h.mu.RUnlock()
	s.event("/a", `"on the stream"`)
	for line := ""; !strings.Contains(line, "on the stream"); {
		var err error
		if line, err = w.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

// What is read ahead of a connection is not in its socket.
func TestHold_a_connection_that_goes_back_is_a_socket_again_when_what_was_read_of_it_has_been_taken(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	c := &returned{Conn: here, ahead: []byte("ahead")}
	for _, left := range []int{5, 2, 0} {
		b := make([]byte, len(c.ahead)-left)
		_, _ = io.ReadFull(c, b)
		equal(t, fmt.Sprintf("a socket with %d bytes ahead", left), c.Plain() == here, left == 0)
	}
}

// What the server has in front of the handler sees every request, and the panics of what it has elsewhere end the connection.
func TestHold_requests_pass_through_the_servers_handler(t *testing.T) {
	s := newServer(t, handedBack, frontAsked)
	seen := make(chan *http.Request, 10)
	inner := s.web.Handler
	s.web.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if r.Header.Get("X-Deny") != "" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Front", "yes")
		inner.ServeHTTP(w, r)
	})
	id := s.connected(`"/a"`)
	for len(seen) > 0 {
		<-seen
	}
	w := s.wire()
	for i := range 3 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		s.event("/a", "1")
		res, _ := w.next()
		equal(t, "field from in front", res.header.Get("X-Front"), "yes")
		r := <-seen
		if r.RemoteAddr != w.nc.LocalAddr().String() || r.Context().Value(http.ServerContextKey) != any(s.web) ||
			fmt.Sprint(r.Context().Value(http.LocalAddrContextKey)) != w.nc.RemoteAddr().String() {
			t.Errorf("request %d is of %s, in %v", i, r.RemoteAddr, r.Context())
		}
	}
	w.send(bytes.Replace(rawPost(connect(id, `"1"`)), []byte("\r\n"), []byte("\r\nX-Deny: yes\r\n"), 1))
	w.ended()
}

// FuzzAgain: what is served where it came is complete, framed by its length alone and for the same place; anything else is left whole.
func FuzzAgain(f *testing.F) {
	f.Add(string(rawPost("[]")))
	f.Add(string(rawPost("[]")) + "GET / HTTP/1.1\r\n\r\n")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[] ")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: waft.test\r\n X: y\r\n\r\n")
	f.Add("POST /other HTTP/1.1\r\nHost: waft.test\r\ncontent-length: 2\r\n\r\n[]")
	f.Add("POST /bayeux HTTP/1.1\r\nHost: other.test\r\nContent-Length: 2\r\n\r\n[]")
	f.Add("POST /bayeux HTTP/1.1\nHost: waft.test\n\n\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) == 0 || len(text) > 4<<10 {
			return
		}
		c := &reader{heldPoll: &heldPoll{kind: &kind{host: "waft.test", door: "/bayeux"}, back: &handback{server: &http.Server{}}, nc: addressed{}}}
		r := bufio.NewReaderSize(&onceReader{t: t, text: text}, 4<<10)
		if _, err := r.Peek(1); err != nil {
			t.Fatal(err)
		}
		q, raw := c.like(r)
		if q == nil {
			if string(raw) != text {
				t.Fatalf("%q became %q", text, raw)
			}
			return
		}
		body, err := io.ReadAll(q.Body)
		_, after, _ := strings.Cut(text, "\r\n\r\n")
		if err != nil || string(body) != after || r.Buffered() != 0 || q.RequestURI != "/bayeux" || q.Host != "waft.test" {
			t.Errorf("body %q of %q: %v", body, text, err)
		}
	})
}

type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return pipeAddr{} }

// onceReader gives its text at once, and must not be asked again.
type onceReader struct {
	t    *testing.T
	text string
}

func (r *onceReader) Read(b []byte) (int, error) {
	if r.text == "" {
		r.t.Fatal("it was read on")
	}
	n := copy(b, r.text)
	r.text = r.text[n:]
	return n, nil
}

// The time of an answer is looked up once in a second, and is right all the same.
func TestHandler_dates_are_those_of_the_clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{began: time.Now().Add(-time.Minute)}
		for range 20 {
			equal(t, "date", h.httpDate(h.now()), time.Now().UTC().Format(http.TimeFormat))
			time.Sleep(333 * time.Millisecond)
		}
		time.Sleep(time.Second - time.Duration(time.Now().Nanosecond()) - 1)
		equal(t, "a second's last date", h.httpDate(h.now()), time.Now().UTC().Format(http.TimeFormat))
		time.Sleep(time.Nanosecond)
		equal(t, "a second's first date", h.httpDate(h.now()), time.Now().UTC().Format(http.TimeFormat))
	})
}
