package component

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	nsComponent    = "jabber:component:accept"
	nsStream       = "http://etherx.jabber.org/streams"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	nsXML          = "http://www.w3.org/XML/1998/namespace"
)

// connect dials and makes the handshake. The session it returns is acknowledged; nothing but the header and the digest
// has been written.
func (l *Link) connect(ctx context.Context) (*session, error) {
	dialCtx, cancel := context.WithTimeout(ctx, l.opts.DialTimeout)
	defer cancel()
	conn, err := l.opts.Dial(dialCtx, "tcp", l.opts.Server)
	if err != nil {
		return nil, fmt.Errorf("component: connecting to %s: %w", l.opts.Server, err)
	}
	s := newSession(l, conn)
	// One deadline for all steps: a server that sends a byte now and then must not hold the attempt for ever. It stays
	// set; the session puts its own in its place before every read and write.
	err = conn.SetDeadline(time.Now().Add(l.opts.HandshakeTimeout))
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = s.handshake()
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// handshake is XEP-0114 §3: header, header with an id, digest, empty <handshake/>.
func (s *session) handshake() error {
	open := []byte("<?xml version='1.0'?><stream:stream xmlns='" + nsComponent + "' xmlns:stream='" + nsStream + "' to='")
	open = append(AppendAttr(open, s.l.opts.Domain), "'>"...)
	if _, err := s.conn.Write(open); err != nil {
		return s.failed("sending the stream header", err)
	}
	fr, err := s.framer.next()
	if err != nil {
		return s.failed("waiting for the stream header", err)
	}
	header, err := startTag(fr.raw)
	if err != nil || header.Name.Space != nsStream || header.Name.Local != "stream" {
		return fmt.Errorf("%w: %s does not speak XMPP: its first element is %q", ErrHandshake, s.l.opts.Server, clip(header.Name.Local))
	}
	s.parser = newParser(header.Attr, &s.l.opts)
	var id, namespace string
	for _, a := range header.Attr {
		switch {
		case a.Name.Space == "" && a.Name.Local == "id":
			id = a.Value
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			namespace = a.Value
		}
	}
	if id == "" || namespace != nsComponent {
		// The server may be about to say why. XEP-0114 §3: errors of this phase come inside a stream, maybe one without id.
		if _, err := s.reply("waiting for the stream id"); err != nil {
			return err
		}
		return fmt.Errorf("%w: the stream has no id or is of %q: is %s a component port?", ErrHandshake, clip(namespace), s.l.opts.Server)
	}

	digest := sha1.Sum([]byte(id + s.l.opts.Secret))
	if _, err := s.conn.Write([]byte("<handshake>" + hex.EncodeToString(digest[:]) + "</handshake>")); err != nil {
		// The server may have refused the header and closed: its reason is worth more than "broken pipe".
		if _, reason := s.reply("sending the digest"); reason != nil {
			return reason
		}
		return s.failed("sending the digest", err)
	}
	el, err := s.reply("waiting for the acknowledgement")
	if err != nil {
		return err
	}
	if el.Name.Space != nsComponent || el.Name.Local != "handshake" {
		return fmt.Errorf("%w: got <%s/> instead of the acknowledgement", ErrHandshake, clip(el.Name.Local))
	}
	return nil
}

// reply reads one element of the handshake; a stream error is returned as error.
func (s *session) reply(doing string) (*Element, error) {
	fr, err := s.framer.next()
	if err != nil {
		return nil, s.failed(doing, err)
	}
	if fr.kind == frameEnd {
		return nil, fmt.Errorf("%w: %s: %w", ErrHandshake, doing, ErrClosed)
	}
	raw := fr.raw
	if fr.why != NotRefused {
		raw = fr.head
	}
	el, err := s.parser.parse(raw)
	if err != nil {
		return nil, s.failed(doing, err)
	}
	if el.Name.Space == nsStream && el.Name.Local == "error" {
		return nil, streamError(el)
	}
	return el, nil
}

func (s *session) failed(doing string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %s: not within %v", ErrHandshake, doing, s.l.opts.HandshakeTimeout)
	}
	if errors.Is(err, net.ErrClosed) { // ctx ended
		return fmt.Errorf("%w: %s: interrupted", ErrHandshake, doing)
	}
	return fmt.Errorf("%w: %s: %w", ErrHandshake, doing, err)
}
