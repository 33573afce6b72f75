//go:build !race

package disk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

// One publisher, who waits for each message to be on the disk: what is shared with others only lowers the counts.
func TestGuard_publish(t *testing.T) {
	data := []byte(`"` + strings.Repeat("x", 254) + `"`)
	e := start(t, openDB(t, Options{}))
	i := 0
	brokertest.Guard{Allocs: 24.5, Calls: 3.8, NoWakes: true, Instructions: 70_000}.Hold(t, brokertest.Times(200, func() {
		i++
		_, err := e.Publish(t.Context(), broker.Append{
			Message: &broker.Message{Channel: broker.Channel(fmt.Sprintf("/c/%d", i%100)), ID: fmt.Sprint(i), Data: data, Time: time.Now()},
			Keep:    broker.Retention{Size: 100},
		})
		if err != nil {
			t.Fatal(err)
		}
	}))
}

func TestGuard_publish_not_kept(t *testing.T) {
	e := start(t, openDB(t, inMemory()))
	m := &broker.Message{Channel: "/a", ID: "x", Data: []byte(`1`), Time: time.Now()}
	brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 1250}.Hold(t, brokertest.Times(2000, func() {
		if _, err := e.Publish(t.Context(), broker.Append{Message: m}); err != nil {
			t.Fatal(err)
		}
	}))
}

// A hundred messages that are in the tail.
func TestGuard_history(t *testing.T) {
	e := start(t, openDB(t, inMemory()))
	fillChannels(t, e, 1, 100)
	brokertest.Guard{Allocs: 1.1, Calls: 0.5, Instructions: 3500}.Hold(t, brokertest.Times(1000, func() {
		if p, err := e.History(t.Context(), "/c/0", broker.Range{}); err != nil || len(p.Messages) != 100 {
			t.Fatal(len(p.Messages), err)
		}
	}))
}
