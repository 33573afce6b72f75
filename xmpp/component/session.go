package component

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// session is one acknowledged connection. Two goroutines serve it: the one that called serve reads, the other writes.
type session struct {
	// Static.
	l    *Link
	conn net.Conn
	dead chan struct{} // closed when the session is over
	bye  chan struct{} // closed when beginClose is done

	// Owned by the read goroutine.
	framer   *framer
	parser   *parser
	jids     jidCache
	up       bool   // acknowledged: Read watches for silence
	pinged   bool   // and nothing has come since
	pingLate bool   // the last look found that ping still in the queue
	pingID   string // of the last ping, "" before the first
	pingAt   uint64 // the queue's position after that ping

	mu      sync.Mutex
	over    bool
	cause   error     // why it is over
	closing time.Time // when the goodbye must be done; zero while the link is wanted
}

func newSession(l *Link, conn net.Conn) *session {
	s := &session{l: l, conn: conn, dead: make(chan struct{}), bye: make(chan struct{})}
	s.framer = newFramer(s, l.opts.limits())
	return s
}

// serve runs the session to its end and tidies up after it.
func (s *session) serve(ctx context.Context) error {
	l := s.l
	s.up = true
	l.count.resent.Add(uint64(l.queue.start()))
	l.opts.Logger.InfoContext(ctx, "xmpp link up", "server", l.opts.Server)
	if l.opts.Up != nil {
		l.opts.Up()
	}
	unwatch := context.AfterFunc(ctx, func() {
		defer close(s.bye)
		s.beginClose()
	})
	var writer sync.WaitGroup
	writer.Go(func() { s.writeLoop(ctx) })
	err := s.readLoop()
	if s.isClosing() {
		if errors.Is(err, ErrClosed) {
			l.queue.provenAll()
		}
		err = context.Cause(ctx)
	}
	s.fail(err)
	writer.Wait()
	if !unwatch() {
		<-s.bye
	}
	l.drop(OutLost, l.queue.clear())
	if l.opts.Down != nil {
		l.opts.Down(s.cause)
	}
	return s.cause
}

// fail ends the session, whoever finds first that it is over. The queue is shut before the waiting requests are
// released, so that a Request either is released here or gets ErrDown from Send.
func (s *session) fail(err error) {
	s.mu.Lock()
	first := !s.over
	if first {
		s.over, s.cause = true, err
	}
	s.mu.Unlock()
	if !first {
		return
	}
	close(s.dead)
	_ = s.conn.Close()
	s.l.queue.stop()
	s.l.pending.release(fmt.Errorf("%w: %w", ErrDown, err))
}

func (s *session) readLoop() error {
	for {
		fr, err := s.framer.next()
		switch {
		case errors.Is(err, ErrFraming) || errors.Is(err, ErrSilent):
			return err
		case err != nil:
			return fmt.Errorf("component: reading from the server: %w", err)
		case fr.kind == frameEnd:
			return ErrClosed
		}
		s.l.count.stanzasIn.Add(1)
		if err := s.element(fr); err != nil {
			return err
		}
	}
}

// element handles one top-level element. Only a stream error is an error: the rest was caused by some user, who must
// not be able to end the link.
func (s *session) element(fr frame) error {
	why := fr.why
	var el *Element
	if why == NotRefused {
		var err error
		if el, err = s.parser.parse(fr.raw); err != nil {
			why = Malformed
		}
	}
	if el == nil && fr.head != nil {
		el, _ = s.parser.parse(fr.head)
	}
	if el != nil && el.Name.Space == nsStream && el.Name.Local == "error" {
		return streamError(el)
	}
	if el == nil {
		s.l.drop(why, 1)
		return nil
	}
	st := newStanza(el, &s.jids)
	switch {
	case st == nil:
		s.l.drop(UnknownElement, 1, "name", clip(el.Name.Local))
		return nil
	case why != NotRefused:
		s.l.drop(why, 1, "kind", st.Kind, "from", clip(st.From))
		st.Refused = why
	}
	s.deliver(st)
	return nil
}

func (s *session) deliver(st *Stanza) {
	if st.Kind == IQ && (st.Type == "result" || st.Type == "error") {
		ours := s.pingID != "" && st.ID == s.pingID
		if fenced, writable := s.l.queue.proven(st.ID); fenced {
			ours = true
			if writable && s.l.opts.Writable != nil {
				s.l.opts.Writable()
			}
		}
		if !ours && !s.l.pending.answer(st) {
			s.l.drop(StrayAnswer, 1, "from", clip(st.From))
		}
		return
	}
	if s.l.opts.Handler == nil || s.isClosing() {
		s.l.drop(NobodyListens, 1, "kind", st.Kind)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.l.drop(HandlerPanicked, 1)
			s.l.opts.Logger.Error("xmpp handler panicked", "kind", st.Kind, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s.l.opts.Handler(st)
}
