package park

import "sync"

// table says which socket an event is meant for. A place is used again, under another generation; so an event that is late finds nobody.
type table struct {
	mu     sync.Mutex // guards the rest
	places []place
	free   []uint32
}

type place struct {
	socket     *Socket // nil: nobody
	generation uint32
}

// enter gives s a place, and the ticket for it: generation and number.
func (t *table) enter(s *Socket) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.places))
		t.places = append(t.places, place{})
	}
	t.places[i].socket = s
	return uint64(t.places[i].generation)<<32 | uint64(i)
}

// leave frees the place. A second time does nothing.
func (t *table) leave(ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := uint32(ticket)
	if p := &t.places[i]; p.generation == uint32(ticket>>32) {
		*p = place{generation: p.generation + 1}
		t.free = append(t.free, i)
	}
}

// seated calls f if whoever was given the ticket is still there, and cannot leave meanwhile.
func (t *table) seated(ticket uint64, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.places[uint32(ticket)].generation == uint32(ticket>>32) {
		f()
	}
}

// find appends those whose tickets are in events, if they still sit there.
func (t *table) find(dst []happening, events []event) []happening {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range events {
		ticket := events[i].ticket()
		if p := t.places[uint32(ticket)]; p.socket != nil && p.generation == uint32(ticket>>32) {
			dst = append(dst, happening{p.socket, events[i].what()})
		}
	}
	return dst
}

type happening struct {
	socket *Socket
	what   Happened
}
