package bayeux

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"waft/broker"
)

// BenchmarkPoll publishes to 1,000 held polls over loopback and waits until all have their answers and are held again. The clients do as
// little as clients can, on the same cores: what they cost is in the figures, and the same for both ways of holding.
func BenchmarkPoll(b *testing.B) {
	for _, way := range []struct {
		name      string
		inHandler bool
	}{{"handed_back", false}, {"in_handler", true}} {
		b.Run(way.name, func(b *testing.B) { benchmarkPoll(b, 1000, way.inHandler) })
	}
}

func benchmarkPoll(b *testing.B, polls int, inHandler bool) {
	s := quickServer(b, func(o *Options, _ *broker.Options) { o.HoldInHandler = inHandler })
	var received atomic.Int64
	for range polls {
		id := s.connected(`"/bench"`)
		nc := s.rawDial()
		defer nc.Close()
		request := rawPost("[" + connect(id, `"1"`) + "]")
		writeAll(b, nc, request)
		go func() {
			r := bufio.NewReaderSize(nc, 1024)
			for skipResponse(r) == nil {
				received.Add(1)
				if _, err := nc.Write(request); err != nil {
					return
				}
			}
		}()
	}
	held := func() bool { st := s.h.Stats(); return st.Polls == polls }
	eventually(b, held)
	data := []byte(`"` + strings.Repeat("x", 126) + `"`)
	var sent int64
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		_, err := s.b.Publish(b.Context(), broker.Principal{}, &broker.Message{Channel: "/bench", Data: data}, broker.PublishOptions{})
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(polls)
		eventually(b, func() bool { return received.Load() == sent && held() })
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N*polls), "cpu-ns/delivery")
}

func (s *server) rawDial() net.Conn {
	s.t.Helper()
	nc, err := s.dial(context.Background(), "tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"))
	if err != nil {
		s.t.Fatal(err)
	}
	return nc
}

// skipResponse reads one response that says its length.
func skipResponse(r *bufio.Reader) error {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case len(line) == 2:
			_, err = r.Discard(length)
			return err
		case line[0] == 'C' && strings.HasPrefix(string(line), "Content-Length: "):
			if length, err = strconv.Atoi(string(line[len("Content-Length: ") : len(line)-2])); err != nil {
				return err
			}
		}
	}
}
