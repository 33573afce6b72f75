//go:build !race

package ws

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/broker/outbox/wsframe"
	"waft/httppub/openapitest"
)

// An operation is one message to one socket. One alone is a frame, by one sendto; sixteen are joined: the ideal is a sixteenth of a write.
func TestGuard_delivery(t *testing.T) {
	one := brokertest.Guard{Allocs: 0.1, Calls: 1.3, Writes: 1, Instructions: 1_170}
	sixteen := brokertest.Guard{Allocs: 0.1, Calls: 0.2, Writes: 0.15, Instructions: 580}
	brokertest.HoldFanout(t, one, sixteen, func(t *testing.T) brokertest.Fanout {
		const sockets = 200
		s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour}, broker.Options{})
		subscribe := `{"type":"subscribe","channels":["/a"]}`
		frame := wsframe.AppendHeader(nil, wsframe.Text, len(subscribe))
		frame[1] |= 0x80 // masked, with zeros
		frame = append(append(frame, 0, 0, 0, 0), subscribe...)
		crowd := brokertest.StartCrowd(t, s.http.Listener.Addr().String(), slices.Repeat([]brokertest.Member{{Say: []brokertest.Line{
			{Text: []byte("GET /realm/x/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
				"Sec-WebSocket-Protocol: " + Subprotocol + "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), Until: "\r\n\r\n"},
			{Text: frame, Until: `"type":"subscribed"`},
		}}}, sockets))
		// On plain sockets they have no goroutines; those of net/http end some time after they have given up their connections.
		for runtime.GOOS == "linux" && runtime.NumGoroutine() > sockets/2 {
			runtime.Gosched()
		}
		return brokertest.Fanout{
			Subscribers: sockets, Publish: func() { s.publish("/a", `"!"`) }, Wait: crowd.Wait,
			Written: func() uint64 { return s.handler.outbox.Stats().Writes },
		}
	})
}

func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
