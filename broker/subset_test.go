package broker

import (
	"maps"
	"slices"
	"testing"
)

func TestSubset_is_a_map(t *testing.T) {
	var s subset
	want := map[Pattern]*subscription{}
	all := []Pattern{"/a", "/b", "/c"}
	for i, step := range []int{1, 2, -1, 3, -2, 1, -3, -1, 2, -2, -2, 3} {
		p := all[max(step, -step)-1]
		if step > 0 {
			sub := &subscription{pattern: p}
			want[p] = sub
			s.add(sub)
		} else {
			delete(want, p)
			s.remove(p)
		}
		for _, p := range all {
			if s.get(p) != want[p] || s.has([]byte(p)) != (want[p] != nil) {
				t.Errorf("step %d: %s is %v, want %v", i, p, s.get(p), want[p])
			}
		}
		got := map[Pattern]*subscription{}
		for sub := range s.all() {
			got[sub.pattern] = sub
		}
		if !maps.Equal(got, want) || s.len() != len(want) {
			t.Errorf("step %d: %d, %v, want %v", i, s.len(), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}
