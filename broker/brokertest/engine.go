package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waft/broker"
)

// RunEngine holds an engine against the contract of broker.Engine. open gives a fresh, not yet started engine with an
// idempotency window of at least a minute; the suite starts and closes it.
func RunEngine(t *testing.T, open func(t *testing.T) broker.Engine) {
	for name, test := range map[string]func(*testing.T, *harness){
		"offsets count up and readers see one order":               testOrder,
		"a key is stored once and answered with the first receipt": testIdempotency,
		"one key at a time wins under concurrent publishers":       testConcurrentKeys,
		"history is bounded by count":                              testCount,
		"history is bounded by bytes":                              testBytes,
		"a limit in bytes counts what came before it":              testBytesLater,
		"history is bounded by age":                                testAge,
		"what has grown too old stays away when the age grows":     testAgeGrows,
		"a retention of nothing keeps nothing":                     testKeepNothing,
		"what is forgotten without a limit changes the mark":       testMark,
		"ranges select after, before, ids and newest":              testRanges,
		"a lost position is an error":                              testHistoryLost,
		"replacing an item takes the older one out":                testReplace,
		"removing an item, told or not":                            testRemove,
		"of several messages with an id the newest is the item":    testNewestOfID,
		"what was removed is not lost":                             testRemovedIsNotLost,
		"channels are listed in order":                             testChannels,
		"a channel is listed from its first delivery on":           testListing,
		"history and deliveries meet without gap or repeat":        testSyncPoint,
		"history shows nothing before it is delivered":             testDeliveredFirst,
		"a batch is stored in order, in one step":                  testBatch,
		"nothing happens after close":                              testClose,
		"messages come back as they went in":                       testFidelity,
	} {
		t.Run(name, func(t *testing.T) {
			h := &harness{T: t, engine: open(t)}
			if err := h.engine.Start(h.deliver); err != nil {
				t.Fatalf("start: %v", err)
			}
			t.Cleanup(func() { h.engine.Close() })
			test(t, h)
		})
	}
}

// harness is a started engine and what it delivered.
type harness struct {
	*testing.T
	engine broker.Engine

	mu        sync.Mutex
	delivered []*broker.Message
	onDeliver func(*broker.Message)
}

var keep100 = broker.Retention{Size: 100}

func (h *harness) deliver(m *broker.Message) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delivered = append(h.delivered, m)
	if h.onDeliver != nil {
		h.onDeliver(m)
	}
	return 1
}

func (h *harness) received() []*broker.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.delivered)
}

func (h *harness) publish(c broker.Channel, id string, a broker.Append) broker.Receipt {
	h.Helper()
	a.Message = &broker.Message{Channel: c, ID: id, Data: []byte(strconv.Quote(id)), Time: time.Now()}
	r, err := h.engine.Publish(context.Background(), a)
	if err != nil {
		h.Fatalf("publish %s to %s: %v", id, c, err)
	}
	return r
}

func (h *harness) history(c broker.Channel, r broker.Range) broker.Page {
	h.Helper()
	p, err := h.engine.History(context.Background(), c, r)
	if err != nil {
		h.Fatalf("history of %s, %+v: %v", c, r, err)
	}
	return p
}

func (h *harness) wantKind(err error, want broker.Kind) {
	h.Helper()
	if err == nil || broker.KindOf(err) != want {
		h.Fatalf("got error %v, want one of kind %v", err, want)
	}
}

func (h *harness) wantIDs(got []*broker.Message, want ...string) {
	h.Helper()
	var ids []string
	for _, m := range got {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, want) {
		h.Fatalf("got items %q, want %q", ids, want)
	}
}

func testOrder(t *testing.T, h *harness) {
	const publishers, each = 8, 50
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				h.publish("/order", fmt.Sprintf("%d-%d", p, i), broker.Append{Keep: broker.Retention{Size: 1000}})
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	for i, m := range h.received() {
		if m.Position.Offset != uint64(i+1) {
			t.Fatalf("delivery %d has offset %d", i, m.Position.Offset)
		}
		p, n, _ := strings.Cut(m.ID, "-")
		if n != strconv.Itoa(next[p]) {
			t.Fatalf("publisher %s: message %s came when %d was next", p, n, next[p])
		}
		next[p]++
	}
	kept := h.history("/order", broker.Range{}).Messages
	if !slices.EqualFunc(kept, h.received(), func(a, b *broker.Message) bool { return a.ID == b.ID && a.Position == b.Position }) {
		t.Fatal("the history is not what was delivered, in that order")
	}
}

func testIdempotency(t *testing.T, h *harness) {
	first := h.publish("/a", "x", broker.Append{Key: "k", Keep: keep100})
	again := h.publish("/a", "y", broker.Append{Key: "k", Keep: keep100})
	if !again.Duplicate || again.ID != first.ID || again.Position != first.Position || again.Receivers != 0 {
		t.Errorf("the repeat was answered %+v, the first %+v", again, first)
	}
	if other := h.publish("/b", "x", broker.Append{Key: "k", Keep: keep100}); other.Duplicate {
		t.Error("a key of one channel counted in another")
	}
	h.wantIDs(h.received(), "x", "x")
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "x")
}

func testConcurrentKeys(t *testing.T, h *harness) {
	var wg sync.WaitGroup
	receipts := make([]broker.Receipt, 16)
	for i := range receipts {
		wg.Go(func() { receipts[i] = h.publish("/a", strconv.Itoa(i), broker.Append{Key: "k", Keep: keep100}) })
	}
	wg.Wait()
	fresh := 0
	for _, r := range receipts {
		if !r.Duplicate {
			fresh++
		}
		if r.Position != receipts[0].Position || r.ID != receipts[0].ID {
			t.Errorf("receipts differ: %+v and %+v", r, receipts[0])
		}
	}
	if fresh != 1 || len(h.received()) != 1 {
		t.Errorf("%d publishers won and %d messages were delivered, want 1 and 1", fresh, len(h.received()))
	}
}

func testCount(t *testing.T, h *harness) {
	for i := range 10 {
		h.publish("/a", strconv.Itoa(i), broker.Append{Keep: broker.Retention{Size: 3}})
	}
	p := h.history("/a", broker.Range{})
	h.wantIDs(p.Messages, "7", "8", "9")
	if p.Total != 3 || p.Last.Offset != 10 || !p.Complete {
		t.Errorf("got total %d, last %d, complete %v", p.Total, p.Last.Offset, p.Complete)
	}
}

func testAge(t *testing.T, h *harness) {
	old := &broker.Message{Channel: "/a", ID: "old", Data: []byte("1"), Time: time.Now().Add(-time.Hour)}
	if _, err := h.engine.Publish(context.Background(), broker.Append{Message: old, Keep: broker.Retention{Size: 10, Age: 2 * time.Hour}}); err != nil {
		t.Fatal(err)
	}
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "old")
	h.publish("/a", "new", broker.Append{Keep: broker.Retention{Size: 10, Age: time.Minute}})
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "new")
}

func testKeepNothing(t *testing.T, h *harness) {
	r := h.publish("/a", "x", broker.Append{})
	h.wantIDs(h.received(), "x")
	h.wantIDs(h.history("/a", broker.Range{}).Messages)
	// A reader that has everything can still tell that it has.
	h.wantIDs(h.history("/a", broker.Range{After: r.Position}).Messages)
	h.publish("/a", "y", broker.Append{})
	_, err := h.engine.History(context.Background(), "/a", broker.Range{After: r.Position})
	h.wantKind(err, broker.HistoryLost)
}

func testRanges(t *testing.T, h *harness) {
	var at []broker.Position
	for i := range 6 {
		at = append(at, h.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep100}).Position)
	}
	for _, c := range []struct {
		name     string
		r        broker.Range
		want     []string
		index    int
		complete bool
	}{
		{"all", broker.Range{}, []string{"0", "1", "2", "3", "4", "5"}, 0, true},
		{"after", broker.Range{After: at[3]}, []string{"4", "5"}, 4, true},
		{"after the newest", broker.Range{After: at[5]}, nil, 0, true},
		{"before", broker.Range{Before: at[2]}, []string{"0", "1"}, 0, true},
		{"before what comes next", broker.Range{Before: broker.Position{Epoch: at[5].Epoch, Offset: at[5].Offset + 1}, Limit: 1, Newest: true}, []string{"5"}, 5, false},
		{"between", broker.Range{After: at[1], Before: at[4]}, []string{"2", "3"}, 2, true},
		{"after beyond before", broker.Range{After: at[4], Before: at[1]}, nil, 0, true},
		{"oldest two", broker.Range{Limit: 2}, []string{"0", "1"}, 0, false},
		{"newest two", broker.Range{Limit: 2, Newest: true}, []string{"4", "5"}, 4, false},
		{"page back", broker.Range{Before: at[4], Limit: 2, Newest: true}, []string{"2", "3"}, 2, false},
		{"limit not reached", broker.Range{Limit: 6}, []string{"0", "1", "2", "3", "4", "5"}, 0, true},
		{"ids in the history's order", broker.Range{IDs: []string{"4", "1", "none"}}, []string{"1", "4"}, 1, true},
		{"no ids", broker.Range{IDs: []string{}}, nil, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := h.history("/a", c.r)
			(&harness{T: t}).wantIDs(p.Messages, c.want...)
			if p.Index != c.index || p.Complete != c.complete || p.Total != 6 || p.Last != at[5] {
				t.Errorf("got index %d, complete %v, total %d, last %v", p.Index, p.Complete, p.Total, p.Last)
			}
		})
	}
	if p := h.history("/never", broker.Range{}); len(p.Messages) != 0 || !p.Last.IsZero() || !p.Complete {
		t.Errorf("an unknown channel has page %+v", p)
	}
}

func testHistoryLost(t *testing.T, h *harness) {
	var at []broker.Position
	for i := range 5 {
		at = append(at, h.publish("/a", strconv.Itoa(i), broker.Append{Keep: broker.Retention{Size: 2}}).Position)
	}
	h.wantIDs(h.history("/a", broker.Range{After: at[2]}).Messages, "3", "4") // 3 is the oldest kept: nothing between
	foreign, future := at[4], at[4]
	foreign.Epoch++
	future.Offset++
	for name, p := range map[string]broker.Position{"trimmed": at[1], "another epoch": foreign, "not yet": future} {
		if _, err := h.engine.History(context.Background(), "/a", broker.Range{After: p}); broker.KindOf(err) != broker.HistoryLost {
			t.Errorf("after a position that is %s: %v", name, err)
		}
	}
	_, err := h.engine.History(context.Background(), "/a", broker.Range{Before: foreign})
	h.wantKind(err, broker.HistoryLost)
	_, err = h.engine.History(context.Background(), "/never", broker.Range{After: at[0]})
	h.wantKind(err, broker.HistoryLost)
}

func testReplace(t *testing.T, h *harness) {
	h.publish("/a", "x", broker.Append{Keep: keep100})
	h.publish("/a", "y", broker.Append{Keep: keep100})
	r := h.publish("/a", "x", broker.Append{Keep: keep100, Replace: true})
	p := h.history("/a", broker.Range{})
	h.wantIDs(p.Messages, "y", "x")
	if p.Messages[1].Position != r.Position || r.Position.Offset != 3 {
		t.Errorf("the new item is at %v, the receipt says %v", p.Messages[1].Position, r.Position)
	}
	h.wantIDs(h.received(), "x", "y", "x")
	h.publish("/a", "y", broker.Append{Keep: keep100})
	h.wantIDs(h.history("/a", broker.Range{}).Messages, "y", "x", "y")
}

func testRemove(t *testing.T, h *harness) {
	ctx := context.Background()
	h.publish("/a", "x", broker.Append{Keep: keep100})
	last := h.publish("/a", "y", broker.Append{Keep: keep100})
	h.wantKind(h.engine.Remove(ctx, "/a", "none", true), broker.NotFound)
	h.wantKind(h.engine.Remove(ctx, "/never", "x", true), broker.NotFound)
	if err := h.engine.Remove(ctx, "/a", "x", false); err != nil {
		t.Fatal(err)
	}
	h.wantIDs(h.received(), "x", "y")
	if err := h.engine.Remove(ctx, "/a", "y", true); err != nil {
		t.Fatal(err)
	}
	h.wantIDs(h.received(), "x", "y", "y")
	notice := h.received()[2]
	if !notice.Retracted || notice.Data != nil || notice.Position != last.Position {
		t.Errorf("the notice is %+v", notice)
	}
	h.wantIDs(h.history("/a", broker.Range{}).Messages)
}

func testRemovedIsNotLost(t *testing.T, h *harness) {
	var at []broker.Position
	for i := range 4 {
		at = append(at, h.publish("/a", strconv.Itoa(i), broker.Append{Keep: keep100}).Position)
	}
	for _, id := range []string{"0", "2"} {
		if err := h.engine.Remove(context.Background(), "/a", id, false); err != nil {
			t.Fatal(err)
		}
	}
	h.wantIDs(h.history("/a", broker.Range{After: at[0]}).Messages, "1", "3")
	h.wantIDs(h.history("/a", broker.Range{After: at[2]}).Messages, "3")
}

func testChannels(t *testing.T, h *harness) {
	for _, c := range []broker.Channel{"/b", "/a/x", "/a/y", "/c/d"} {
		h.publish(c, "1", broker.Append{Keep: keep100})
	}
	h.publish("/a/nothing", "1", broker.Append{})
	for _, c := range []struct {
		patterns []broker.Pattern
		after    broker.Channel
		limit    int
		want     []broker.Channel
	}{
		{[]broker.Pattern{"/**"}, "", 0, []broker.Channel{"/a/x", "/a/y", "/b", "/c/d"}},
		{[]broker.Pattern{"/a/*"}, "", 0, []broker.Channel{"/a/x", "/a/y"}},
		{[]broker.Pattern{"/**"}, "/a/x", 2, []broker.Channel{"/a/y", "/b"}},
		{[]broker.Pattern{"/b"}, "", 0, []broker.Channel{"/b"}},
		{[]broker.Pattern{"/c/*", "/a/y", "/a/**", "/c/d", "/d/**"}, "", 0, []broker.Channel{"/a/x", "/a/y", "/c/d"}},
		{[]broker.Pattern{"/b", "/a/*", "/*", "/c/**"}, "/a/x", 2, []broker.Channel{"/a/y", "/b"}},
		{[]broker.Pattern{"/c/*", "/a/*"}, "", 2, []broker.Channel{"/a/x", "/a/y"}},
		{[]broker.Pattern{"/c/*", "/b", "/a/y", "/a/x/**", "/a/*", "/z/1", "/z/2", "/z/3", "/z/**", "/a/x"}, "", 0, []broker.Channel{"/a/x", "/a/y", "/b", "/c/d"}},
		{nil, "", 0, nil},
	} {
		list, err := h.engine.Channels(context.Background(), broker.PatternsOf(c.patterns...), c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []broker.Channel
		for _, i := range list {
			got = append(got, i.Channel)
			if i.Messages != 1 || i.Last.Offset != 1 {
				t.Errorf("%s is listed as %+v", i.Channel, i)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("channels of %s after %q, at most %d: %q, want %q", c.patterns, c.after, c.limit, got, c.want)
		}
	}
}

// testListing lists while channels come into being: what a replay of a wildcard does not find must begin after it looked.
func testListing(t *testing.T, h *harness) {
	const publishers, each = 4, 30
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					h.publish(broker.Channel(fmt.Sprintf("/l/%d-%d", p, i)), "x", broker.Append{Keep: keep100})
				}
			})
		}
		wg.Wait()
	}()
	for listed := 0; listed < publishers*each; {
		before := h.received()
		list, err := h.engine.Channels(context.Background(), broker.PatternsOf("/l/*"), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		listed = len(list)
		for _, m := range before {
			if _, ok := slices.BinarySearchFunc(list, m.Channel, func(i broker.ChannelInfo, c broker.Channel) int { return strings.Compare(string(i.Channel), string(c)) }); !ok {
				t.Fatalf("%s had a message and is not listed among %d", m.Channel, listed)
			}
		}
	}
	<-done
	var paged []broker.Channel
	for after := broker.Channel(""); ; after = paged[len(paged)-1] {
		list, err := h.engine.Channels(context.Background(), broker.PatternsOf("/l/*"), after, 7)
		if err != nil || len(list) > 7 {
			t.Fatalf("%d channels, %v", len(list), err)
		}
		if len(list) == 0 {
			break
		}
		for _, i := range list {
			paged = append(paged, i.Channel)
		}
	}
	if len(paged) != publishers*each || !slices.IsSorted(paged) {
		t.Errorf("%d channels in pages, want %d in order", len(paged), publishers*each)
	}
}

// testSyncPoint reads the history while others publish: what is read and what is delivered after the page's last
// position is the whole, each once.
func testSyncPoint(t *testing.T, h *harness) {
	const total = 400
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range total / 4 {
				h.publish("/a", fmt.Sprintf("%d-%d", p, i), broker.Append{Keep: broker.Retention{Size: total}})
			}
		})
	}
	var pages []broker.Page
	for range 50 {
		pages = append(pages, h.history("/a", broker.Range{}))
	}
	wg.Wait()
	all := h.received()
	for _, p := range pages {
		if uint64(len(p.Messages)) != p.Last.Offset {
			t.Fatalf("a page up to offset %d has %d messages", p.Last.Offset, len(p.Messages))
		}
		for i, m := range p.Messages {
			if m.ID != all[i].ID {
				t.Fatalf("message %d of the history is %s, delivered was %s", i, m.ID, all[i].ID)
			}
		}
	}
}

// testDeliveredFirst reads while others publish. A page that shows what is not delivered yet would have a session whose replay
// ends with it get it again.
func testDeliveredFirst(t *testing.T, h *harness) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for p := range 4 {
			wg.Go(func() {
				for i := range 100 {
					h.publish("/a", fmt.Sprintf("%d-%d", p, i), broker.Append{Keep: keep100})
				}
			})
		}
		wg.Wait()
	}()
	for last := uint64(0); last < 400; {
		last = h.history("/a", broker.Range{Limit: 1, Newest: true}).Last.Offset
		if n := len(h.received()); uint64(n) < last {
			t.Fatalf("the history ends at offset %d, and %d were delivered", last, n)
		}
	}
	<-done
}

func testClose(t *testing.T, h *harness) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				_, err := h.engine.Publish(context.Background(), broker.Append{Message: &broker.Message{Channel: "/a", Data: []byte("1")}})
				if err != nil {
					if broker.KindOf(err) != broker.Closed {
						t.Errorf("publishing to a closed engine: %v", err)
					}
					return
				}
			}
		})
	}
	h.publish("/b", "x", broker.Append{Keep: keep100})
	if err := h.engine.Close(); err != nil {
		t.Fatal(err)
	}
	n := len(h.received())
	wg.Wait()
	if got := len(h.received()); got != n {
		t.Errorf("%d deliveries after close", got-n)
	}
	_, err := h.engine.History(context.Background(), "/b", broker.Range{})
	h.wantKind(err, broker.Closed)
	h.wantKind(h.engine.Remove(context.Background(), "/b", "x", false), broker.Closed)
	if err := errors.Join(h.engine.Close()); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func testFidelity(t *testing.T, h *harness) {
	in := broker.Message{
		Channel: "/a", ID: "ü-1", Publisher: "alice@example", Time: time.Now(),
		Data:    []byte(`{"b":1.0,"a":9007199254740993,"s":"\ud800 <&> \u0000","b":null}`),
		Formats: map[string]jsonText{"http-stream": jsonText(`{"content":"x\n"}`)},
	}
	r, err := h.engine.Publish(context.Background(), broker.Append{Message: &broker.Message{
		Channel: in.Channel, ID: in.ID, Publisher: in.Publisher, Time: in.Time, Data: in.Data, Formats: in.Formats,
	}, Keep: keep100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*broker.Message{h.received()[0], h.history("/a", broker.Range{}).Messages[0]} {
		if m.Channel != in.Channel || m.ID != in.ID || m.Publisher != in.Publisher || !m.Time.Equal(in.Time) ||
			string(m.Data) != string(in.Data) || string(m.Formats["http-stream"]) != string(in.Formats["http-stream"]) ||
			m.Position != r.Position || m.Retracted {
			t.Errorf("got %+v, published %+v", m, &in)
		}
	}
}
