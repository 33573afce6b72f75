//go:build !race

package sse

import (
	"sync"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub/openapitest"
)

// An operation is one event to one stream. Its reader is in the process, and a read or two of its are among the calls.
func TestGuard_delivery(t *testing.T) {
	const streams, messages = 200, 4
	s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
	arrived := make(chan struct{}, streams)
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait)
	for range streams {
		nc := s.raw(query("/a"))
		t.Cleanup(func() { _ = nc.Close() })
		readers.Go(func() {
			for buf := make([]byte, 4096); count(nc, 1, buf) == nil; {
				arrived <- struct{}{}
			}
		})
	}
	brokertest.Guard{
		Allocs: 0.2, Calls: 3.5, Writes: 1, Instructions: 6_000,
		Written: func() uint64 { return s.handler.outbox.Stats().Writes },
	}.Hold(t, func() int {
		for range messages {
			s.publish("/a", `"hello"`)
			for range streams {
				<-arrived
			}
		}
		return messages * streams
	})
}
