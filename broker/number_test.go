package broker

import (
	"math/rand/v2"
	"testing"
)

func TestPosition_Number(t *testing.T) {
	for range 1000 {
		p := Position{Epoch: rand.Uint64(), Offset: 1 + rand.Uint64N(1<<32-1)}
		n, ok := p.Number()
		if !ok || n < 1 || n >= 1<<53 || int64(float64(n)) != n {
			t.Fatalf("%v has the number %d, %v", p, n, ok)
		}
		newest := Position{Epoch: p.Epoch, Offset: p.Offset + 5}
		if got, ok := newest.at(n); !ok || got != p {
			t.Fatalf("%d is %v, %v; it was %v", n, got, ok, p)
		}
	}
	for name, p := range map[string]Position{"none": {}, "before the first": {Epoch: 5}, "more than 32 bits": {Epoch: 5, Offset: 1 << 32}} {
		if n, ok := p.Number(); ok {
			t.Errorf("%s: %d", name, n)
		}
	}
	if n, ok := (Position{Epoch: 5, Offset: 1<<32 - 1}).Number(); !ok || n >= 1<<53 {
		t.Errorf("the last offset with a number: %d, %v", n, ok)
	}
}

func TestPosition_Number_of_another_epoch_is_not_taken(t *testing.T) {
	n, _ := Position{Epoch: 100, Offset: 3}.Number()
	taken := 0
	for e := range uint64(10_000) { // neighbours too: an engine may count
		if _, ok := (Position{Epoch: 101 + e, Offset: 9}).at(n); ok {
			taken++
		}
	}
	for range 100_000 {
		if _, ok := (Position{Epoch: rand.Uint64(), Offset: 9}).at(n); ok {
			taken++
		}
	}
	if taken > 3 { // expected: 0.05
		t.Errorf("taken for one of %d other epochs", taken)
	}
	if _, ok := (Position{}).at(n); ok {
		t.Error("taken for one of a channel without history")
	}
	for _, n := range []int64{0, -1, -2, 1 << 53, 1<<63 - 1, -1 << 63} {
		if at, ok := (Position{Epoch: 100, Offset: 3}).at(n); ok {
			t.Errorf("%d is %v", n, at)
		}
	}
}
