package component

import (
	"context"
	"fmt"
	"time"
)

// writeLoop is the writer's goroutine: one write, under a deadline, for each chunk of the queue. While it writes, other
// goroutines fill the next chunk, so a busy link batches by itself and an idle one does not wait.
func (s *session) writeLoop(ctx context.Context) {
	for s.drain() {
		select {
		case <-s.l.queue.wake:
		case <-s.dead:
			return
		case <-ctx.Done():
			s.goodbye()
			return
		}
	}
}

// drain writes all that is queued and reports whether the session still lives.
func (s *session) drain() bool {
	l := s.l
	for c := l.queue.take(); c != nil; c = l.queue.take() {
		if !s.write(c.b) {
			return false
		}
		l.count.stanzasOut.Add(uint64(c.stanzas))
		l.count.bytesOut.Add(uint64(len(c.b)))
		if l.queue.written(c) && l.opts.Writable != nil {
			l.opts.Writable()
		}
	}
	return true
}

func (s *session) write(b []byte) bool {
	s.mu.Lock()
	at := s.closing
	if at.IsZero() {
		at = time.Now().Add(s.l.opts.WriteTimeout)
	}
	err := s.conn.SetWriteDeadline(at)
	s.mu.Unlock()
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err != nil {
		s.fail(fmt.Errorf("component: writing to the server: %w", err))
		return false
	}
	return true
}

// beginClose runs when ctx has ended: nothing new is accepted, and both goroutines have CloseTimeout to finish.
func (s *session) beginClose() {
	s.l.queue.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = time.Now().Add(s.l.opts.CloseTimeout)
	_ = s.conn.SetDeadline(s.closing) // fails only when the session is over already
}

// goodbye writes what is queued and the closing tag (RFC 6120 §4.4), then leaves the reader to wait for the server's.
// The socket must not be closed before: input that nobody has read would turn the close into a reset, and the reset
// would take what we just wrote with it.
func (s *session) goodbye() {
	<-s.bye
	if !s.drain() || !s.write([]byte("</stream:stream>")) {
		return
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
