package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The client's side of HTTP/1.1 (RFC 9112) on a connection of one's own: net/http would take two goroutines and some
// 20 KB for each of the polls that are held by the thousand, and more time than the server needs.

const (
	maxHead = 64 << 10
	maxBody = 64 << 20
)

// head is the head of a response.
type head struct {
	status  int
	length  int  // of the body; -1: until the connection ends
	chunked bool // then length is -1
	closes  bool // the connection is not to be used again

	etag, modified string // ETag and Last-Modified: where nchan's next poll goes on
	contentType    string
}

var errBadResponse = errors.New("what came is no HTTP response")

// parseHead reads the head that b begins with. size is 0 if it has not come whole.
func parseHead(b []byte) (h head, size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return head{}, 0, fmt.Errorf("a response head of more than %d bytes", maxHead)
		}
		return head{}, 0, nil
	}
	line, fields, _ := bytes.Cut(b[:end], []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return head{}, 0, errBadResponse
	}
	h.length = -1
	h.closes = line[7] == '0'
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return head{}, 0, errBadResponse
	}
	for len(fields) > 0 {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := h.field(name, bytes.TrimSpace(value)); err != nil {
			return head{}, 0, err
		}
	}
	if h.status < 200 || h.status == 204 || h.status == 304 {
		h.length, h.chunked = 0, false
	}
	if h.chunked {
		h.length = -1
	}
	return h, end + 4, nil
}

func (h *head) field(name, value []byte) error {
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch {
	case is("Content-Length"):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 || n > maxBody {
			return fmt.Errorf("a response with Content-Length %.20q", value)
		}
		h.length = n
	case is("Transfer-Encoding"):
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
	case is("Connection"):
		h.closes = h.closes || bytes.EqualFold(value, []byte("close"))
	case is("ETag"):
		h.etag = string(value)
	case is("Last-Modified"):
		h.modified = string(value)
	case is("Content-Type"):
		h.contentType = string(value)
	}
	return nil
}

// responses puts responses together from what arrives piece by piece. The zero value is ready.
type responses struct{ rest []byte }

// feed calls whole with every whole response in b. The body is good until it returns.
func (r *responses) feed(b []byte, whole func(h head, body []byte) error) error {
	if len(r.rest) > 0 {
		r.rest = append(r.rest, b...)
		b = r.rest
	}
	for {
		h, body, size, err := nextResponse(b)
		if err != nil {
			return err
		}
		if size == 0 {
			r.rest = append(r.rest[:0], b...)
			return nil
		}
		if h.status >= 200 {
			if err := whole(h, body); err != nil {
				return err
			}
		}
		b = b[size:]
	}
}

// nextResponse reads the response that b begins with. size is 0 if it has not come whole.
func nextResponse(b []byte) (h head, body []byte, size int, err error) {
	h, size, err = parseHead(b)
	if err != nil || size == 0 {
		return head{}, nil, 0, err
	}
	switch {
	case h.chunked:
		var c chunks
		body, n, err := c.decode(nil, b[size:])
		if err != nil || !c.ended {
			return head{}, nil, 0, err
		}
		return h, body, size + n, nil
	case h.length < 0:
		return head{}, nil, 0, errors.New("a response without a length")
	case len(b)-size < h.length:
		return head{}, nil, 0, nil
	}
	return h, b[size : size+h.length], size + h.length, nil
}

// chunks decodes the chunked transfer coding (RFC 9112 §7.1) of a body that arrives piece by piece. The zero value
// stands at the beginning.
type chunks struct {
	left  int  // bytes to come of this chunk
	tail  bool // the end of a chunk's line comes next
	last  bool // trailers come next
	ended bool
}

// decode appends what b brings of the body to dst; of b, used bytes are used up, and the others have to come again
// with what follows them.
func (c *chunks) decode(dst, b []byte) (body []byte, used int, err error) {
	for !c.ended {
		if c.left > 0 {
			n := min(c.left, len(b)-used)
			dst = append(dst, b[used:used+n]...)
			c.left -= n
			used += n
			if c.left > 0 {
				return dst, used, nil
			}
			c.tail = true
		}
		end := bytes.Index(b[used:], []byte("\r\n"))
		if end < 0 {
			if len(b)-used > maxHead {
				return dst, used, errBadResponse
			}
			return dst, used, nil
		}
		line := b[used : used+end]
		used += end + 2
		switch {
		case c.tail && end > 0:
			return dst, used, errBadResponse
		case c.tail:
			c.tail = false
		case c.last:
			c.ended = end == 0
		default:
			text, _, _ := bytes.Cut(line, []byte(";"))
			n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 32)
			if err != nil || n > maxBody {
				return dst, used, fmt.Errorf("a chunk of size %.20q", line)
			}
			c.left, c.last = int(n), n == 0
		}
	}
	return dst, used, nil
}
