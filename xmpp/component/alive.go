package component

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
)

// Read is the framer's reader. Once the link is up it is also its watchman: silence for PingInterval causes a ping,
// silence after it ErrSilent. Time spent in the handler does not count as silence.
func (s *session) Read(p []byte) (int, error) {
	for {
		if s.up {
			s.armRead()
		}
		n, err := s.conn.Read(p)
		if n > 0 {
			s.pinged = false
			s.l.count.bytesIn.Add(uint64(n))
			return n, nil
		}
		switch {
		case err == nil:
		case !s.up || s.isClosing() || !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case !s.pinged:
			s.ping()
		case !s.l.queue.sentUpTo(s.pingAt):
			// The ping still waits behind other stanzas. If those do not move, the write deadline will tell.
			s.pingLate = true
		case s.pingLate:
			s.pingLate = false // it has left since we last looked: its time begins now
		default:
			return 0, fmt.Errorf("%w: nothing came for %v after a ping to %s", ErrSilent, s.l.opts.PingTimeout, s.l.opts.Host)
		}
	}
}

func (s *session) armRead() {
	wait := s.l.opts.PingInterval
	if s.pinged {
		wait = s.l.opts.PingTimeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.closing
	if at.IsZero() {
		at = time.Now().Add(wait)
	}
	_ = s.conn.SetReadDeadline(at) // fails only on a closed connection, as the read will
}

// ping is XEP-0199 §4.3, component to server. From is not optional: ejabberd closes a link on which it is missing.
func (s *session) ping() {
	var b []byte
	s.pinged, s.pingLate = true, false
	s.pingID, b = s.l.opts.newPing()
	_ = s.l.queue.put(forced, len(b), b) // refused only when the session is over already
	s.pingAt = s.l.queue.position()
}

// newPing renders a ping with an id that nobody can guess, for whoever knew it could answer in the server's place.
func (o *Options) newPing() (id string, ping []byte) {
	id = rand.Text()
	b := append([]byte("<iq type='get' id='"), id...)
	b = AppendAttr(append(b, "' from='"...), o.Domain)
	b = AppendAttr(append(b, "' to='"...), o.Host)
	return id, append(b, "'><ping xmlns='urn:xmpp:ping'/></iq>"...)
}

func (s *session) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closing.IsZero()
}
