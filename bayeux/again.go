package bayeux

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// To go back to net/http costs a connection's set-up, a fifth more than never to have left. Most requests that follow a poll are polls
// again, to the same address, and arrive in one piece. Those are parsed by net/http's own ReadRequest and handed to the
// server's own handler right here, through whatever that has in front of this one. Everything else goes back, byte for byte:
// requests with more behind them, with another method, address, host or coding; and, where they have a goroutine, requests in pieces.

// whereto says what became of a connection.
type whereto uint8

const (
	nowhere  whereto = iota // it ends
	toServer                // there is a request for the server, in ahead
	held                    // another poll has it
)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// next serves the requests that follow.
func (c *reader) next() whereto {
	r := readers.Get().(*bufio.Reader)
	r.Reset(c.nc)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	for len(c.ahead) == 0 {
		if !c.rest(r) {
			return nowhere
		}
		request, raw := c.like(r)
		if request == nil {
			c.ahead = raw
			break
		}
		w := answer{c: c.heldPoll, header: http.Header{}, last: request.Close}
		switch {
		case !w.serve(request):
			return nowhere
		case w.hijacked:
			return held
		case !w.send():
			return nowhere
		}
		_ = request.Body.Close() // it is in r, to its end: what nobody has read of it is not the next request
	}
	if c.nc.SetDeadline(time.Time{}) != nil { // the server sets its own
		return nowhere
	}
	return toServer
}

// withoutLines is b without the empty lines it begins with, which some clients send behind the body of a POST. net/http passes over those, but only
// on a connection on which it has served the POST. (RFC 9112 §2.2)
func withoutLines(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// skipLines waits for what withoutLines leaves.
func skipLines(r *bufio.Reader) error {
	for {
		b, err := r.Peek(1)
		if err != nil || len(withoutLines(b)) > 0 {
			return err
		}
		_, _ = r.Discard(1) // it is there
	}
}

// like gives the request in r if it is one that can be served here, and else what was in r, as it came. It reads no more: all of the
// request is there.
func (c *reader) like(r *bufio.Reader) (_ *http.Request, raw []byte) {
	raw, _ = r.Peek(r.Buffered()) // they are there
	raw = slices.Clone(raw)       // ReadRequest changes the names of fields where they lie
	if !c.mayBeLike(raw) || !bytes.Contains(raw, endOfHead) {
		return nil, raw
	}
	q, err := http.ReadRequest(r)
	if err != nil || !sound(q) || !c.isLike(q) || q.ContentLength != int64(r.Buffered()) {
		return nil, raw // the server says what is wrong
	}
	q.RemoteAddr = c.from()
	return q, nil
}

// likeRaw is like for what was read into raw, which is left as it is, and not kept; without a context. If rest is true that may be
// the beginning of such a request.
func (c *heldPoll) likeRaw(raw []byte) (q *knownHead, body []byte, rest bool) {
	if !c.mayBeLike(raw) {
		return nil, nil, false
	}
	head := bytes.Index(raw, endOfHead) + len(endOfHead)
	if head < len(endOfHead) {
		return nil, nil, len(raw) < largeHead && !bytes.Contains(raw, endOfHead[1:]) && !bytes.Contains(raw, newLines)
	}
	heads := &c.back.h.heads
	if q = heads.find(raw[:head]); q == nil {
		q = heads.parse(raw, head)
	}
	if q == nil || !c.isLike(q.Request) {
		return nil, nil, false
	}
	if length := int64(len(raw) - head); length != q.ContentLength {
		return nil, nil, length < q.ContentLength && q.ContentLength <= int64(c.back.h.opts.MaxBody)
	}
	return q, raw[head:], false
}

// mayBeLike tells whether the method of a request, or what there is of it, is one of ours.
func (c *heldPoll) mayBeLike(raw []byte) bool {
	for _, method := range methods {
		if n := min(len(raw), len(method)); string(raw[:n]) == method[:n] {
			return c.back.server.ConnContext == nil
		}
	}
	return false
}

var methods = [...]string{"POST ", "GET ", "OPTIONS "}

// isLike tells whether q, but for its body, is a request like that of the poll: for this handler, and one that is answered at once and in one piece.
func (c *heldPoll) isLike(q *http.Request) bool {
	if q.Method == http.MethodGet && (q.URL.RawQuery == "" || isStream(q)) {
		return false
	}
	return q.Host == c.kind.host && (q.RequestURI == c.kind.door || door(q.RequestURI) == c.kind.door) &&
		q.ProtoMajor == 1 && q.ProtoMinor == 1 && q.TransferEncoding == nil && q.Header["Expect"] == nil && q.Header["Upgrade"] == nil
}

// door is what the targets of a client's requests have in common: CometD's clients add what they are about, and callback-polling ones all they have to say.
func door(target string) string {
	path, _, _ := strings.Cut(target, "?")
	for _, about := range [...]string{"/handshake", "/connect", "/disconnect"} {
		if mount, ok := strings.CutSuffix(path, about); ok {
			return mount
		}
	}
	return strings.TrimSuffix(path, "/")
}

// answer is the response to a request that is served here. It is kept until the handler has returned, and so has its length;
// there is no Flush.
type answer struct {
	c        *heldPoll
	header   http.Header
	head     []byte // the status line and header, once they are settled
	body     []byte
	mark     mark // of the request
	empty    bool // a status that has no body
	last     bool // the connection ends with it
	hijacked bool
}

// serve has the server's handler answer. It is false if that panicked, which ends the connection as it does in net/http.
func (w *answer) serve(r *http.Request) (ok bool) {
	ctx, cancel := context.WithCancel(w.c.back.base)
	defer cancel()
	return w.handle(r.WithContext(&nextContext{ctx, w.c.kind, w.c.nc}))
}

// serveAs is serve for a request that is like q but for its body.
func (w *answer) serveAs(q *http.Request, body string) (ok bool) {
	ctx, cancel := context.WithCancel(w.c.back.base)
	defer cancel()
	r := q.Clone(&nextContext{ctx, w.c.kind, w.c.nc})
	r.RemoteAddr, r.Body = w.c.from(), newWholeBody(body)
	return w.handle(r)
}

func (w *answer) handle(r *http.Request) (ok bool) {
	defer w.c.recovered(&ok)
	handler := w.c.back.server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	handler.ServeHTTP(w, r)
	return true
}

// recovered ends a panic, and says that there was one.
func (c *heldPoll) recovered(ok *bool) {
	err := recover()
	if err == nil {
		return
	}
	if err != http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so
		c.back.logf("bayeux: panic serving %s: %v\n%s", c.from(), err, debug.Stack())
	}
	*ok = false
}

// nextContext is a request's, with what net/http says in it.
type nextContext struct {
	context.Context
	kind *kind
	nc   net.Conn
}

// Value implements context.Context.
func (x *nextContext) Value(key any) any {
	switch {
	case key != http.LocalAddrContextKey:
	case x.kind.local.IsValid():
		return net.TCPAddrFromAddrPort(x.kind.local)
	default:
		return x.nc.LocalAddr()
	}
	return x.Context.Value(key)
}

// from is http.Request.RemoteAddr.
func (c *heldPoll) from() string {
	if c.remote.IsValid() {
		return c.remote.String()
	}
	return c.nc.RemoteAddr().String()
}

// answerOf is the answer that w writes to, if nothing that w wears has an opinion on who takes the connection over; or nil.
func answerOf(w http.ResponseWriter) *answer {
	for {
		switch x := w.(type) {
		case *answer:
			return x
		case http.Hijacker:
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = x.Unwrap()
		default:
			return nil
		}
	}
}

// send writes the response. It is false if it was the connection's last.
func (w *answer) send() bool {
	b, again := w.response()
	return w.c.write(b) == nil && again
}

func (w *answer) response() (b []byte, again bool) {
	w.WriteHeader(http.StatusOK)
	again = !w.last && w.c.reusable()
	b = w.head
	if !w.empty {
		b = appendLength(b, len(w.body))
	}
	h := w.c.back.h
	return append(h.appendDate(b, h.now(), again), w.body...), again
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	if w.head != nil || w.hijacked || status < http.StatusOK { // of the informational ones none is passed on
		return
	}
	w.empty = status == http.StatusNoContent || status == http.StatusNotModified
	w.last = w.last || w.header.Get("Connection") != ""
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(status)...)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	w.head = append(b, onWire(w.header, madeHere)...)
}

// Write implements http.ResponseWriter.
func (w *answer) Write(b []byte) (int, error) {
	if w.hijacked {
		return 0, http.ErrHijacked
	}
	if w.head == nil && w.header["Content-Type"] == nil && w.header["Content-Encoding"] == nil {
		w.header.Set("Content-Type", http.DetectContentType(b))
	}
	w.WriteHeader(http.StatusOK)
	if w.empty {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, b...)
	return len(b), nil
}

// SetReadDeadline is for the body, and all of it is here.
func (w *answer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for what is written by itself, when the handler has returned.
func (w *answer) SetWriteDeadline(time.Time) error { return nil }

// Hijack implements http.Hijacker. The client has sent nothing beyond the request.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked || w.head != nil {
		return nil, nil, http.ErrHijacked
	}
	nc := w.c.conn()
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	return nc, bufio.NewReadWriter(bufio.NewReaderSize(nc, 16), bufio.NewWriterSize(nc, 16)), nil // hold, and hardly anybody else, asks
}
