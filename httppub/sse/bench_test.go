package sse

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
)

// raw opens a stream and reads up to the first event, with as little memory as a client can.
func (s *server) raw(query string) (nc net.Conn) {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(nc, "GET /realm/x/events?%s HTTP/1.1\r\nHost: x\r\n\r\n", query)
	buf, n := make([]byte, 2048), 0
	for !bytes.Contains(buf[:n], []byte(`{"resumed":`)) {
		m, err := nc.Read(buf[n:])
		if err != nil {
			s.t.Fatal(err)
		}
		n += m
	}
	return nc
}

// count reads events of a connection until it has so many, or fails.
func count(nc net.Conn, n int, buf []byte) error {
	mark := []byte(`data: "`)
	for n > 0 {
		m, err := nc.Read(buf)
		if err != nil {
			return err
		}
		n -= bytes.Count(buf[:m], mark) // an event of these benchmarks is written at once, and read so
	}
	return nil
}

// BenchmarkBroadcast publishes to streams and waits until all have it.
func BenchmarkBroadcast(b *testing.B) {
	for _, streams := range []int{100, 5000} {
		for name, q := range map[string]string{"one_channel": query("/a"), "wildcard": query("/a/*", "/a")} {
			b.Run(fmt.Sprintf("streams=%d/%s", streams, name), func(b *testing.B) { benchmarkBroadcast(b, streams, q) })
		}
	}
}

func benchmarkBroadcast(b *testing.B, streams int, q string) {
	s := newServer(b, Options{KeepAlive: time.Hour}, broker.Options{})
	var received atomic.Int64
	var readers sync.WaitGroup
	all := make(chan struct{})
	conns := make([]net.Conn, streams)
	for i := range conns {
		conns[i] = s.raw(q)
		readers.Go(func() {
			buf := make([]byte, 4096)
			for count(conns[i], 1, buf) == nil {
				if received.Add(1)%int64(streams) == 0 {
					all <- struct{}{}
				}
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		s.publish("/a", `"hello"`)
		<-all
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(streams), "ns/delivery")
	if n := received.Load(); n != int64(b.N)*int64(streams) {
		b.Errorf("%d received, want %d", n, b.N*streams)
	}
	for _, nc := range conns {
		_ = nc.Close()
	}
	readers.Wait()
}

// BenchmarkIdle tells what a stream costs that waits: all of the process, less the clients' connections, which are a few hundred bytes.
func BenchmarkIdle(b *testing.B) {
	for name, q := range map[string]string{"one_channel": query("/a"), "several": query("/a", "/b", "/c/**")} {
		b.Run(name, func(b *testing.B) {
			const streams = 2000
			for b.Loop() {
				s := newServer(b, Options{KeepAlive: time.Hour}, broker.Options{})
				before := memory()
				conns := make([]net.Conn, streams)
				for i := range conns {
					conns[i] = s.raw(q)
				}
				b.ReportMetric(float64(memory()-before)/streams, "B/stream")
				for _, nc := range conns {
					_ = nc.Close()
				}
				if err := s.awaitIdle(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// Five thousand streams receive every message of a burst, once.
func TestBroadcast_to_5000_streams_loses_nothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes ten thousand descriptors")
	}
	const streams, messages = 5000, 20
	s := newServer(t, Options{}, broker.Options{})
	conns := make([]net.Conn, streams)
	var failed atomic.Int64
	var readers sync.WaitGroup
	for i := range conns {
		conns[i] = s.raw(query("/a"))
		_ = conns[i].SetReadDeadline(time.Now().Add(3 * patience))
		readers.Go(func() {
			var all bytes.Buffer
			buf := make([]byte, 1024)
			for !bytes.Contains(all.Bytes(), []byte("data: 19\n")) {
				n, err := conns[i].Read(buf)
				if all.Write(buf[:n]); err != nil {
					break
				}
			}
			for n := range messages {
				if bytes.Count(all.Bytes(), fmt.Appendf(nil, "data: %d\n", n)) != 1 {
					failed.Add(1)
				}
			}
		})
	}
	for n := range messages {
		s.publish("/a", n)
	}
	readers.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d deliveries are missing or repeated", n, streams*messages)
	}
	for _, nc := range conns {
		_ = nc.Close()
	}
}
