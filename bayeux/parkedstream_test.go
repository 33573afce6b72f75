package bayeux

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox"
)

// These are about the end of streams: on plain sockets, of which no goroutine reads, and on others.

// onBothSockets runs f with connections that are plain sockets, and with such as look otherwise and are served the long way.
func onBothSockets(t *testing.T, f func(t *testing.T, s *server), set ...func(*Options, *broker.Options)) {
	set = append([]func(*Options, *broker.Options){longLived}, set...)
	t.Run("plain", func(t *testing.T) { f(t, newServer(t, set...)) })
	t.Run("wrapped", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f(t, startServer(t, wrappingListener{l}, new(net.Dialer).DialContext, set...))
	})
}

// rawStream opens the stream of a session, with as little memory as a client can.
func (s *server) rawStream(id string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	nc, r := s.rawConn()
	writeAll(s.t, nc, []byte("GET /bayeux/"+id+" HTTP/1.1\r\nHost: waft.test\r\nAccept: text/event-stream\r\n\r\n"))
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		s.t.Fatal(line, err)
	}
	return nc, r
}

// streaming is the stream of a session, once it is open.
func (s *server) streaming(id string) (st *stream) {
	s.t.Helper()
	eventually(s.t, func() bool {
		session := s.h.session(id)
		session.mu.Lock()
		defer session.mu.Unlock()
		st, _ = session.endpoint.(*stream)
		return st != nil
	})
	return st
}

// streamless waits until nothing is left of streams, but their sessions.
func (s *server) streamless(sessions ...string) {
	s.t.Helper()
	eventually(s.t, func() bool { return s.h.Stats().Streams == 0 && s.openNow() == 0 })
	for _, id := range sessions {
		if session := s.h.session(id); session != nil && session.listens(false) {
			s.t.Error("the session has its stream still")
		}
	}
}

func TestStream_ends_however_its_client_leaves(t *testing.T) {
	for name, leave := range map[string]func(nc *net.TCPConn){
		"closes":                 func(nc *net.TCPConn) { nc.Close() },
		"ends its half":          func(nc *net.TCPConn) { _ = nc.CloseWrite() },
		"resets":                 func(nc *net.TCPConn) { _ = nc.SetLinger(0); nc.Close() },
		"says something":         func(nc *net.TCPConn) { writeAll(t, nc, []byte("x")) },
		"asks something":         func(nc *net.TCPConn) { writeAll(t, nc, rawPost("[]")) },
		"asks and ends its half": func(nc *net.TCPConn) { writeAll(t, nc, []byte("GET /")); _ = nc.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			onBothSockets(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				nc, _ := s.rawStream(id)
				s.streaming(id)
				leave(nc.(*net.TCPConn))
				s.client.CloseIdleConnections()
				s.streamless(id)
				s.event("/a", "1")
				equal(t, "events elsewhere", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "1")
			})
		})
	}
}

// Whoever ends a stream here, it is taken down.
func TestStream_ends_however_the_server_closes_it(t *testing.T) {
	big := `"` + strings.Repeat("x", 100_000) + `"`
	stuff := func(s *server) { // more than the sockets take
		for range 60 {
			s.event("/a", big)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, end := range map[string]func(s *server, id string, r io.Reader){
		"its client disconnects":   func(s *server, id string, _ io.Reader) { s.post(msg("/meta/disconnect", id, `"1"`, "")) },
		"its session is closed":    func(s *server, id string, _ io.Reader) { s.h.session(id).queue.Close(nil) },
		"its credential expires":   func(s *server, id string, _ io.Reader) { s.h.session(id).queue.Close(broker.ErrCredentialExpired) },
		"the server stops":         func(s *server, _ string, _ io.Reader) { _ = s.h.Shutdown(t.Context()) },
		"the server stops at once": func(s *server, _ string, _ io.Reader) { _ = s.h.Shutdown(over) },
		"another stream": func(s *server, id string, r io.Reader) {
			nc, _ := s.rawStream(id)
			_, _ = io.Copy(io.Discard, r)
			nc.Close()
		},
		"its client is silent": func(s *server, id string, _ io.Reader) {
			st := s.streaming(id)
			st.s.heard.Store(-1 << 60)
			st.check()
		},
		"its connection is closed": func(s *server, id string, _ io.Reader) { s.streaming(id).conn.Close() },
		"its client takes nothing": func(s *server, _ string, _ io.Reader) { stuff(s) },
		"its session is closed while it lags": func(s *server, id string, r io.Reader) {
			stuff(s)
			s.h.session(id).queue.Close(nil)
			_, _ = io.Copy(io.Discard, r)
		},
		"more is said than may be": func(s *server, id string, _ io.Reader) {
			for conn := s.streaming(id).conn; conn.Write([]byte(big)) == nil; {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			within := time.Minute
			if name == "its client takes nothing" {
				within = 100 * time.Millisecond
			}
			x := outbox.New(outbox.Options{WriteTimeout: within, MaxPending: 4 << 20})
			t.Cleanup(x.Close)
			onBothSockets(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				nc, _ := s.rawStream(id)
				s.streaming(id)
				end(s, id, nc)
				s.client.CloseIdleConnections()
				s.streamless(id)
			}, func(o *Options, _ *broker.Options) { o.Outbox, o.MaxMessages, o.MaxBytes = x, 100, 1<<30 })
		})
	}
}

// Streams end by both sides and give way to one another while messages are on their way, and nothing is left of any.
func TestStream_ends_race_with_everything(t *testing.T) {
	onBothSockets(t, func(t *testing.T, s *server) {
		var racing sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			ids[i] = s.connected(`"/a"`)
		}
		for i := range 3 * len(ids) {
			racing.Go(func() {
				nc, _ := s.rawStream(ids[i%len(ids)])
				switch i % 4 {
				case 0:
					nc.Close()
				case 1:
					_, _ = io.WriteString(nc, "x")
				case 2:
					s.h.mu.RLock()
					for st := range s.h.streams {
						st.leave()
					}
					s.h.mu.RUnlock()
				}
				s.event("/a", fmt.Sprint(i))
				nc.Close()
			})
		}
		racing.Wait()
		s.client.CloseIdleConnections()
		s.streamless(ids...)
	})
}
