package bayeux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox/park"
)

// openNumbers is how many descriptors this process has open.
func openNumbers(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("not counted: ", err)
	}
	return len(all) - 1 // one was for the reading
}

// ownNow are the connections that hold a poll, and of which there is no net.Conn.
func (s *server) ownNow() (n int) {
	s.h.mu.RLock()
	defer s.h.mu.RUnlock()
	for c := range s.h.held {
		if c.isParked() && !c.idle.Load() && c.socket.Owns() {
			n++
		}
	}
	return n
}

// However a connection goes, its descriptor goes with it, and is one all the time.
func TestParkedOwn_no_descriptor_is_left(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	id := s.connected(`"/a"`)
	round := func(n int, end func(w *wire)) {
		w := s.wire()
		for i := range 3 {
			w.send(rawPost(connect(id, `"1"`)))
			s.heldNow(1)
			equal(t, "own", s.ownNow(), 1)
			s.event("/a", fmt.Sprint(10*n+i))
			w.messages()
			s.idleNow(1)
		}
		end(w)
		w.nc.Close()
		eventually(t, func() bool { return s.connections() == 0 })
	}
	ends := map[string]func(w *wire){
		"it closes": func(w *wire) { w.nc.Close() },
		"it goes back to the server, with what it was sent": func(w *wire) {
			w.send([]byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\nGET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n"))
			for range 2 {
				_, body := w.next()
				equal(t, "body", body, "other")
			}
		},
		"it goes back, and comes again": func(w *wire) {
			w.send([]byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n"))
			w.next()
			w.send(rawPost(connect(id, `"1"`)))
			s.heldNow(1)
			equal(t, "own", s.ownNow(), 1)
		},
		"it hangs up while it is held": func(w *wire) {
			w.send(rawPost(connect(id, `"1"`)))
			s.heldNow(1)
		},
		"it is to be closed": func(w *wire) {
			w.send(bytes.Replace(rawPost(connect(id, `"1"`)), []byte("\r\n"), []byte("\r\nConnection: close\r\n"), 1))
			eventually(t, func() bool { return s.h.Stats().Polls == 1 })
			s.event("/a", "9")
			w.messages()
			w.ended()
		},
	}
	for name, end := range ends {
		t.Log(name)
		round(0, end) // what is opened once
		before := openNumbers(t)
		for n := range 5 {
			round(n, end)
		}
		eventually(t, func() bool { return openNumbers(t) <= before })
	}
}

// Whoever is in front is told the addresses that the connection has, served here or given back.
func TestParkedOwn_addresses(t *testing.T) {
	s := newServer(t, handedBack, longLived, frontAsked)
	seen := make(chan string, 10)
	address := s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- fmt.Sprint(r.RemoteAddr, " ", r.Context().Value(http.LocalAddrContextKey))
		if r.URL.Path == "/bayeux" {
			s.h.ServeHTTP(w, r)
		}
	})})
	id := s.connected(`"/a"`)
	w := s.wireTo(address)
	want := fmt.Sprint(w.nc.LocalAddr(), " ", w.nc.RemoteAddr())
	for i := range 3 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		equal(t, "addresses", <-seen, want)
		s.event("/a", fmt.Sprint(i))
		w.messages()
	}
	s.idleNow(1)
	w.send([]byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n"))
	equal(t, "addresses", <-seen, want)
	w.next()
}

// nobody owns a socket that the test itself runs.
type nobody struct{}

func (nobody) Run(*park.Worker, park.Happened) bool { return true }

// What has not been taken in time never will be.
func TestParkedOwn_a_response_for_which_there_is_no_room_in_time(t *testing.T) {
	onLinux(t)
	h := &Handler{lot: park.New(1)}
	defer h.lot.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &heldPoll{asked: asked{s: &session{h: h}}}
	if err := c.socket.Take(h.lot, here, nobody{}); err != nil {
		t.Fatal(err)
	}
	var came []error
	c.until = int64(writeWithin)
	c.unsent = &unsent{bytes.Repeat([]byte("x"), 64<<20), func(_ int64, err error) { came = append(came, err) }}
	c.runWriting(new(park.Worker), c.until-1)
	equal(t, "it waits", len(came), 0)
	c.runWriting(new(park.Worker), c.until)
	if len(came) != 1 || !errors.Is(came[0], os.ErrDeadlineExceeded) {
		t.Error("it came to ", came)
	}
	c.socket.Close()
	if _, err := io.Copy(io.Discard, there); err != nil {
		t.Error(err)
	}
}

// The timer is moved only to ring earlier: what it rings for is looked at then.
func TestParkedOwn_a_timer_that_rings_early(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, func(o *Options, _ *broker.Options) { o.Timeout, o.MaxInterval = 400*time.Millisecond, time.Minute })
	id := s.connected(`"/a"`)
	w := s.wireTo(s.newWeb(&http.Server{IdleTimeout: 700 * time.Millisecond}))
	for i := range 4 { // one is answered, the next is held for its time: it was to ring for the one before
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		if i%2 == 0 {
			s.event("/a", fmt.Sprint(i))
			equal(t, "events", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
			continue
		}
		ok(t, w.messages().with(t, `"1"`))
	}
	w.ended() // for want of a next request
	eventually(t, func() bool { return s.connections() == 0 })
}

// exchange sends a request and reads the response. It is false if the connection has ended.
func (w *wire) exchange(request []byte) bool {
	if _, err := w.nc.Write(request); err != nil {
		return false
	}
	answer, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil
}

// A shutdown meets polls that are held, that are answered, that are asked again and that go: nothing is left of any.
func TestParkedOwn_shutdown_meets_polls_in_every_state(t *testing.T) {
	onLinux(t)
	before := 0
	for n := range 6 {
		s := newServer(t, handedBack, longLived)
		const clients = 16
		done := make(chan struct{}, clients)
		for i := range clients {
			id, w := s.connected(`"/a"`), s.wire()
			go func() {
				defer func() { w.nc.Close(); done <- struct{}{} }()
				other := []byte("GET /other HTTP/1.1\r\nHost: waft.test\r\n\r\n")
				for (i%4 > 0 || w.exchange(other)) && w.exchange(rawPost(connect(id, `"1"`))) { //nolint:revive // until it is cut off
				}
			}()
		}
		for i := range 20 {
			s.event("/a", fmt.Sprint(i))
		}
		ctx, cancel := context.WithCancel(context.Background())
		if n%2 == 0 {
			cancel() // it cuts them off
		}
		_ = s.h.Shutdown(ctx)
		cancel()
		s.web.Close()
		for range clients {
			<-done
		}
		eventually(t, func() bool { return s.connections() == 0 })
		s.client.CloseIdleConnections()
		if n == 0 { // what is opened once has been
			before = openNumbers(t)
		}
		eventually(t, func() bool { return openNumbers(t) <= before })
	}
}
