package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"waft/broker"
)

// What is delivered together moves a cursor to where it would be after one delivery at a time, and a channel alone is passed as it would be
// among others: with a replay on its way, with notices of removal, and after the other was dropped.
func TestCursor_passes_many_as_it_passes_each(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		patterns := []broker.Pattern{"/a", "/b", "/**"}[:1+r.IntN(3)]
		if r.IntN(3) == 0 {
			patterns = []broker.Pattern{"/a", "/**"}
		}
		var together, each, slowly Cursor
		all := []*Cursor{&together, &each, &slowly}
		frozen := max(0, r.IntN(10)-4)
		for _, c := range all {
			c.frozen = frozen
			for _, p := range patterns {
				if ch, ok := p.Channel(); ok {
					c.named = append(c.named, named{channel: ch, hash: hashOf(ch)})
				} else {
					c.wild = true
				}
			}
		}
		together.fold()
		each.fold()
		for offset := uint64(1); offset < 30; {
			var ds []broker.Delivery
			for range 1 + r.IntN(5) {
				m := &broker.Message{Channel: "/a", Position: broker.Position{Epoch: 1, Offset: offset}, Time: time.UnixMilli(int64(offset)), Retracted: r.IntN(3) == 0}
				if len(patterns) > 1 && r.IntN(2) == 0 || !slices.Contains(patterns, "/a") {
					m.Channel = "/b"
				}
				ds = append(ds, broker.Delivery{Message: m})
				offset++
			}
			together.PassAll(ds)
			for _, d := range ds {
				each.Pass(d.Message)
				slowly.pass(d.Message)
			}
			if len(patterns) > 1 && r.IntN(4) == 0 {
				gone := r.IntN(len(patterns))
				p := patterns[gone]
				patterns = slices.Delete(slices.Clone(patterns), gone, gone+1)
				for _, c := range all {
					c.Drop(p, patterns)
				}
			}
			if alone := len(patterns) == 1 && patterns[0] != "/**"; together.alone != alone || each.alone != alone {
				t.Fatalf("seed %d, %v: alone: %v", seed, patterns, together.alone)
			}
			want := where(&slowly)
			if a, b := where(&together), where(&each); a != want || b != want {
				t.Fatalf("seed %d, %v: together %s, each %s, want %s", seed, patterns, a, b, want)
			}
		}
	}
}

// where leaves the times of recent channels away: Drop notes the time that it is.
func where(c *Cursor) string {
	recent := map[broker.Channel]broker.Position{}
	for _, r := range c.recent {
		recent[r.channel] = r.at
	}
	return fmt.Sprint(c.named, c.frozen, c.wild, c.base, recent)
}
