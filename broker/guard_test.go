//go:build !race

package broker_test

import (
	"fmt"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// A message of usual size.
var guardData = []byte(`{"text":"hello, and some more to make it a usual size","n":1234567,"tags":["a","b"]}`)

func TestGuard_publish(t *testing.T) {
	for _, c := range []struct {
		sessions int
		most     brokertest.Guard
	}{
		// The message, and its id.
		{0, brokertest.Guard{Allocs: 2.5, Calls: 0.5, Instructions: 8_500}},
		// No allocation more for a thousand, and some 220 instructions each, the session's taking it out included.
		{1000, brokertest.Guard{Allocs: 2.5, Calls: 0.5, Instructions: 8_500 + 1000*280}},
	} {
		t.Run(fmt.Sprintf("sessions=%d", c.sessions), func(t *testing.T) {
			x := brokertest.New(t, broker.Options{})
			sessions := make([]*broker.Session, c.sessions)
			for i := range sessions {
				sessions[i] = brokertest.Open(t, x, broker.SessionOptions{Wake: func(*broker.Session) {}})
				brokertest.Subscribe(t, sessions[i], "/a")
			}
			var buf []broker.Delivery
			c.most.Hold(t, brokertest.Times(100, func() {
				m := &broker.Message{Channel: "/a", Data: guardData}
				if _, err := x.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
					t.Fatal(err)
				}
				for _, s := range sessions {
					buf = s.Drain(buf[:0])
				}
			}))
		})
	}
}

// A reader that resumes has a hundred messages from the memory engine.
func TestGuard_history(t *testing.T) {
	x := brokertest.New(t, broker.Options{})
	for range 100 {
		brokertest.Publish(t, x, "/a", string(guardData))
	}
	brokertest.Guard{Allocs: 1.1, Calls: 0.5, Instructions: 2300}.Hold(t, brokertest.Times(1000, func() {
		if p, err := x.History(ctx, broker.Principal{}, "/a", broker.Range{}); err != nil || len(p.Messages) != 100 {
			t.Fatal(len(p.Messages), err)
		}
	}))
}
