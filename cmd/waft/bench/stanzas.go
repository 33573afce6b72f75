package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// The server's side of a stream of XML (RFC 6120 §4), as far as it takes to find where each stanza of a component begins
// and ends. Tags are counted and quotes respected; whether names match, and all else that a parser would look at, is
// nobody's concern here.

const (
	maxTag    = 64 << 10
	maxStanza = 4 << 20
)

var errNoStanza = errors.New("what came is no stream of stanzas")

// stanzas puts stanzas together from what arrives piece by piece. The zero value stands behind the stream's header.
type stanzas struct{ rest []byte }

// feed calls whole with every whole stanza in b, which is good until it returns. The error is errClosed where the
// stream ends.
func (s *stanzas) feed(b []byte, whole func(stanza []byte) error) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for {
		stanza, size, err := nextStanza(b)
		if err != nil {
			return err
		}
		if size == 0 {
			s.rest = append(s.rest[:0], b...)
			return nil
		}
		if err := whole(stanza); err != nil {
			return err
		}
		b = b[size:]
	}
}

// nextStanza finds the stanza that b begins with, behind white space. size is 0 if it has not come whole.
func nextStanza(b []byte) (stanza []byte, size int, err error) {
	from := leading(b)
	depth, at := 0, from
	for {
		next := bytes.IndexByte(b[at:], '<')
		switch {
		case next > 0 && depth == 0, next < 0 && depth == 0 && at < len(b):
			return nil, 0, fmt.Errorf("%w: text between stanzas", errNoStanza)
		case next < 0 && len(b)-from > maxStanza:
			return nil, 0, fmt.Errorf("a stanza of more than %d bytes", maxStanza)
		case next < 0:
			return nil, 0, nil
		}
		at += next
		tag, err := nextTag(b[at:])
		if err != nil {
			return nil, 0, err
		}
		if len(tag) == 0 {
			if len(b)-from > maxStanza {
				return nil, 0, fmt.Errorf("a stanza of more than %d bytes", maxStanza)
			}
			return nil, 0, nil
		}
		at += len(tag)
		switch {
		case tag[1] == '/':
			depth--
		case tag[len(tag)-2] != '/':
			depth++
		}
		switch {
		case depth < 0:
			return nil, 0, errClosed
		case depth == 0:
			return b[from:at], at, nil
		}
	}
}

// nextTag is the tag that b begins with; nothing if it has not come whole. Waft sends elements only: neither comments nor
// CDATA (RFC 6120 §11.1 forbids the ones, and it has no use for the others).
func nextTag(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, nil
	}
	if b[1] == '!' || b[1] == '?' || b[1] == '>' {
		return nil, fmt.Errorf("%w: it has %q", errNoStanza, b[:2])
	}
	var quote byte
	for i, c := range b[1:] {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return b[:i+2], nil
		}
	}
	if len(b) > maxTag {
		return nil, fmt.Errorf("a tag of more than %d bytes", maxTag)
	}
	return nil, nil
}

// leading is how much white space b begins with.
func leading(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \t\r\n")) }

// attribute is the value of an attribute of the tag that an element begins with, as it is written, and nothing if it has
// none of that name.
func attribute(element []byte, name string) []byte {
	tag, _ := nextTag(element)
	for {
		equals := bytes.IndexByte(tag, '=')
		if equals < 0 || equals+1 == len(tag) {
			return nil
		}
		key, value := tag[:equals], tag[equals+2:]
		end := bytes.IndexByte(value, tag[equals+1])
		if end < 0 {
			return nil
		}
		if key = key[bytes.LastIndexAny(key, " \t\r\n")+1:]; string(key) == name {
			return value[:end]
		}
		tag = value[end+1:]
	}
}

// streamHeader is the opening tag of a stream, behind an XML declaration if there is one. size is 0 if it has not come
// whole.
func streamHeader(b []byte) (tag []byte, size int, err error) {
	at := leading(b)
	if bytes.HasPrefix(b[at:], []byte("<?xml")) {
		end := bytes.Index(b, []byte("?>"))
		if end < 0 {
			return nil, 0, tooLong(b)
		}
		at = end + 2
		at += leading(b[at:])
	}
	if at < len(b) && b[at] != '<' {
		return nil, 0, errNoStanza
	}
	if tag, err = nextTag(b[at:]); err != nil || len(tag) == 0 {
		return nil, 0, errors.Join(err, tooLong(b))
	}
	if !bytes.HasPrefix(tag, []byte("<stream:stream")) {
		return nil, 0, fmt.Errorf("%w: it begins with %.40q", errNoStanza, tag)
	}
	return tag, at + len(tag), nil
}

func tooLong(b []byte) error {
	if len(b) > maxTag {
		return fmt.Errorf("%w: no header in %d bytes", errNoStanza, len(b))
	}
	return nil
}
