package broker

import (
	"context"
	"slices"
	"sync"
	"testing"
)

// Moments between two steps that no caller can produce at will are tested from inside.

func TestIndex_a_removed_subscription_is_not_added_later(t *testing.T) {
	x := newIndex()
	sub := &subscription{pattern: "/a", place: pending}
	x.remove(sub)
	x.add(sub)
	if lists := x.match("/a", nil); len(lists) != 0 {
		t.Errorf("%d lists", len(lists))
	}
}

func TestIndex_snapshots_do_not_change_and_empty_lists_go(t *testing.T) {
	x := newIndex()
	var subs []*subscription
	for range 3*chunkSize + 1 {
		sub := &subscription{pattern: "/a/*", place: pending}
		subs = append(subs, sub)
		x.add(sub)
	}
	before := x.match("/a/b", nil)[0]
	for i, sub := range slices.Backward(slices.Clone(subs)) {
		if i%2 == 0 {
			x.remove(sub)
		}
	}
	x.add(&subscription{pattern: "/a/*", place: pending})
	if got := slices.Concat(before.chunks...); !slices.Equal(got, subs) {
		t.Error("a snapshot changed after it was taken")
	}
	for _, chunk := range x.match("/a/b", nil)[0].chunks {
		for _, sub := range chunk {
			x.remove(sub)
		}
	}
	if n := len(x.shard("/a").lists[One]); n != 0 {
		t.Errorf("%d lists are left of nothing", n)
	}
}

func TestMemoryEngine_nothing_is_stored_in_a_log_that_was_forgotten(t *testing.T) {
	e := NewMemoryEngine(MemoryOptions{})
	delivered := 0
	if err := e.Start(func(*Message) int { delivered++; return 0 }); err != nil {
		t.Fatal(err)
	}
	a := Append{Message: &Message{Channel: "/a", Data: []byte("1")}, Keep: Retention{Size: 1}}
	held := e.open("/a")
	s := e.shard("/a")
	s.mu.Lock()
	e.forget(s, held)
	s.mu.Unlock()
	if _, ok := e.append(held, a); ok || delivered != 0 {
		t.Error("a forgotten log took a message")
	}
	if _, err := e.Publish(context.Background(), a); err != nil || delivered != 1 {
		t.Errorf("publishing again: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.append(e.open("/new"), a); ok || delivered != 1 {
		t.Error("a log opened after the end took a message")
	}
}

func TestWheel_a_late_wheel_fires_everything_that_is_due(t *testing.T) {
	w := &Wheel{tick: 1}
	fired := 0
	for due := int64(1); due <= 5*wheelSlots; due++ {
		w.link(&Timer{wheel: w, f: func() { fired++ }, due: due})
	}
	w.advance(3 * wheelSlots)
	if fired != 3*wheelSlots {
		t.Errorf("%d timers fired of %d due", fired, 3*wheelSlots)
	}
}

type numbered struct{ n int }

func (numbered) EncodeMessage(*Message) ([]byte, error) { return nil, nil }

func TestMessage_a_form_is_made_once_among_concurrent_encoders(t *testing.T) {
	for range 5000 {
		m := new(Message)
		var forms [8]*form
		var wg sync.WaitGroup
		start := make(chan struct{}) // together, or they do not meet
		for i := range forms {
			wg.Go(func() {
				<-start
				forms[i] = m.form(numbered{i % 4})
			})
		}
		close(start)
		wg.Wait()
		for i, f := range forms {
			if f != m.form(numbered{i % 4}) {
				t.Fatal("a form was made twice")
			}
		}
	}
}
