package bayeux

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
)

// published publishes on w and has the reply.
func (s *server) published(w *wire, id string) {
	s.t.Helper()
	w.send(rawPost(publish(id, `"p"`, "/b", "1")))
	ok(s.t, w.messages().with(s.t, `"p"`))
}

// takenOver is a connection on which something was published, and which is parked now.
func (s *server) takenOver(id string) *wire {
	s.t.Helper()
	w := s.wire()
	s.published(w, id)
	s.waits(w)
	return w
}

// waits waits until the connection is parked and waits for a next request, partly until the beginning of one has come.
func (s *server) waits(w *wire) {
	eventually(s.t, func() bool { has, idle := s.has(w.nc.LocalAddr(), w.nc.RemoteAddr()); return has && idle })
}

func (s *server) partly(w *wire) {
	eventually(s.t, func() bool { has, idle := s.has(w.nc.LocalAddr(), w.nc.RemoteAddr()); return has && !idle })
}

// left waits until the connection is not the handler's any more.
func (s *server) left(w *wire) {
	eventually(s.t, func() bool { has, _ := s.has(w.nc.LocalAddr(), w.nc.RemoteAddr()); return !has })
}

// has tells whether the connection of a client was taken over, and waits for a next request.
func (s *server) has(from, to net.Addr) (has, idle bool) {
	c := s.taken(from, to)
	return c != nil, c != nil && c.idle.Load()
}

// taken is what is kept of the connection of a client that was taken over. A client may have one from the same port to another server.
func (s *server) taken(from, to net.Addr) *heldPoll {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	for c := range s.h.held {
		if c.remote == addrPort(from) && c.back.addr.String() == to.String() {
			return c
		}
	}
	return nil
}

// resting waits until the connection waits for a next request, and gives what is kept of it, which nobody else is at then.
func (s *server) resting(w *wire) *heldPoll {
	s.waits(w)
	return s.taken(w.nc.LocalAddr(), w.nc.RemoteAddr())
}

func TestTakeOver_connections_that_wait_have_no_goroutine(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	const connections = 50
	id := s.connected()
	var all []*wire
	for range connections {
		all = append(all, s.wire())
	}
	for range 3 {
		for _, w := range all {
			s.published(w, id)
		}
		s.idleNow(connections)
		eventually(t, func() bool { return runtime.NumGoroutine() < connections })
	}
}

// What is answered by net/http, before the connection is taken over, and what is answered after that do not differ; and whoever is in front has
// seen it all.
func TestTakeOver_answers_as_net_http_does(t *testing.T) {
	onLinux(t)
	form := func(text string) string { return "message=" + url.QueryEscape(text) }
	for name, request := range map[string]func(id string) string{
		"a publish":             func(id string) string { return string(rawPost(publish(id, "", "/b", "1"))) },
		"of a page":             func(id string) string { return withField(rawPost(publish(id, "", "/b", "1")), "Origin: "+page) },
		"a subscription":        func(id string) string { return string(rawPost(subscribe(id, `"1"`, `"/c"`))) },
		"a connect":             func(id string) string { return string(rawPost(connectNow(id, `"1"`))) },
		"nothing":               func(string) string { return string(rawPost("[]")) },
		"a session that is not": func(string) string { return string(rawPost(publish("x", `"1"`, "/b", "1"))) },
		"below the address":     func(id string) string { return at("/bayeux/", publish(id, "", "/b", "1")) },
		"a form": func(id string) string {
			return strings.Replace(string(rawPost(form(publish(id, "", "/b", "1")))), "json", "x-www-form-urlencoded", 1)
		},
		"callback-polling":           func(id string) string { return get("/bayeux?" + form(publish(id, "", "/b", "1"))) },
		"callback-polling's connect": func(id string) string { return get("/bayeux?jsonp=f&" + form(connectNow(id, `"1"`))) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			var asked atomic.Int64
			w := s.wireTo(s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				s.h.ServeHTTP(w, r)
			})}))
			id := s.connected()
			var want string
			for i := range 4 {
				w.send([]byte(request(id)))
				lines := strings.Split(w.raw(), "\n") // fields have another order
				slices.Sort(lines)
				if got := strings.Join(lines, "\n"); i == 0 {
					want = got
				} else if got != want {
					t.Errorf("%s\ninstead of\n%s", got, want)
				}
				s.oneRests(0)
				equal(t, "asked", asked.Load(), int64(i+1))
			}
			w.nc.Close()
			eventually(t, func() bool { return s.connections() == 0 })
		})
	}
}

func withField(request []byte, field string) string {
	return strings.Replace(string(request), "\r\n", "\r\n"+field+"\r\n", 1)
}

func at(target, body string) string {
	return strings.Replace(string(rawPost(body)), "/bayeux", target, 1)
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: waft.test\r\n\r\n" }

// Requests of the usual clients are served where they come; their addresses differ, and they may come in pieces.
func TestTakeOver_what_is_served_where_it_comes(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	id := s.connected(`"/a"`)
	w := s.takenOver(id)
	large := publish(id, `"p"`, "/b", `"`+strings.Repeat("x", 30_000)+`"`)
	for name, request := range map[string]string{
		"CometD's handshake":  at("/bayeux/handshake", msg("/meta/handshake", "", "1", `"version":"1.0","supportedConnectionTypes":["long-polling"]`)),
		"CometD's connect":    at("/bayeux/connect", connectNow(id, `"1"`)),
		"CometD's others":     at("/bayeux/", publish(id, `"p"`, "/b", "1")),
		"with a query":        at("/bayeux?a=b", publish(id, `"p"`, "/b", "1")),
		"a disconnect":        at("/bayeux/disconnect", msg("/meta/disconnect", s.connected(), "1", "")),
		"a preflight":         "OPTIONS /bayeux HTTP/1.1\r\nHost: waft.test\r\nOrigin: " + page + "\r\nAccess-Control-Request-Method: POST\r\n\r\n",
		"with a secret":       withField(rawPost(publish(id, `"p"`, "/b", "1")), "Authorization: Bearer good"),
		"large":               string(rawPost(large)),
		"no head that is met": withField(rawPost("[]"), "X: "+strings.Repeat("x", 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, pieces := range []int{1, 2, 50, len(request)} {
				if pieces > 100 && name == "large" {
					break
				}
				for piece := range slices.Chunk([]byte(request), (len(request)+pieces-1)/pieces) {
					w.send(piece)
				}
				if res, body := w.next(); res.status >= 300 || strings.Contains(body, `"successful":false`) && name != "a disconnect" {
					t.Error(res.status, body)
				}
				s.waits(w)
			}
		})
	}
	equal(t, "that went back", len(s.h.returnees.known), 0)
	w.send([]byte(at("/bayeux/connect", connect(id, `"1"`))))
	s.heldNow(1)
	s.event("/a", "1")
	equal(t, "event", strings.Join(w.messages().events(), ","), "1")
	s.idleNow(1)
}

// Everything else goes back, and is answered by net/http, in order. From then on the connection is left alone, but for a poll.
func TestTakeOver_what_goes_back(t *testing.T) {
	onLinux(t)
	const chunked = "POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
	for name, c := range map[string]struct {
		request string
		answers []string // the status, and a text
	}{
		"another address":         {string(other), []string{"200other"}},
		"two at once":             {string(rawPost("[]")) + string(other), []string{"200[]", "200other"}},
		"chunked":                 {chunked, []string{"200[]"}},
		"asking first":            {withField(rawPost("[]")[:len(rawPost("[]"))-2], "Expect: 100-continue"), []string{"100"}},
		"HTTP/1.0":                {strings.Replace(string(rawPost("[]")), "1.1", "1.0", 1), []string{"200[]"}},
		"another host":            {strings.Replace(string(rawPost("[]")), "waft.test", "other.test", 1), []string{"200[]"}},
		"no message":              {get("/bayeux"), []string{"400"}},
		"a script":                {get("/bayeux.js"), []string{"404"}},
		"another method":          {strings.Replace(string(rawPost("[]")), "POST", "PUT", 1), []string{"405"}},
		"not HTTP":                {"hello\r\n\r\n", []string{"400"}},
		"a header that is none":   {withField(rawPost("[]"), "hello"), []string{"400"}},
		"two lengths":             {withField(rawPost("[]"), "Content-Length: 3"), []string{"400"}},
		"a body that is too long": {string(rawPost(strings.Repeat(" ", 70_000))), []string{"413"}},
		"a head that is too long": {withField(rawPost("[]"), "X: "+strings.Repeat("x", 20_000)), []string{"431"}},
		"a stream that is not":    {withField([]byte(get("/bayeux?a")), "Accept: text/event-stream"), []string{"404"}},
		"a WebSocket":             {withField([]byte(get("/bayeux?a")), "Upgrade: websocket"), []string{"400"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			id := s.connected(`"/a"`)
			w := s.wireTo(s.newWeb(&http.Server{Handler: s.web.Handler, MaxHeaderBytes: 8 << 10, IdleTimeout: time.Minute}))
			s.published(w, id)
			s.waits(w)
			w.send([]byte(c.request))
			var res wireResponse
			for _, want := range c.answers {
				var body string
				if res, body = w.next(); fmt.Sprint(res.status) != want[:3] || !strings.Contains(body, want[3:]) {
					t.Errorf("%d %q instead of %s", res.status, body, want)
				}
			}
			if name == "asking first" {
				w.send([]byte("[]"))
				w.messages()
			}
			s.left(w)
			if res.closes {
				return
			}
			s.published(w, id)
			w.send(other)
			w.next()
			has, _ := s.has(w.nc.LocalAddr(), w.nc.RemoteAddr())
			equal(t, "taken over", has, false)
			w.send(rawPost(connect(id, `"1"`)))
			s.heldNow(1)
			s.event("/a", "1")
			w.messages()
			s.idleNow(1)
		})
	}
}

// wearing is a ResponseWriter in front of another.
type wearing struct{ http.ResponseWriter }

func (w wearing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Connections are left to the server where they would not be served on, or are not worth it.
func TestTakeOver_what_stays(t *testing.T) {
	usual := func(id string) string { return string(rawPost(publish(id, `"p"`, "/b", "1"))) }
	for name, c := range map[string]struct {
		request func(id string) string
		front   func(http.ResponseWriter) http.ResponseWriter
		web     *http.Server
		set     func(*Options, *broker.Options)
		fresh   bool // the client has never connected
	}{
		"a publish of a client that only publishes": {fresh: true},
		"HTTP/1.0": {request: func(id string) string {
			return strings.Replace(withField([]byte(usual(id)), "Connection: keep-alive"), "1.1", "1.0", 1)
		}},
		"the last": {request: func(id string) string { return withField([]byte(usual(id)), "Connection: close") }},
		"chunked": {request: func(string) string {
			return "POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
		}},
		"a handshake": {request: func(string) string {
			return string(rawPost(msg("/meta/handshake", "", "1", `"version":"1.0","supportedConnectionTypes":["long-polling"]`)))
		}},
		"a disconnect": {request: func(id string) string { return string(rawPost(msg("/meta/disconnect", id, "1", ""))) }},
		"a preflight":  {request: func(string) string { return "OPTIONS /bayeux HTTP/1.1\r\nHost: waft.test\r\n\r\n" }},
		"refused":      {request: func(string) string { return string(rawPost("{")) }},
		"behind something that wears the response": {front: func(w http.ResponseWriter) http.ResponseWriter { return wearing{w} }},
		"behind something that encodes it": {front: func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Set("Content-Encoding", "identity")
			return w
		}},
		"behind something that ends it": {front: func(w http.ResponseWriter) http.ResponseWriter {
			w.Header().Set("Connection", "close")
			return w
		}},
		"with a context for each": {web: &http.Server{ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return ctx }}},
		"held in the handler":     {set: func(o *Options, _ *broker.Options) { o.HoldInHandler = true }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			if c.set != nil {
				s = newServer(t, c.set, longLived)
			}
			over := make(chan bool, 1)
			web := c.web
			if web == nil {
				web = &http.Server{}
			}
			var w *wire
			web.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if c.front != nil {
					rw = c.front(rw)
				}
				s.h.ServeHTTP(rw, r)
				has, _ := s.has(w.nc.LocalAddr(), w.nc.RemoteAddr())
				over <- has
			})
			w = s.wireTo(s.newWeb(web))
			id := s.handshake()
			if !c.fresh {
				s.post(connect(id, `"c0"`))
			}
			if c.request == nil {
				c.request = usual
			}
			w.send([]byte(c.request(id)))
			if res, body := w.next(); body == "" && res.status != 204 {
				t.Error(res)
			}
			equal(t, "taken over", <-over, false)
		})
	}
}

// Where connections cannot be parked, one goes back to the server, and the others are not taken from it.
func TestTakeOver_only_plain_sockets(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	var hijacked atomic.Int64
	web := &http.Server{Handler: s.h, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			hijacked.Add(1)
		}
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { _ = web.Serve(wrappingListener{l}); close(served) }()
	defer func() { web.Close(); <-served }()
	id := s.connected()
	for range 3 {
		w := s.wireTo(l.Addr().String())
		for range 3 {
			s.published(w, id)
		}
	}
	equal(t, "taken over", hijacked.Load(), 1)
	eventually(t, func() bool { return s.connections() == 0 })
}

func TestTakeOver_requests_sent_ahead_are_served_in_order(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	id := s.connected()
	w := s.wire()
	for round := range 3 { // from net/http, and then where it was given back
		var all []byte
		for i := range 10 {
			all = append(all, rawPost(publish(id, fmt.Sprintf(`"p%d.%d"`, round, i), "/b", "1"))...)
		}
		w.send(all, other)
		for i := range 10 {
			ok(t, w.messages().with(t, fmt.Sprintf(`"p%d.%d"`, round, i)))
		}
		_, body := w.next()
		equal(t, "other", body, "other")
	}
}

// The rest of a request is waited for a little, and then by the server, which has a limit for that.
func TestTakeOver_the_rest_that_does_not_come(t *testing.T) {
	onLinux(t)
	for name, c := range map[string]struct {
		length int // of what comes
		within time.Duration
	}{"a part of the head": {28, 0}, "a part of the body": {120, 0}, "no more than that": {28, 50 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, handedBack, longLived)
			w := s.wireTo(s.newWeb(&http.Server{ReadHeaderTimeout: c.within, IdleTimeout: time.Minute}))
			id := s.connected()
			s.published(w, id)
			s.waits(w)
			request := rawPost(publish(id, `"q"`, "/b", "1"))
			w.send(request[:c.length])
			s.left(w)
			if c.within == 0 {
				w.send(request[c.length:])
				ok(t, w.messages().with(t, `"q"`))
			} else {
				_, _ = io.Copy(io.Discard, w.r) // the server ends it
			}
		})
	}
}

// Only for what is missing is anything waited.
func TestTakeOver_what_is_there_is_not_waited_for(t *testing.T) {
	h := &Handler{opts: Options{MaxBody: 100}}
	c := &heldPoll{kind: &kind{host: "waft.test", door: "/bayeux"}, back: &handback{h: h, server: &http.Server{}}}
	request := rawPost("[]")
	for text, want := range map[string]bool{
		"P": true, string(request[:len(request)-1]): true, string(request): false, string(request) + "P": false, "PUT": false,
		withField(request[:len(request)-2], "Expect: 100-continue"): false,
		strings.ReplaceAll(string(request), "\r\n", "\n"):           false, strings.Replace(string(request), "\r\n\r\n", "\n\r\n", 1): false,
		strings.Replace(string(request), "\r\n\r\n", "\r\n", 1): true, "POST /bayeux HTTP/1.1\nHost: waft.test\n": true, // lines may end so
	} {
		_, _, rest := c.likeRaw([]byte(text))
		equal(t, text, rest, want)
	}
}

func TestTakeOver_it_ends_while_a_request_is_on_its_way(t *testing.T) {
	onLinux(t)
	for name, end := range map[string]func(*server, *wire){
		"the client leaves":        func(_ *server, w *wire) { w.nc.Close() },
		"the client ends its half": func(_ *server, w *wire) { _ = w.nc.(*net.TCPConn).CloseWrite() },
		"the handler is shut down": func(s *server, _ *wire) { _ = s.h.Shutdown(context.Background()) },
		"the handler is cut off": func(s *server, _ *wire) {
			over, end := context.WithCancel(context.Background())
			end()
			_ = s.h.Shutdown(over)
		},
		"the server is closed":    func(s *server, _ *wire) { _ = s.web.Close() },
		"the server is shut down": func(s *server, _ *wire) { _ = s.web.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			id := s.connected()
			w := s.takenOver(id)
			request := rawPost(publish(id, `"q"`, "/b", "1"))
			w.send(request[:20])
			s.partly(w)
			end(s, w)
			eventually(t, func() bool { return s.connections() == 0 })
		})
	}
}

func TestTakeOver_idle_connections(t *testing.T) {
	onLinux(t)
	idleConnectionsEnd(t, func(s *server) *wire { return s.takenOver(s.connected()) })
	t.Run("they end when their time is up", func(t *testing.T) {
		s := newServer(t, handedBack, longLived)
		w := s.wireTo(s.newWeb(&http.Server{IdleTimeout: 50 * time.Millisecond}))
		s.published(w, s.connected())
		w.ended()
		eventually(t, func() bool { return s.connections() == 0 })
	})
}

// A connection that waits is nothing that its address has open, and a request on it is.
func TestTakeOver_requests_count_for_their_address(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	id := s.connected()
	w := s.takenOver(id)
	poll := s.wire()
	poll.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	if err := s.h.SetLimits(Limits{AddressConnections: 1}); err != nil {
		t.Fatal(err)
	}
	w.send(rawPost(publish(id, `"q"`, "/b", "1")))
	res, _ := w.next()
	equal(t, "status", res.status, 429)
	poll.nc.Close()
	eventually(t, func() bool { return s.openNow() == 0 })
	s.published(w, id)
	eventually(t, func() bool { return s.openNow() == 0 })
}

func TestReturnees_are_bounded(t *testing.T) {
	var r returnees
	for i := range 3 * maxReturnees {
		from := fmt.Sprint(i)
		if r.has(from) {
			t.Fatal("it was here before")
		}
		if r.add(from); !r.has(from) || len(r.known) > maxReturnees {
			t.Fatalf("%d are known", len(r.known))
		}
	}
}

// Many clients publish and poll on connections that come and go while the handler stops: each reply is one's own, and nothing is left.
func TestTakeOver_many_at_once(t *testing.T) {
	s := newServer(t, handedBack, longLived)
	id := s.connected()
	const clients = 20
	done := make(chan error, clients)
	for i := range clients {
		go func() {
			done <- func() error {
				nc, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"))
				if err != nil {
					return err
				}
				defer nc.Close()
				r := newReader(nc)
				for j := range 50 {
					own := fmt.Sprintf(`"%d.%d"`, i, j)
					request := rawPost(publish(id, own, "/b", "1"))
					if j%10 == 9 {
						request = slices.Concat(request, other)
					}
					if _, err := nc.Write(request[:j]); err != nil {
						return err
					}
					if _, err := nc.Write(request[j:]); err != nil {
						return err
					}
					for range 1 + bytes.Count(request, []byte("/other")) {
						res, err := http.ReadResponse(r, nil)
						if err != nil {
							return err
						}
						body, err := io.ReadAll(res.Body)
						res.Body.Close()
						if err != nil || !bytes.Contains(body, []byte(own)) && string(body) != "other" {
							return fmt.Errorf("%s: %q %w", own, body, err)
						}
					}
				}
				return nil
			}()
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() bool { return s.connections() == 0 })
}
