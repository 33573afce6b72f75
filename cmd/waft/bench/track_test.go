package bench

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTrack_tells_losses_repeats_and_disorder_like_a_set_of_all_that_came(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k track
		came, highest := map[uint64]bool{}, -1
		published := uint64(0)
		for range rapid.IntRange(0, 60).Draw(t, "messages") {
			n := rapid.Uint64Range(0, 20).Draw(t, "n")
			want := inOrder
			switch {
			case came[n]:
				want = repeated
			case int(n) < highest:
				want = late
			}
			if got, _ := k.see(n); got != want {
				t.Fatalf("%d is %v, want %v", n, got, want)
			}
			came[n], highest, published = true, max(highest, int(n)), max(published, n+1)
		}
		published += rapid.Uint64Range(0, 3).Draw(t, "tail")
		if got, want := k.missing(published), published-uint64(len(came)); got != want {
			t.Fatalf("%d missing of %d, want %d", got, published, want)
		}
	})
}

func TestTrack_is_bounded_and_counts_what_it_gives_up(t *testing.T) {
	var k track
	var givenUp uint64
	for n := uint64(3); n < 4*(maxGaps+10); n += 4 { // three of four are missing
		_, lost := k.see(n)
		givenUp += lost
	}
	if len(k.gaps) != maxGaps || givenUp != 3*10 {
		t.Errorf("%d gaps, %d given up", len(k.gaps), givenUp)
	}
	if got, want := givenUp+k.missing(4*(maxGaps+10)), uint64(3*(maxGaps+10)); got != want {
		t.Errorf("%d lost in all, want %d", got, want)
	}
}

func TestTrack_what_came_before_the_mark_is_no_loss(t *testing.T) {
	var k track
	k.see(5)
	k.skip(10)
	if v, _ := k.see(10); v != inOrder || k.missing(11) != 0 {
		t.Errorf("verdict %v, %d missing", v, k.missing(11))
	}
	if v, _ := k.see(3); v != earlier {
		t.Errorf("a straggler of the warm-up is %v", v)
	}
}

func TestPlan_every_message_has_its_place_and_every_process_agrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := plan{rapid.IntRange(1, 12).Draw(t, "channels"), rapid.IntRange(1, 5).Draw(t, "publishers")}
		p := rapid.IntRange(0, l.publishers-1).Draw(t, "publisher")
		sent := make([]uint64, l.channels)
		for j := range rapid.Uint64Range(0, 50).Draw(t, "messages") {
			for c := range sent {
				if got := l.sentTo(p, j, c); got != sent[c] {
					t.Fatalf("%d of the first %d are to channel %d, want %d", got, j, c, sent[c])
				}
			}
			c, n := l.channelOf(p, j)
			if n != sent[c] || l.index(p, c, n) != j {
				t.Fatalf("message %d is %d of channel %d, and back %d; want %d", j, n, c, l.index(p, c, n), sent[c])
			}
			sent[c]++
		}
		first, count := rapid.IntRange(0, 30).Draw(t, "first"), rapid.IntRange(0, 30).Draw(t, "count")
		members := make([]int, l.channels)
		for i := range count {
			members[(first+i)%l.channels]++
		}
		for c, want := range members {
			if got := l.members(first, count, c); got != want {
				t.Fatalf("%d of %d subscribers from %d on have channel %d, want %d", got, count, first, c, want)
			}
		}
	})
}
