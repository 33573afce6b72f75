//go:build !race

package bayeux

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// An operation is one message to one of 500 subscribers over WebSockets, who are another process and answer pings. One alone is a frame, by one
// sendto; sixteen are joined: the ideal is a sixteenth of a write.
func TestGuard_websocket(t *testing.T) {
	one := brokertest.Guard{Allocs: 0.1, Writes: 1, Calls: 1.2, Instructions: 1_000}
	sixteen := brokertest.Guard{Allocs: 0.1, Writes: 0.1, Calls: 0.12, Instructions: 400}
	brokertest.HoldFanout(t, one, sixteen, func(t *testing.T) brokertest.Fanout {
		const subscribers = 500
		s := newFanoutSide(t, subscribers, 1, func(*Options, *broker.Options) {})
		data := `"!` + strings.Repeat("x", 126) + `"`
		return brokertest.Fanout{
			Subscribers: subscribers, Publish: func() { s.event("/bench", data) }, Wait: s.wait,
			Written: func() uint64 { return s.h.outbox.Stats().Writes },
		}
	})
}

// An operation is a poll that is answered with a message, asked again, and held.
func TestGuard_poll(t *testing.T) {
	guardPoll(t, true, "", brokertest.Guard{Allocs: 3.4, Calls: 2.5, Instructions: 12_000})
}

// The same for pages, whose heads are long and have secrets that are not kept.
func TestGuard_poll_of_a_page(t *testing.T) {
	if holdInHandler {
		t.Skip("in their handlers their heads are read each time")
	}
	guardPoll(t, true, "Cookie: session="+strings.Repeat("x", maxHead), brokertest.Guard{Allocs: 3.4, Calls: 2.5, Instructions: 12_000})
}

// The same where what is in front of the handler is to see every request.
func TestGuard_poll_through_the_front(t *testing.T) {
	guardPoll(t, false, "", brokertest.Guard{Allocs: 17.7, Calls: 2.5, Instructions: 35_000})
}

func guardPoll(t *testing.T, pure bool, fields string, most brokertest.Guard) {
	t.Helper()
	const polls = 200
	s := quickServer(t, func(o *Options, _ *broker.Options) { o.PureFront = pure })
	members := make([]brokertest.Member, polls)
	for i := range members {
		request := rawPost("[" + connect(s.connected(`"/bench"`), `"1"`) + "]")
		if fields != "" {
			request = bytes.Replace(request, []byte("\r\n"), []byte("\r\n"+fields+"\r\n"), 1)
		}
		members[i] = brokertest.Member{Say: []brokertest.Line{{Text: request}}, Again: request}
	}
	crowd := brokertest.StartCrowd(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/bayeux"), members)
	held := func() bool { return s.h.Stats().Polls == polls }
	eventually(t, held)
	switch {
	case s.h.opts.HoldInHandler:
		most = brokertest.Guard{Allocs: 37.5, Calls: 4.8, Instructions: 90_000}
	case runtime.GOOS != "linux": // a goroutine holds it
		most = brokertest.Guard{Allocs: 44}
	}
	data := `"!` + strings.Repeat("x", 126) + `"`
	most.Hold(t, func() int {
		s.event("/bench", data)
		crowd.Wait()
		eventually(t, held)
		return polls
	})
}

// Streams that wait have no goroutine, on plain sockets.
func TestGuard_idle_streams(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no epoll")
	}
	const streams = 200
	s := quickServer(t)
	for range streams {
		s.rawStream(s.connected(`"/a"`))
	}
	s.client.CloseIdleConnections()
	// Those of net/http end some time after they have given up their connections.
	eventually(t, func() bool { return s.h.Stats().Streams == streams && runtime.NumGoroutine() < 50 })
}

func TestCrowd(t *testing.T) { brokertest.RunCrowd(t) }

// A frame of a client, as it is parsed: nothing of it is copied.
func TestGuard_parse(t *testing.T) {
	const publish = `[{"channel":"/chat/demo","data":{"user":"alice","text":"hello world, this is a message of usual length"},"clientId":"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567","id":"1a"}]`
	var ms []message
	brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 10_300}.Hold(t, brokertest.Times(2000, func() {
		var err error
		if ms, err = parseJSON(ms[:0], publish, 100); err != nil {
			t.Fatal(err)
		}
	}))
}

// An event is rendered for the first who is to have it. The message itself is among the allocations.
func TestGuard_event(t *testing.T) {
	f := &eventForm{ext: []string{"binary"}}
	data := json.RawMessage(`{"user":"alice","text":"` + strings.Repeat("x", 100) + `"}`)
	brokertest.Guard{Allocs: 3.1, Calls: 0.5, Instructions: 1800}.Hold(t, brokertest.Times(1000, func() {
		m := &broker.Message{Channel: "/chat/demo", Data: data}
		if _, err := m.Encoded(f); err != nil {
			t.Fatal(err)
		}
	}))
	m := &broker.Message{Channel: "/chat/demo", Data: data}
	t.Run("again", func(t *testing.T) {
		brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 140}.Hold(t, brokertest.Times(5000, func() {
			if _, err := m.Encoded(f); err != nil {
				t.Fatal(err)
			}
		}))
	})
}
