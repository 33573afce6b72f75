//go:build !race

package sse

import (
	"fmt"
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
	for _, c := range []struct {
		name         string
		channels     []string
		own          bool // and a channel that nobody else has
		publish      []string
		one, sixteen float64 // instructions
	}{
		{"a channel", []string{"/a"}, false, []string{"/a"}, 970, 470},
		{"three channels", []string{"/a", "/b", "/c"}, false, []string{"/a", "/b", "/c"}, 1_550, 720},
		{"a wildcard", []string{"/*"}, false, []string{"/a", "/b", "/c"}, 1_750, 900},
		{"two channels and another each", []string{"/a", "/b"}, true, []string{"/a", "/b"}, 3_300, 2_600},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := brokertest.Guard{Allocs: 0.1, Calls: 1.3, Writes: 1, Instructions: c.one}
			sixteen := brokertest.Guard{Allocs: 0.1, Calls: 0.2, Writes: 0.15, Instructions: c.sixteen}
			brokertest.HoldFanout(t, one, sixteen, func(t *testing.T) brokertest.Fanout {
				s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
				members := make([]brokertest.Member, 200)
				for i := range members {
					channels := slices.Clone(c.channels)
					if c.own {
						channels = append(channels, fmt.Sprintf("/own/%d", i))
					}
					members[i].Say = []brokertest.Line{
						{Text: []byte("GET /realm/x/events?" + query(channels...) + " HTTP/1.1\r\nHost: x\r\n\r\n"), Until: `{"resumed":`},
					}
				}
				crowd := brokertest.StartCrowd(t, s.http.Listener.Addr().String(), members)
				n := 0
				return brokertest.Fanout{
					Subscribers: len(members), Wait: crowd.Wait, Written: func() uint64 { return s.handler.outbox.Stats().Writes },
					Publish: func() {
						s.publish(c.publish[n%len(c.publish)], `"!"`)
						n++
					},
				}
			})
		})
	}
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
