package bayeux

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
)

// These are about reading and the end of WebSockets: on plain sockets, of which no goroutine reads, and on others. What is read is package
// wsread's business.

// socketed opens a WebSocket with a session on it that is subscribed to /a.
func (s *server) socketed() (nc *net.TCPConn, r *bufio.Reader, id string) {
	s.t.Helper()
	conn, reader := s.rawUpgrade()
	ask := func(text string) messages {
		writeAll(s.t, conn, maskedFrame("["+text+"]"))
		return parseReply(s.t, readServerFrame(s.t, reader))
	}
	id = ask(handshakeMessage).with(s.t, `"h"`).Get("clientId").Str
	ok(s.t, ask(subscribe(id, `"s"`, `"/a"`)).with(s.t, `"s"`))
	return conn.(*net.TCPConn), reader, id
}

// socketless waits until nothing is left of sockets, but their sessions.
func (s *server) socketless() {
	s.t.Helper()
	eventually(s.t, func() bool { return s.h.Stats().Sockets == 0 && s.openNow() == 0 })
}

func TestSocket_ends_however_its_client_leaves(t *testing.T) {
	for name, leave := range map[string]func(nc *net.TCPConn){
		"closes":        func(nc *net.TCPConn) { nc.Close() },
		"ends its half": func(nc *net.TCPConn) { _ = nc.CloseWrite() },
		"resets":        func(nc *net.TCPConn) { _ = nc.SetLinger(0); nc.Close() },
		"says that it closes": func(nc *net.TCPConn) {
			writeAll(t, nc, []byte("\x88\x80\x00\x00\x00\x00"))
			_, _ = io.Copy(io.Discard, nc)
		},
		"says half, and closes": func(nc *net.TCPConn) { writeAll(t, nc, maskedFrame("[]")[:5]); nc.Close() },
		"says more, and closes": func(nc *net.TCPConn) {
			writeAll(t, nc, []byte(strings.Repeat(string(maskedFrame("[]")), 10_000)))
			nc.Close()
		},
		"breaks the protocol":    func(nc *net.TCPConn) { writeAll(t, nc, []byte("\x81\x01x")); _ = nc.CloseWrite() },
		"says what is too large": func(nc *net.TCPConn) { writeAll(t, nc, maskedFrame(strings.Repeat("x", 1<<20))); _ = nc.CloseWrite() },
		"says more than it ends": func(nc *net.TCPConn) { writeAll(t, nc, []byte("\x01\x80\x00\x00\x00\x00")); _ = nc.CloseWrite() },
		"says what is no Bayeux": func(nc *net.TCPConn) { writeAll(t, nc, maskedFrame("hello")); _ = nc.CloseWrite() },
		"says it in binary":      func(nc *net.TCPConn) { writeAll(t, nc, []byte("\x82\x80\x00\x00\x00\x00")); _ = nc.CloseWrite() },
		"says something after that": func(nc *net.TCPConn) {
			writeAll(t, nc, []byte("\x82\x80\x00\x00\x00\x00\x88\x80\x00\x00\x00\x00"))
			_, _ = io.Copy(io.Discard, nc)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothSockets(t, func(t *testing.T, s *server) {
				nc, _, id := s.socketed()
				leave(nc)
				s.socketless()
				s.event("/a", "1")
				equal(t, "events elsewhere", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "1")
			})
		})
	}
}

// Whoever ends a socket here, it is taken down.
func TestSocket_ends_however_the_server_closes_it(t *testing.T) {
	big := `"` + strings.Repeat("x", 100_000) + `"`
	over, cancel := context.WithCancel(t.Context())
	cancel()
	only := func(s *server) (found *socket) {
		s.h.mu.RLock()
		defer s.h.mu.RUnlock()
		for found = range s.h.sockets {
		}
		return found
	}
	for name, end := range map[string]func(s *server, id string, nc io.ReadWriter){
		"the server stops at once": func(s *server, _ string, _ io.ReadWriter) { _ = s.h.Shutdown(over) },
		"the peer is silent": func(s *server, _ string, _ io.ReadWriter) {
			found := only(s)
			found.heard.Store(-1 << 60)
			found.check()
		},
		"the peer does not answer that it is closed": func(s *server, _ string, _ io.ReadWriter) {
			found := only(s)
			found.shut(websocket.CloseNormalClosure, "")
			found.check() // its patience has an end
		},
		"its connection is closed": func(s *server, _ string, _ io.ReadWriter) { only(s).conn.Close() },
		"the peer takes nothing": func(s *server, _ string, _ io.ReadWriter) {
			for range 60 {
				s.event("/a", big)
			}
		},
		"the peer asks and does not read": func(s *server, _ string, nc io.ReadWriter) {
			for err := error(nil); err == nil; {
				_, err = nc.Write(maskedFrame("[" + strings.Repeat(`{"channel":"/x"},`, 500) + `{"channel":"/x"}]`))
			}
		},
		"half of something is there": func(s *server, _ string, nc io.ReadWriter) {
			writeAll(t, nc.(net.Conn), maskedFrame("[]")[:4])
			only(s).conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			within := time.Minute
			if name == "the peer takes nothing" {
				within = 100 * time.Millisecond
			}
			x := outbox.New(outbox.Options{WriteTimeout: within})
			t.Cleanup(x.Close)
			onBothSockets(t, func(t *testing.T, s *server) {
				nc, _, id := s.socketed()
				end(s, id, nc)
				s.socketless()
			}, func(o *Options, _ *broker.Options) { o.Outbox, o.MaxMessages, o.MaxBytes = x, 100, 1<<30 })
		})
	}
}

// Sockets end by both sides while messages are on their way in and out, and nothing is left of any.
func TestSocket_ends_race_with_everything(t *testing.T) {
	onBothSockets(t, func(t *testing.T, s *server) {
		const sockets = 60
		var racing sync.WaitGroup
		race := make([]func(), sockets)
		for i := range race {
			nc, _, id := s.socketed()
			race[i] = func() {
				_, _ = nc.Write(maskedFrame(publish(id, `"p"`, "/a", fmt.Sprint(i)))) // it may be closed
				switch i % 4 {
				case 0:
					nc.Close()
				case 1:
					_, _ = io.WriteString(nc, "x")
				case 2:
					s.h.mu.RLock()
					for other := range s.h.sockets {
						_ = other.conn.Close()
						break
					}
					s.h.mu.RUnlock()
				}
				s.event("/a", fmt.Sprint(i))
				nc.Close()
			}
		}
		for _, f := range race {
			racing.Go(f)
		}
		racing.Wait()
		s.socketless()
	})
}

// Sockets on which nothing comes have no goroutine, on plain sockets; those that had something to say go back to that.
func TestGuard_idle_sockets(t *testing.T) {
	onLinux(t)
	const sockets = 200
	s := quickServer(t)
	for range sockets {
		nc, r, id := s.socketed()
		writeAll(t, nc, maskedFrame(publish(id, `"p"`, "/elsewhere", "1")))
		readServerFrame(t, r)
	}
	// Those of net/http end some time after they have given up their connections.
	eventually(t, func() bool { return s.h.Stats().Sockets == sockets && runtime.NumGoroutine() < 50 })
}
