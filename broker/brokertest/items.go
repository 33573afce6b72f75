package brokertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"waft/broker"
)

// testNewestOfID publishes an id several times, as publishers who count for themselves do. None of these replaces another.
func testNewestOfID(t *testing.T, h *harness) {
	publish := func(ids ...string) (at []uint64) {
		for _, id := range ids {
			at = append(at, h.publish("/a", id, broker.Append{Keep: keep100}).Position.Offset)
		}
		return at
	}
	want := func(offsets ...uint64) {
		t.Helper()
		var got []uint64
		for _, m := range h.history("/a", broker.Range{}).Messages {
			got = append(got, m.Position.Offset)
		}
		if !slices.Equal(got, offsets) {
			t.Fatalf("kept are the messages at %d, want %d", got, offsets)
		}
	}
	publish("x", "y", "x", "z", "x")
	h.remove("/a", "x")
	want(1, 2, 3, 4)
	h.publish("/a", "x", broker.Append{Keep: keep100, Replace: true})
	want(1, 2, 4, 6)
	h.remove("/a", "x")
	want(1, 2, 4)
	h.remove("/a", "x")
	want(2, 4)
	h.wantKind(h.engine.Remove(context.Background(), "/a", "x", false), broker.NotFound)
}

func (h *harness) remove(c broker.Channel, id string) {
	h.Helper()
	if err := h.engine.Remove(context.Background(), c, id, false); err != nil {
		h.Fatalf("remove %s from %s: %v", id, c, err)
	}
}

// publishOld publishes what was said an hour ago.
func (h *harness) publishOld(c broker.Channel, id string, keep broker.Retention) {
	h.Helper()
	m := &broker.Message{Channel: c, ID: id, Data: []byte("1"), Time: time.Now().Add(-time.Hour)}
	if _, err := h.engine.Publish(context.Background(), broker.Append{Message: m, Keep: keep}); err != nil {
		h.Fatal(err)
	}
}

// testAgeGrows has messages expire, with and without somebody who looks, and then lets the channel keep them for longer.
func testAgeGrows(t *testing.T, h *harness) {
	brief, long := broker.Retention{Size: 10, Age: time.Minute}, broker.Retention{Size: 10, Age: 2 * time.Hour}
	for _, later := range []broker.Retention{long, {Size: 10}, {Size: 10, Bytes: 1 << 20}} {
		h.publishOld("/a", "1", brief)
		h.publish("/a", "2", broker.Append{Keep: brief})
		h.publishOld("/a", "3", brief) // a clock that went back: it is behind one that stays
		h.wantIDs(h.history("/a", broker.Range{}).Messages, "2", "3")
		p := h.history("/a", broker.Range{})
		h.publish("/a", "4", broker.Append{Keep: later})
		h.wantIDs(h.history("/a", broker.Range{}).Messages, "2", "3", "4")
		if got := h.history("/a", broker.Range{After: p.Messages[0].Position}); got.Total != 3 {
			t.Errorf("%d are kept, want 3", got.Total)
		}
		for _, id := range []string{"2", "3", "4"} {
			h.remove("/a", id)
		}
		h.publishOld("/a", "5", brief)
		h.publishOld("/a", "6", later) // which nobody has looked for since
		h.wantIDs(h.history("/a", broker.Range{}).Messages, "6")
		h.remove("/a", "6")
	}
}
