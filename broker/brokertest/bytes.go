package brokertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// sized publishes a message whose Size is as said.
func (h *harness) sized(c broker.Channel, id string, size int, a broker.Append) broker.Receipt {
	h.Helper()
	m := &broker.Message{Channel: c, ID: id, Data: []byte(`""`), Time: time.Now()}
	m.Data = []byte(`"` + strings.Repeat("x", size-m.Size()) + `"`)
	a.Message = m
	r, err := h.engine.Publish(context.Background(), a)
	if err != nil {
		h.Fatalf("publish %s to %s: %v", id, c, err)
	}
	return r
}

func testBytes(_ *testing.T, h *harness) {
	keep := broker.Append{Keep: broker.Retention{Size: 4, Bytes: 3000}}
	first := h.sized("/a", "0", 1000, keep)
	h.sized("/a", "1", 1000, keep)
	h.sized("/a", "2", 1000, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "0", "1", "2") // just as much as may be
	h.sized("/a", "3", 301, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "1", "2", "3")
	_, err := h.engine.History(context.Background(), "/a", broker.Range{After: broker.Position{Epoch: first.Position.Epoch}})
	h.wantKind(err, broker.HistoryLost)
	h.wantIDs(h.history("/a", broker.Range{After: first.Position}).Messages, "1", "2", "3")

	// What is removed and replaced makes room.
	if err := h.engine.Remove(context.Background(), "/a", "1", false); err != nil {
		h.Fatal(err)
	}
	h.sized("/a", "4", 1699, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "2", "3", "4")
	replace := keep
	replace.Replace = true
	h.sized("/a", "4", 400, replace)
	h.sized("/a", "5", 400, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "2", "3", "4", "5")
	h.sized("/a", "6", 400, keep) // there is room for its bytes, and not for a fifth
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "3", "4", "5", "6")
	h.sized("/a", "7", 2000, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "5", "6", "7")

	// The newest stays, however big it is.
	h.sized("/a", "8", 9000, keep)
	p := h.history("/a", broker.Range{})
	h.wantIDs(p.Messages, "8")
	if p.Total != 1 {
		h.Errorf("the total is %d", p.Total)
	}
	h.sized("/a", "9", 500, keep)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "9")
}

// testBytesLater has the limit come with a rule that changed, and go again.
func testBytesLater(_ *testing.T, h *harness) {
	free := broker.Append{Keep: broker.Retention{Size: 5}}
	limited := broker.Append{Keep: broker.Retention{Size: 5, Bytes: 2500}}
	for _, id := range []string{"0", "1", "2", "3", "4", "5"} {
		h.sized("/a", id, 1000, free)
	}
	h.sized("/a", "6", 500, limited)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "4", "5", "6")
	for _, id := range []string{"7", "8", "9"} {
		h.sized("/a", id, 600, free)
	}
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "5", "6", "7", "8", "9")
	h.sized("/a", "10", 600, limited)
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "7", "8", "9", "10")
}

func testBytesStand(_ *testing.T, r *restarting) {
	keep := broker.Append{Keep: broker.Retention{Size: 100, Bytes: 3000}}
	for _, id := range []string{"0", "1", "2", "3"} {
		r.sized("/a", id, 1000, keep)
	}
	r.restart()
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "1", "2", "3")
	r.sized("/a", "4", 1001, keep)
	r.wantIDs(r.history("/a", broker.Range{}).Messages, "3", "4")
}
