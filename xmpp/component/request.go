package component

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"mellium.im/xmpp/jid"
)

// Request sends an iq of type get or set to the address to and waits for its answer. The function build renders the
// stanza with the id it is given, 128 random bits. The answer is the iq result or error with that id that comes from
// that address: somebody else who learns the id cannot answer. An iq error is an answer, not a Go error.
//
// Errors: those of Send; the context's, or context.DeadlineExceeded after RequestTimeout; ErrDown with the reason, at
// once, when the link goes down; ErrRefused when the answer broke a limit.
func (l *Link) Request(ctx context.Context, to string, build func(id string) []byte) (*Stanza, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.RequestTimeout)
	defer cancel()
	id := rand.Text()
	w := l.pending.add(id, to)
	defer l.pending.remove(id)
	if err := l.Send(build(id)); err != nil {
		return nil, err
	}
	select {
	case a := <-w.answer:
		switch {
		case a.err != nil:
			return nil, fmt.Errorf("request to %s: %w", to, a.err)
		case a.stanza.Refused != NotRefused:
			return nil, fmt.Errorf("request to %s: %w: %s", to, ErrRefused, a.stanza.Refused)
		}
		return a.stanza, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("component: request to %s: %w", to, context.Cause(ctx))
	}
}

// pending is the table of Requests that wait. An entry is answered by whoever takes it out of the table.
type pending struct {
	mu sync.Mutex
	m  map[string]*waiter // by id
}

type waiter struct {
	to     string
	jid    jid.JID // of to; the zero JID when it does not parse
	answer chan answer
}

type answer struct {
	stanza *Stanza
	err    error
}

func (p *pending) add(id, to string) *waiter {
	w := &waiter{to: to, answer: make(chan answer, 1)}
	w.jid, _ = jid.Parse(to)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[string]*waiter)
	}
	p.m[id] = w
	return w
}

func (p *pending) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, id)
}

// answer hands st to the Request it answers and reports whether there was one.
func (p *pending) answer(st *Stanza) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.m[st.ID]
	if w == nil || st.From != w.to && !(st.FromOK && st.FromJID.Equal(w.jid)) {
		return false
	}
	delete(p.m, st.ID)
	w.answer <- answer{stanza: st}
	return true
}

// release ends every waiting Request.
func (p *pending) release(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.m {
		w.answer <- answer{err: err}
	}
	clear(p.m)
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.m)
}
