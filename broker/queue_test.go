package broker

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A queue is a list, whatever is done to it, and knows the size of what is in it.
func TestQueue_is_a_list(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var want []Delivery
		next := 0
		some := func(most int) (ds []Delivery) {
			for range rapid.IntRange(1, most).Draw(t, "messages") {
				next++
				d := Delivery{Message: &Message{ID: fmt.Sprint(next), Data: []byte(strings.Repeat("x", next%7))}, Pattern: Pattern(fmt.Sprint("/", next))}
				if next%3 == 0 {
					d.Also = []Pattern{"/*"}
				}
				ds = append(ds, d)
			}
			return ds
		}
		took := func(ds []Delivery, n int) {
			if fmt.Sprint(ds) != fmt.Sprint(want[:n]) {
				t.Fatalf("took %v of %v", ds, want)
			}
			want = want[n:]
		}
		size := func(ds []Delivery) (n int) {
			for _, d := range ds {
				n += d.Message.Size()
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				for _, d := range some(100) {
					q.push(d)
					want = append(want, d)
				}
			},
			"push one": func(*rapid.T) {
				d := some(1)[0]
				q.push(d)
				want = append(want, d)
			},
			"push in front": func(*rapid.T) {
				ds := some(3)
				q.pushFront(ds)
				want = append(ds, want...)
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(0, len(want)).Draw(t, "n") {
					took([]Delivery{q.pop()}, 1)
				}
			},
			"drain": func(*rapid.T) { took(q.drain(nil), len(want)) },
			"drain within": func(t *rapid.T) {
				n := rapid.IntRange(0, len(want)).Draw(t, "n")
				took(q.drainWithin(nil, n, size(want[:n])), n)
			},
			"": func(t *rapid.T) {
				if q.len() != len(want) || q.size() != size(want) {
					t.Fatalf("%d messages of %d bytes, want %d of %d", q.len(), q.size(), len(want), size(want))
				}
				if len(want) == 0 && (q.message != nil || q.also != nil || len(q.rest) > 0 || cap(q.rest) > keepCap) {
					t.Fatalf("an empty queue keeps %+v", q)
				}
				if len(want) > 0 && !q.fits(1, len(want)+1, size(want)+1) || q.fits(1, len(want), 1<<30) || len(want) > 0 && q.fits(2, len(want)+1, size(want)+1) {
					t.Fatal("fits is wrong")
				}
			},
		})
	})
}
