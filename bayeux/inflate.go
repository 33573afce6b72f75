package bayeux

import (
	"compress/flate"
	"errors"
	"io"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
)

// What compression changes about a socket.

// frames gives the bytes for ds in the form that was negotiated, for the socket and for the session.
func (s *socket) frames(sc *outbox.Scratch, to *session, ds []broker.Delivery) []byte {
	if s.packed {
		return to.packed().frames(sc, ds)
	}
	return to.form().frames(sc, ds)
}

// frame is frames for one message. A message without a form here has none.
func (s *socket) frame(to *session, m *broker.Message) (b []byte) {
	if s.packed {
		b, _ = m.Encoded(to.packed())
	} else {
		b, _ = m.Encoded(to.form())
	}
	return b
}

// wireLimit is how many bytes a message may have on the wire: with compression more than MaxBody, for what cannot be compressed gets
// longer, by an eighth with the least able of compressors.
func (s *socket) wireLimit() int {
	limit := s.h.opts.MaxBody
	if s.packed {
		limit += limit/8 + 64
	}
	return limit
}

// errInflated says that a message has more bytes than it may, though fewer came over the wire.
var errInflated = errors.New("the message is too large when inflated")

// bounded gives r no further than MaxBody bytes. Gorilla's limit counts what is on the wire, and a byte there can become a thousand.
func (s *socket) bounded(r io.Reader) io.Reader {
	if !s.packed {
		return r
	}
	return &boundedReader{r, s.h.opts.MaxBody}
}

type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1] // the one too many shows that there is one
	}
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return n, errInflated
	}
	return n, err
}

// refusedFrame sees to a message that arrived whole or could be skipped, and cannot be inflated. It is false for other errors.
func (s *socket) refusedFrame(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case errors.Is(err, errInflated):
		s.h.counters.refuse(RefusedTooLarge)
		s.shut(websocket.CloseMessageTooBig, "the message is too large")
	case corrupt, errors.Is(err, io.ErrUnexpectedEOF): // the wire's own end is a CloseError
		s.h.counters.refuse(RefusedMalformed)
		s.shut(websocket.CloseInvalidFramePayloadData, "the message cannot be inflated")
	default:
		return false
	}
	return true
}
