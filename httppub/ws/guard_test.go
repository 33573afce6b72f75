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

// An operation is one message to one socket. One alone is a frame, by one sendto; sixteen are joined: the ideal is a sixteenth of a write. With
// a window the acknowledgement of each is in it, too.
func TestGuard_delivery(t *testing.T) {
	for _, c := range []struct {
		name         string
		subscribe    string
		window       bool
		one, sixteen brokertest.Guard
	}{
		{
			"a channel", "/a", false,
			brokertest.Guard{Allocs: 0.1, Calls: 1.3, Writes: 1, Instructions: 1_170},
			brokertest.Guard{Allocs: 0.1, Calls: 0.2, Writes: 0.15, Instructions: 580},
		},
		{
			"a wildcard", "/*", false,
			brokertest.Guard{Allocs: 0.1, Calls: 1.3, Writes: 1, Instructions: 1_390},
			brokertest.Guard{Allocs: 0.1, Calls: 0.2, Writes: 0.15, Instructions: 850},
		},
		{
			"a channel and a window", "/a", true,
			brokertest.Guard{Allocs: 7, Calls: 4, NoWakes: true, Writes: 1, Instructions: 14_000},
			brokertest.Guard{Allocs: 7, Calls: 0.4, NoWakes: true, Writes: 0.15, Instructions: 11_000},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			brokertest.HoldFanout(t, c.one, c.sixteen, func(t *testing.T) brokertest.Fanout {
				const sockets = 200
				s := newServer(openapitest.Unchecked{TB: t}, Options{KeepAlive: time.Hour, Limits: Limits{SocketFrames: 1_000_000}}, broker.Options{})
				var m brokertest.Member
				var window string
				if c.window {
					window = "?window=1000"
					s.publish("/a", 1)
					page, err := s.broker.History(t.Context(), broker.Principal{}, "/a", broker.Range{})
					if err != nil {
						t.Fatal(err)
					}
					done := broker.Position{Epoch: page.Last.Epoch, Offset: 1 << 40} // with all that there will be
					m.Again = masked(`{"type":"ack","positions":{"/a":"` + done.String() + `"}}`)
				}
				m.Say = []brokertest.Line{
					{Text: []byte("GET /realm/x/ws" + window + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
						"Sec-WebSocket-Protocol: " + Subprotocol + "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), Until: "\r\n\r\n"},
					{Text: masked(`{"type":"subscribe","channels":["` + c.subscribe + `"]}`), Until: `"type":"subscribed"`},
				}
				crowd := brokertest.StartCrowd(t, s.http.Listener.Addr().String(), slices.Repeat([]brokertest.Member{m}, sockets))
				// On plain sockets they have no goroutines; those of net/http end some time after they have given up their connections.
				for runtime.GOOS == "linux" && runtime.NumGoroutine() > sockets/2 {
					runtime.Gosched()
				}
				return brokertest.Fanout{
					Subscribers: sockets, Publish: func() { s.publish("/a", `"!"`) }, Wait: crowd.Wait,
					Written: func() uint64 { return s.handler.outbox.Stats().Writes },
				}
			})
		})
	}
}

// masked is a client's frame.
func masked(text string) []byte {
	frame := wsframe.AppendHeader(nil, wsframe.Text, len(text))
	frame[1] |= 0x80 // with zeros
	return append(append(frame, 0, 0, 0, 0), text...)
}

func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }
