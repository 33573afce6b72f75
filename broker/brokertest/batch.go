package brokertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"waft/broker"
)

// batch publishes messages with their ids, each "channel id".
func (h *harness) batch(a broker.Append, of ...[2]string) []broker.Receipt {
	h.Helper()
	list := make([]broker.Append, len(of))
	for i, m := range of {
		list[i] = a
		list[i].Message = &broker.Message{Channel: broker.Channel(m[0]), ID: m[1], Data: []byte("1"), Time: time.Now()}
		if a.Key != "" {
			list[i].Key = a.Key + m[1]
		}
	}
	receipts, err := h.engine.(broker.Batcher).PublishAll(context.Background(), list)
	if err != nil || len(receipts) != len(of) {
		h.Fatalf("publish %v: %+v, %v", of, receipts, err)
	}
	return receipts
}

// testBatch is for engines that are a broker.Batcher.
func testBatch(t *testing.T, h *harness) {
	if _, ok := h.engine.(broker.Batcher); !ok {
		t.Skip("it is no Batcher")
	}
	receipts := h.batch(broker.Append{Keep: keep100, Key: "k"}, [2]string{"/a", "1"}, [2]string{"/b", "2"}, [2]string{"/a", "3"}, [2]string{"/a", "3"})
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "1", "3")
	h.wantIDs(h.history("/b", broker.Range{}).Messages, "2")
	for i, want := range []broker.Receipt{{ID: "1", Receivers: 1}, {ID: "2", Receivers: 1}, {ID: "3", Receivers: 1}, {ID: "3", Duplicate: true}} {
		got := receipts[i]
		if got.ID != want.ID || got.Receivers != want.Receivers || got.Duplicate != want.Duplicate || got.Position.IsZero() {
			t.Errorf("receipt %d is %+v, want %+v", i, got, want)
		}
	}
	if receipts[3].Position != receipts[2].Position || receipts[2].Position.Offset != 2 {
		t.Errorf("the repeated item was placed at %v and %v", receipts[2].Position, receipts[3].Position)
	}
	if n := len(h.received()); n != 3 {
		t.Errorf("%d deliveries, want 3", n)
	}
	// What is kept and what is not, in one batch.
	h.batch(broker.Append{}, [2]string{"/live", "4"})
	h.batch(broker.Append{Keep: keep100, Replace: true}, [2]string{"/a", "1"})
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "3", "1")

	// Batches of several publishers do not mix up the order of a channel.
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 10 {
				id := func(n int) string { return fmt.Sprintf("%d-%d-%d", p, i, n) }
				h.batch(broker.Append{Keep: keep100}, [2]string{"/c", id(0)}, [2]string{"/c", id(1)})
			}
		})
	}
	wg.Wait()
	page := h.history("/c", broker.Range{})
	for i := 0; i < len(page.Messages); i += 2 {
		one, two := page.Messages[i], page.Messages[i+1]
		if one.ID[:len(one.ID)-2] != two.ID[:len(two.ID)-2] || two.Position.Offset != one.Position.Offset+1 {
			t.Fatalf("something came between %s and %s", one.ID, two.ID)
		}
	}
}
