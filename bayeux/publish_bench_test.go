package bayeux

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"waft/broker"
)

// BenchmarkPublish is a publish on a WebSocket, from the client's frame to the reply, with nobody subscribed. The client, on the same cores, has
// many on their way and does nothing but count replies.
func BenchmarkPublish(b *testing.B) {
	for name, perFrame := range map[string]int{"a_frame_each": 1, "ten_in_a_frame": 10} {
		b.Run(name, func(b *testing.B) { benchmarkPublish(b, perFrame) })
	}
}

func benchmarkPublish(b *testing.B, perFrame int) {
	const flight = 100
	s := quickServer(b, func(o *Options, _ *broker.Options) { o.Limits.SessionMessages = 1 << 30 })
	id := s.connected()
	nc, r := s.rawUpgrade()
	text := msg("/bench", id, `"00000000"`, `"data":{"text":"`+strings.Repeat("x", 116)+`"}`)
	frame := maskedFrame("[" + strings.Repeat(text+",", perFrame-1) + text + "]")
	frames := bytes.Repeat(frame, flight/perFrame)
	var ids [][]byte // parts of frames: what has been published once is not published again
	for rest := frames; ; {
		at := bytes.Index(rest, []byte("00000000"))
		if at < 0 {
			break
		}
		ids = append(ids, rest[at:at+8])
		rest = rest[at+8:]
	}
	b.ReportAllocs()
	published := s.b.Stats().Published
	for n := 0; n < b.N; n += flight {
		for i, digits := range ids {
			copy(digits, fmt.Sprintf("%08d", n+i))
		}
		writeAll(b, nc, frames)
		awaitReplies(b, r, flight)
	}
	b.StopTimer()
	if n := int(s.b.Stats().Published - published); n < b.N {
		b.Fatalf("%d of %d were published", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
}

// awaitReplies reads until there were so many.
func awaitReplies(b *testing.B, r *bufio.Reader, n int) {
	b.Helper()
	for n > 0 {
		reply := readServerFrame(b, r)
		n -= strings.Count(reply, `"successful":true`)
		if strings.Contains(reply, `"successful":false`) {
			b.Fatal(reply)
		}
	}
}
