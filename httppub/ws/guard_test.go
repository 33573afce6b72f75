//go:build !race

package ws

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub/openapitest"
)

// An operation is one message to one socket. Its reader is in the process, and a read or two of its are among the calls.
func TestGuard_delivery(t *testing.T) {
	const sockets, messages = 200, 4
	s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
	arrived := make(chan struct{}, sockets)
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait)
	for range sockets {
		c := s.connect("")
		c.subscribe("/a")
		readers.Go(func() {
			nc, buf := c.ws.NetConn(), make([]byte, 4096)
			for {
				n, err := nc.Read(buf)
				if err != nil {
					return
				}
				for range bytes.Count(buf[:n], []byte(`"type":"message"`)) {
					arrived <- struct{}{}
				}
			}
		})
	}
	brokertest.Guard{
		Allocs: 0.2, Calls: 3.5, Writes: 1, Instructions: 8_500,
		Written: func() uint64 { return s.handler.outbox.Stats().Writes },
	}.Hold(t, func() int {
		for range messages {
			s.publish("/a", `"hello"`)
			for range sockets {
				<-arrived
			}
		}
		return messages * sockets
	})
}
