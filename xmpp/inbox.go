package xmpp

import (
	"sync"

	"waft/xmpp/component"
)

// inbox is what waits for one worker: first come, first served, so that what one sender asks is done in order. It is
// bounded in stanzas and, roughly, in memory, and no sender may fill more than a quarter of it.
type inbox struct {
	size, bytes int           // limits; static
	wake        chan struct{} // holds a token when the worker should look; static

	mu      sync.Mutex // guards the rest
	waiting []letter
	count   int            // letters waiting or in the worker's hands
	weight  int            // and of those, the memory
	senders map[string]int // and of those, how many by whom: bare JID as sent
	closed  bool
}

type letter struct {
	stanza *component.Stanza
	sender string
	weight int
}

// verdict is what became of a stanza that was put in an inbox.
type verdict uint8

const (
	taken  verdict = iota
	full           // the inbox is
	greedy         // its sender has too many in it
	closed         // the service is ending
)

func newInbox(size, bytes int) *inbox {
	return &inbox{size: size, bytes: bytes, wake: make(chan struct{}, 1), senders: make(map[string]int)}
}

// put never blocks: the link's read goroutine calls it.
func (in *inbox) put(st *component.Stanza, sender string) verdict {
	w := weigh(st.Element)
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return closed
	case in.count >= in.size || in.weight+w > in.bytes && in.weight > 0:
		return full
	case in.senders[sender] >= max(in.size/4, 1):
		return greedy
	}
	in.waiting = append(in.waiting, letter{st, sender, w})
	in.count++
	in.weight += w
	in.senders[sender]++
	in.ring()
	return taken
}

// take gives the worker all that waits, using spare for what comes next, and tells whether there can be more.
func (in *inbox) take(spare []letter) (batch []letter, open bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	batch, in.waiting = in.waiting, spare[:0]
	return batch, !in.closed
}

// done takes a letter that take gave off the books.
func (in *inbox) done(l letter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.count--
	in.weight -= l.weight
	if in.senders[l.sender]--; in.senders[l.sender] == 0 {
		delete(in.senders, l.sender)
	}
}

// close lets the worker finish what waits, and refuses the rest.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.ring()
}

func (in *inbox) ring() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// weigh estimates what an element takes in memory. A megabyte of small elements becomes a tree of fifteen.
func weigh(e *component.Element) int {
	if e == nil {
		return 0
	}
	w := 128 + len(e.Text)
	for _, a := range e.Attrs {
		w += 64 + len(a.Value)
	}
	for _, c := range e.Children {
		w += weigh(c)
	}
	return w
}
