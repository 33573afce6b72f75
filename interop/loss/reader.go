package loss

import "slices"

// Terms are what a reader has been promised, beside one order. The zero Terms promise everything, once.
type Terms struct {
	Again   bool // a message may come once more for each Break since it was sent
	MayMiss bool // what was under way at a Break, or a Gap, may not come
}

// Reader is what one reader was handed. Its fields are guarded by the ledger's mutex.
type Reader struct {
	ledger         *Ledger
	name, protocol string
	terms          Terms

	channels map[string]*taken
	breaks   []int64 // the ledger's clock
	gaps     []int64 // likewise, and with the breaks
	told     []string
	strange  []Key
}

// taken is what came of one channel.
type taken struct {
	order []Key // first copies
	of    map[Key]*copies
	ended bool // the last one has come
}

type copies struct {
	n        int
	at       int64 // the ledger's clock, of the first
	identity string
	other    int // copies with another identity
}

// Reader adds one, who reads the channels from their beginning.
func (l *Ledger) Reader(name, protocol string, terms Terms, channels ...string) *Reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &Reader{ledger: l, name: name, protocol: protocol, terms: terms, channels: map[string]*taken{}}
	for _, c := range channels {
		r.channels[c] = &taken{of: map[Key]*copies{}}
	}
	l.readers = append(l.readers, r)
	return r
}

// Take notes that a message was handed over. The identity is what must be equal when it comes again; it may be empty.
func (r *Reader) Take(k Key, identity string) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.ledger.clock++
	t := r.channels[k.Channel]
	if t == nil || r.ledger.sent[k] == nil {
		r.strange = append(r.strange, k)
		return
	}
	if t.ended {
		return
	}
	c := t.of[k]
	if c == nil {
		c = &copies{at: r.ledger.clock, identity: identity}
		t.of[k] = c
		t.order = append(t.order, k)
	}
	if c.n++; c.identity != identity {
		c.other++
	}
	t.ended = k == r.ledger.last[k.Channel]
}

// Break notes that a connection on the way to the reader has ended, or is about to.
func (r *Reader) Break() {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.ledger.clock++
	r.breaks = append(r.breaks, r.ledger.clock)
	r.gaps = append(r.gaps, r.ledger.clock)
}

// Gap notes that the reader has been away until now.
func (r *Reader) Gap() {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.ledger.clock++
	r.gaps = append(r.gaps, r.ledger.clock)
}

// Told notes that the reader was told that something is lost.
func (r *Reader) Told(what string) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	r.told = append(r.told, what)
}

// Ended reports whether the reader has the last message of each of these channels; of none: of all.
func (r *Reader) Ended(channels ...string) bool {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	for name, t := range r.channels {
		if !t.ended && (len(channels) == 0 || slices.Contains(channels, name)) {
			return false
		}
	}
	return true
}

// interrupted tells whether there was a break or a gap between two times of the clock.
func (r *Reader) interrupted(from, to int64) bool {
	i, _ := slices.BinarySearch(r.gaps, from)
	return i < len(r.gaps) && r.gaps[i] < to
}

// breaksSince counts them.
func (r *Reader) breaksSince(clock int64) int {
	i, _ := slices.BinarySearch(r.breaks, clock)
	return len(r.breaks) - i
}
