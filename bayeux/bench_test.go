package bayeux

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// quickServer holds for long and pings seldom.
func quickServer(b testing.TB, set ...func(*Options, *broker.Options)) *server {
	b.Helper()
	return newServer(b, append(set, func(o *Options, _ *broker.Options) {
		o.Timeout, o.Ping, o.MaxInterval = time.Hour, time.Hour, time.Hour
		o.MaxMessages, o.MaxBytes = 100_000, 1<<30
	})...)
}

// rawSocket upgrades a connection and makes a session, with as little memory as a client can: its bytes are the
// measure of the server's.
func (s *server) rawSocket(frames ...string) net.Conn {
	s.t.Helper()
	nc, r := s.rawUpgrade()
	id := ""
	for _, text := range append([]string{"[" + handshakeMessage + "]"}, frames...) {
		writeAll(s.t, nc, maskedFrame(strings.ReplaceAll(text, "CID", id)))
		reply := readServerFrame(s.t, r)
		if id == "" {
			id = gjson.Get(reply, "0.clientId").Str
		}
	}
	return nc
}

func (s *server) rawUpgrade() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	nc, err := s.dial(context.Background(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET /bayeux HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	r := bufio.NewReaderSize(nc, 1024)
	for line := "-"; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			s.t.Fatal(err)
		}
	}
	return nc, r
}

// maskedFrame is a client's text frame, masked with zeros.
func maskedFrame(text string) []byte {
	b := wsframe.AppendHeader(nil, wsframe.Text, len(text))
	b[1] |= 0x80
	return append(append(b, 0, 0, 0, 0), text...)
}

func readServerFrame(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	head, err := r.Peek(4)
	if err != nil {
		t.Fatal(err)
	}
	n := int(head[1])
	if n == 126 {
		n = int(head[2])<<8 | int(head[3])
	}
	frame := make([]byte, wsframe.HeaderLen(head)+n)
	if _, err := io.ReadFull(r, frame); err != nil {
		t.Fatal(err)
	}
	return string(frame[wsframe.HeaderLen(frame):])
}

// BenchmarkFanout publishes to subscribers over loopback WebSockets and waits until all have what was in flight. The clients
// only count bytes, on the same cores. An event is a frame of 164 bytes, or of 1 KB.
func BenchmarkFanout(b *testing.B) {
	for _, subscribers := range []int{1, 100, 1000, 10_000} {
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("subscribers=%d/in_flight=%d", subscribers, inFlight), func(b *testing.B) {
				benchmarkFanout(b, subscribers, inFlight, 164)
			})
		}
	}
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("subscribers=1000_of_1KB/in_flight=%d", inFlight), func(b *testing.B) {
			benchmarkFanout(b, 1000, inFlight, 1024)
		})
	}
}

func benchmarkFanout(b *testing.B, subscribers, inFlight, frame int) {
	if room := descriptors()/2 - 50; subscribers > room {
		b.Logf("%d subscribers: more descriptors than that there are not", room)
		subscribers = room
	}
	s := quickServer(b)
	var received atomic.Int64 // events
	progress := make(chan struct{}, 1)
	for range subscribers {
		nc := s.rawSocket("["+msg("/meta/connect", "CID", `"1"`, `"connectionType":"websocket"`)+"]", "["+subscribe("CID", `"2"`, `"/bench"`)+"]")
		defer nc.Close()
		go func() {
			buf := make([]byte, 16<<10)
			for {
				n, err := nc.Read(buf)
				if err != nil {
					return
				}
				events := 0
				for _, c := range buf[:n] {
					if c == '!' { // one in each event
						events++
					}
				}
				received.Add(int64(events))
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		}()
	}
	const header, around = 4, len(`[{"channel":"/bench","data":"!"}]`)
	data := []byte(`"!` + strings.Repeat("x", frame-header-around) + `"`)
	var sent int64
	b.ReportAllocs()
	for b.Loop() {
		for range inFlight {
			_, err := s.b.Publish(b.Context(), broker.Principal{}, &broker.Message{Channel: "/bench", Data: data}, broker.PublishOptions{})
			if err != nil {
				b.Fatal(err)
			}
		}
		for sent += int64(subscribers * inFlight); received.Load() < sent; {
			<-progress
		}
	}
	deliveries := float64(b.N) * float64(subscribers*inFlight)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
	b.ReportMetric(float64(s.h.outbox.Stats().Writes)/deliveries, "writes/delivery")
}

// BenchmarkIdleSocket measures what the server keeps for a session on a WebSocket with a subscription and a held connect. The
// client's end of the connection is in the same process, and in the figure: some 0.5 KB.
func BenchmarkIdleSocket(b *testing.B) {
	benchmarkIdle(b, func(s *server, i int) net.Conn {
		connect := "[" + msg("/meta/connect", "CID", `"1"`, `"connectionType":"websocket"`) + "]"
		nc := s.rawSocket(connect, "["+subscribe("CID", `"2"`, fmt.Sprintf(`"/idle/%d"`, i))+"]")
		writeAll(s.t, nc, maskedFrame("["+msg("/meta/connect", "CID", `"3"`, `"connectionType":"websocket"`)+"]"))
		return nc
	})
}

// BenchmarkHeldPoll measures the same for a session that long-polls.
func BenchmarkHeldPoll(b *testing.B) {
	benchmarkIdle(b, func(s *server, i int) net.Conn {
		id := s.connected(fmt.Sprintf(`"/idle/%d"`, i))
		nc, err := s.dial(context.Background(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"))
		if err != nil {
			b.Fatal(err)
		}
		writeAll(s.t, nc, rawPost("["+connect(id, `"1"`)+"]"))
		return nc
	})
}

// BenchmarkIdleStream measures the same for a session whose events come on an EventSource.
func BenchmarkIdleStream(b *testing.B) {
	benchmarkIdle(b, func(s *server, i int) net.Conn {
		id := s.connected(fmt.Sprintf(`"/idle/%d"`, i))
		nc, err := s.dial(context.Background(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"))
		if err != nil {
			b.Fatal(err)
		}
		writeAll(s.t, nc, []byte("GET /bayeux/"+id+" HTTP/1.1\r\nHost: waft.test\r\nAccept: text/event-stream\r\n\r\n"))
		return nc
	})
}

// BenchmarkIdleConnection measures a session and a connection that waits for a next request of its client: in net/http, or parked after a poll that was held
// or after any other request.
func BenchmarkIdleConnection(b *testing.B) {
	for _, way := range []struct {
		name, timeout string
		inHandler     bool
	}{{"net_http", "0", true}, {"after_a_poll", "50", false}, {"after_another", "0", false}} {
		b.Run(way.name, func(b *testing.B) {
			set := func(o *Options, _ *broker.Options) { o.HoldInHandler = way.inHandler }
			benchmarkIdleUntil(b, set, func(s *server, i int) net.Conn {
				nc := s.rawDial()
				poll := msg("/meta/connect", s.connected(fmt.Sprintf(`"/idle/%d"`, i)), `"1"`, `"connectionType":"long-polling","advice":{"timeout":`+way.timeout+`}`)
				writeAll(b, nc, rawPost(poll))
				return nc
			}, func(s *server, conns []net.Conn) {
				for _, nc := range conns {
					if err := skipResponse(bufio.NewReader(nc)); err != nil {
						b.Fatal(err)
					}
				}
				eventually(b, func() bool { return s.h.Stats().Polls == 0 })
			})
		})
	}
}

func benchmarkIdle(b *testing.B, open func(s *server, i int) net.Conn) {
	benchmarkIdleUntil(b, handedBack, open, func(s *server, conns []net.Conn) {
		eventually(b, func() bool { st := s.h.Stats(); return st.Sockets+st.Streams+st.Polls == len(conns) })
	})
}

// benchmarkIdleUntil waits for idle, when all are open, and measures.
func benchmarkIdleUntil(b *testing.B, set func(*Options, *broker.Options), open func(s *server, i int) net.Conn, idle func(s *server, conns []net.Conn)) {
	const sessions = 2000
	for b.Loop() {
		s := quickServer(b, set)
		before := memory()
		conns := make([]net.Conn, 0, sessions)
		for i := range sessions {
			conns = append(conns, open(s, i))
		}
		idle(s, conns)
		b.ReportMetric(float64(memory()-before)/sessions, "bytes/session")
		for _, nc := range conns {
			nc.Close()
		}
	}
}

// memory is what the process uses, heap and stacks.
func memory() int64 {
	for range 3 {
		runtime.GC() // stacks shrink, pools empty
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
