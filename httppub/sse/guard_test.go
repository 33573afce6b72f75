//go:build !race

package sse

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub/openapitest"
)

// An operation is one event to one stream. One alone is one sendto; sixteen are joined: the ideal is a sixteenth of a write.
func TestGuard_delivery(t *testing.T) {
	one := brokertest.Guard{Allocs: 0.1, Calls: 1.3, Writes: 1, Instructions: 970}
	sixteen := brokertest.Guard{Allocs: 0.1, Calls: 0.2, Writes: 0.15, Instructions: 470}
	brokertest.HoldFanout(t, one, sixteen, func(t *testing.T) brokertest.Fanout {
		const streams = 200
		s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
		crowd := brokertest.StartCrowd(t, s.http.Listener.Addr().String(), slices.Repeat([]brokertest.Member{{Say: []brokertest.Line{
			{Text: []byte("GET /realm/x/events?" + query("/a") + " HTTP/1.1\r\nHost: x\r\n\r\n"), Until: `{"resumed":`},
		}}}, streams))
		return brokertest.Fanout{
			Subscribers: streams, Publish: func() { s.publish("/a", `"!"`) }, Wait: crowd.Wait,
			Written: func() uint64 { return s.handler.outbox.Stats().Writes },
		}
	})
}

// Streams that wait have no goroutine, on plain sockets.
func TestGuard_idle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no epoll")
	}
	const streams = 200
	s := newServer(openapitest.Unchecked{TB: t}, Options{}, broker.Options{})
	for range streams {
		defer s.raw(query("/a")).Close()
	}
	// Those of net/http end some time after they have given up their connections.
	if err := waitFor(func() bool { return s.handler.Stats().Streams == streams && runtime.NumGoroutine() < 50 }); err != nil {
		t.Errorf("%d streams, %d goroutines: %v", s.handler.Stats().Streams, runtime.NumGoroutine(), err)
	}
}

func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
