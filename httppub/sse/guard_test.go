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

// An operation is one event to one stream.
func TestGuard_delivery(t *testing.T) {
	const streams, messages = 200, 4
	s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
	crowd := brokertest.StartCrowd(t, s.http.Listener.Addr().String(), slices.Repeat([]brokertest.Member{{Say: []brokertest.Line{
		{Text: []byte("GET /realm/x/events?" + query("/a") + " HTTP/1.1\r\nHost: x\r\n\r\n"), Until: `{"resumed":`},
	}}}, streams))
	brokertest.Guard{
		Allocs: 0.2, Calls: 1.3, Writes: 1, Instructions: 1300,
		Written: func() uint64 { return s.handler.outbox.Stats().Writes },
	}.Hold(t, func() int {
		for range messages {
			s.publish("/a", `"!"`)
			crowd.Wait()
		}
		return messages * streams
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
