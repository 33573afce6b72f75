//go:build !race

package sse

import (
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
		Allocs: 0.2, Calls: 1.3, Writes: 1, Instructions: 1400,
		Written: func() uint64 { return s.handler.outbox.Stats().Writes },
	}.Hold(t, func() int {
		for range messages {
			s.publish("/a", `"!"`)
			crowd.Wait()
		}
		return messages * streams
	})
}

func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
