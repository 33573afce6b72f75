//go:build !race

package xmpp

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"waft/broker"
	"waft/broker/brokertest"
)

const guardJSON = `{"text":"` + "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" + `"}`

// A message is rendered once, and given to the link a thousand times. An operation is one event.
func TestGuard_event(t *testing.T) {
	const jids = 1000
	w := newWorld(t, func(o *setup) { o.service.MaxTotalSubscriptions = 1 << 20 })
	w.accept()
	w.server.mu.Lock()
	w.deaf = true
	w.server.mu.Unlock()
	for i := range jids {
		j := jid.MustParse(fmt.Sprintf("user%d@localhost", i))
		if _, _, err := w.svc.audience.subscribe(t.Context(), broker.Principal{}, j, "/chat/42", wish{slash: true}); err != nil {
			t.Fatal(err)
		}
	}
	ev := newEvent(service)
	brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 3200}.Hold(t, func() int {
		m := &broker.Message{ID: "1", Channel: "/chat/42", Data: []byte(guardJSON)}
		if err := w.svc.notify(context.Background(), ev, broker.Delivery{Message: m, Pattern: "/chat/42"}); err != nil {
			t.Fatal(err)
		}
		return jids
	})
	_ = w.conn.Close() // it would not hear that the stream ends
	w.stop()
}

// A publish of a stanza that is parsed, up to the answer's bytes.
func TestGuard_publish(t *testing.T) {
	w := newWorld(t, func(o *setup) { o.broker.Authorizer = brokertest.AllowAll })
	st := parsed(t, iq(alice, "set", publishing("/chat/42", item("1", guardJSON))))
	var out []byte
	brokertest.Guard{Allocs: 8.1, Calls: 0.5, Instructions: 21_000}.Hold(t, brokertest.Times(500, func() {
		if out, _ = w.svc.iq(t.Context(), st, out[:0]); !strings.HasPrefix(string(out), "<iq type='result'") {
			t.Fatal(string(out))
		}
	}))
	w.stop()
}
