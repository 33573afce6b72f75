package sse

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox"
)

// These are about the end of streams: on plain sockets, of which no goroutine reads, and on others.

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return struct{ net.Conn }{nc}, err
}

// onBoth runs f with a server of plain sockets, and with one whose connections look otherwise and are served the long way.
func onBoth(t *testing.T, o Options, b broker.Options, f func(t *testing.T, s *server)) {
	t.Run("plain", func(t *testing.T) { f(t, newServer(t, o, b)) })
	t.Run("wrapped", func(t *testing.T) {
		s := newServer(t, o, b)
		s.http.Close()
		s.http = httptest.NewUnstartedServer(s.http.Config.Handler)
		s.http.Listener = wrappingListener{s.http.Listener}
		s.http.Start()
		t.Cleanup(s.http.Close)
		f(t, s)
	})
}

// over waits until nothing is left of the streams there were, and tells how they ended.
func (s *server) over() map[End]uint64 {
	s.t.Helper()
	if err := s.awaitIdle(); err != nil {
		s.t.Fatal(err)
	}
	st := s.handler.Stats()
	if b := s.broker.Stats(); st.Streams != 0 || b.Subscriptions != 0 || b.Sessions["sse"] != 0 {
		s.t.Errorf("%d streams, %d subscriptions, sessions %v are left", st.Streams, b.Subscriptions, b.Sessions)
	}
	for end, n := range st.Ended {
		if n == 0 {
			delete(st.Ended, end)
		}
	}
	return st.Ended
}

func (s *server) endedOnce(why End) {
	s.t.Helper()
	if got := s.over(); len(got) != 1 || got[why] != 1 {
		s.t.Errorf("ended: %v, want one of %v", got, why)
	}
}

func TestStream_ends_however_its_client_leaves(t *testing.T) {
	for name, leave := range map[string]func(nc *net.TCPConn){
		"closes":                 func(nc *net.TCPConn) { nc.Close() },
		"ends its half":          func(nc *net.TCPConn) { _ = nc.CloseWrite() },
		"resets":                 func(nc *net.TCPConn) { _ = nc.SetLinger(0); nc.Close() },
		"says something":         func(nc *net.TCPConn) { _, _ = io.WriteString(nc, "x") },
		"asks something":         func(nc *net.TCPConn) { _, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		"asks and ends its half": func(nc *net.TCPConn) { _, _ = io.WriteString(nc, "GET /"); _ = nc.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, Options{}, broker.Options{}, func(t *testing.T, s *server) {
				c := s.listen(query("/a", "/b/**"))
				c.named("ready")
				if err := waitFor(func() bool { return s.handler.Stats().Streams == 1 }); err != nil {
					t.Fatal(err)
				}
				leave(c.nc.(*net.TCPConn))
				s.endedOnce(EndClient)
				if e, err := c.read(); err == nil {
					t.Errorf("then came %+v", e)
				}
			})
		})
	}
}

// A request that comes along with the one for the stream has been read with it: it is no end, and gets no answer.
func TestStream_is_not_ended_by_what_came_with_its_request(t *testing.T) {
	onBoth(t, Options{}, broker.Options{}, func(t *testing.T, s *server) {
		c := s.listen(query("/a"), "X: y\r\n\r\nGET / HTTP/1.1\r\nHost: x")
		c.named("ready")
		s.publish("/a", 1)
		c.want("1")
		c.close()
		s.endedOnce(EndClient)
	})
}

// Whoever ends a stream here, it is taken down.
func TestStream_ends_however_the_server_closes_it(t *testing.T) {
	big := `"` + strings.Repeat("x", 100_000) + `"`
	stuff := func(s *server) { // more than the sockets take
		for range 60 {
			s.publish("/a", big)
		}
	}
	read := func(c *client) { _, _ = io.Copy(io.Discard, c.nc) }
	for name, c := range map[string]struct {
		end    func(s *server, c *client)
		why    End
		within time.Duration
	}{
		"its session is closed":    {end: func(s *server, _ *client) { s.one().session.Close(nil) }, why: EndClosed},
		"its credential expires":   {end: func(s *server, _ *client) { s.one().session.Close(broker.ErrCredentialExpired) }, why: EndExpired},
		"the server stops":         {end: func(s *server, _ *client) { _ = s.handler.Shutdown(s.t.Context()) }, why: EndShutdown},
		"the server stops at once": {end: func(s *server, _ *client) { _ = s.handler.Shutdown(over) }, why: EndShutdown},
		"its connection is closed": {end: func(s *server, _ *client) { s.one().conn.Load().Close() }, why: EndClient},
		"its client takes nothing": {end: func(s *server, _ *client) { stuff(s) }, why: EndClient, within: 100 * time.Millisecond},
		"its session is closed while it lags": {end: func(s *server, c *client) {
			stuff(s)
			s.one().session.Close(nil)
			read(c)
		}, why: EndClosed},
		"its connection is closed while it lags": {end: func(s *server, _ *client) {
			stuff(s)
			s.one().conn.Load().Close()
		}, why: EndClient},
		"more waits than may": {end: func(s *server, c *client) {
			for s.broker.Stats().Sessions["sse"] > 0 {
				s.publish("/a", big)
			}
			read(c)
		}, why: EndSlow},
		"more is said than may be": {end: func(s *server, _ *client) {
			for conn := s.one().conn.Load(); conn.Write([]byte(big)) == nil; {
			}
		}, why: EndClient},
	} {
		t.Run(name, func(t *testing.T) {
			x := outbox.New(outbox.Options{WriteTimeout: cmp.Or(c.within, time.Minute), MaxPending: 4 << 20})
			t.Cleanup(x.Close)
			onBoth(t, Options{Outbox: x, MaxMessages: 100, MaxBytes: 1 << 30}, broker.Options{}, func(t *testing.T, s *server) {
				client := s.listen(query("/a"))
				client.named("ready")
				if err := waitFor(func() bool { return s.handler.Stats().Streams == 1 }); err != nil {
					t.Fatal(err)
				}
				c.end(s, client)
				s.endedOnce(c.why)
			})
		})
	}
}

// over is a context whose time has passed.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (s *server) one() *stream { return s.handler.attached()[0] }

// Streams end by both sides while messages are on their way, and nothing is left of any.
func TestStream_ends_race_with_everything(t *testing.T) {
	onBoth(t, Options{}, broker.Options{}, func(t *testing.T, s *server) {
		const streams = 60
		var racing sync.WaitGroup
		for i := range streams {
			racing.Go(func() {
				nc := s.raw(query("/a", fmt.Sprintf("/b/%d", i)))
				defer nc.Close()
				switch i % 3 {
				case 0:
					nc.Close()
				case 1:
					_, _ = io.WriteString(nc, "x")
				}
				s.publish("/a", i)
				if i%2 == 0 {
					for _, st := range s.handler.attached() {
						if i%4 == 0 {
							st.session.Close(nil)
						} else {
							_ = st.conn.Load().Close()
						}
					}
				}
			})
		}
		racing.Wait()
		total := uint64(0)
		for _, n := range s.over() {
			total += n
		}
		if total != streams {
			t.Errorf("%d ends of %d streams", total, streams)
		}
	})
}
