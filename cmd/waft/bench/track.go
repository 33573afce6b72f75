package bench

// track follows what one subscriber gets from one publisher on one channel: 0, 1, 2 and so on, if nothing is lost,
// repeated or overtaken.
type track struct {
	from uint64 // what is below does not count
	next uint64 // all from there to here have come, but for the gaps
	gaps []span // missing below next, ascending; nil for most
}

// span is from … to-1.
type span struct{ from, to uint64 }

// verdict is what a message is to a track.
type verdict int

const (
	inOrder  verdict = iota
	late             // after one that was published later: the order is broken
	repeated         // it has come before
	earlier          // it was published before counting began
)

// maxGaps bounds the memory of a track: beyond it the oldest gap is given up, and what comes from it counts as
// repeated.
const maxGaps = 256

// see takes the message n. givenUp counts what is lost for good because the track cannot remember it.
func (t *track) see(n uint64) (v verdict, givenUp uint64) {
	switch {
	case n == t.next:
		t.next++
		return inOrder, 0
	case n > t.next:
		if len(t.gaps) == maxGaps {
			givenUp = t.gaps[0].to - t.gaps[0].from
			t.gaps = append(t.gaps[:0], t.gaps[1:]...)
		}
		t.gaps = append(t.gaps, span{t.next, n})
		t.next = n + 1
		return inOrder, givenUp
	case n < t.from:
		return earlier, 0
	}
	for i, g := range t.gaps {
		if n < g.from || n >= g.to {
			continue
		}
		t.fill(i, n)
		return late, 0
	}
	return repeated, 0
}

// fill takes n out of gap i.
func (t *track) fill(i int, n uint64) {
	g := t.gaps[i]
	var left []span
	if g.from < n {
		left = append(left, span{g.from, n})
	}
	if n+1 < g.to {
		left = append(left, span{n + 1, g.to})
	}
	t.gaps = append(t.gaps[:i], append(left, t.gaps[i+1:]...)...)
}

// missing is how many of 0 … published-1 have not come; those given up are not among them.
func (t *track) missing(published uint64) uint64 {
	var n uint64
	for _, g := range t.gaps {
		n += g.to - g.from
	}
	if published > t.next {
		n += published - t.next
	}
	return n
}

// skip begins anew: what was published before is nobody's loss, even if it comes late.
func (t *track) skip(published uint64) {
	t.from, t.next, t.gaps = published, published, nil
}
