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
	"sync"
	"time"
)

// To go back to net/http costs a connection's set-up, a fifth more than never to have left. Most requests that follow a poll are polls
// again, to the same address, and arrive in one piece. Those are parsed by net/http's own ReadRequest and handed to the
// server's own handler right here, through whatever that has in front of this one. Everything else goes back, byte for byte:
// requests in pieces, with more behind them, with another method, address, host or coding.

// whereto says what became of a connection.
type whereto uint8

const (
	nowhere  whereto = iota // it ends
	toServer                // there is a request for the server, in ahead
	held                    // another poll has it
)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// next serves the requests that follow.
func (c *heldPoll) next() whereto {
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
		w := answer{c: c, header: http.Header{}, last: request.Close}
		switch {
		case !w.serve(request):
			return nowhere
		case w.hijacked:
			return held
		case !w.send():
			return nowhere
		}
	}
	if c.nc.SetDeadline(time.Time{}) != nil { // the server sets its own
		return nowhere
	}
	return toServer
}

// like gives the request in r if it is one that can be served here, and else what was in r, as it came. It reads no more: all of the
// request is there.
func (c *heldPoll) like(r *bufio.Reader) (_ *http.Request, raw []byte) {
	raw, _ = r.Peek(r.Buffered()) // they are there
	raw = slices.Clone(raw)       // ReadRequest changes the names of fields where they lie
	if !bytes.HasPrefix(raw, []byte("POST ")) || !bytes.Contains(raw, []byte("\r\n\r\n")) || c.back.server.ConnContext != nil {
		return nil, raw
	}
	q, err := http.ReadRequest(r)
	if err != nil {
		return nil, raw // the server says so
	}
	if q.RequestURI != c.target || q.Host != c.host || q.ProtoMajor != 1 || q.ProtoMinor != 1 || q.TransferEncoding != nil ||
		q.ContentLength != int64(r.Buffered()) || q.Header["Expect"] != nil || q.Header["Upgrade"] != nil {
		return nil, raw
	}
	q.RemoteAddr = c.nc.RemoteAddr().String()
	return q, nil
}

// answer is the response to a request that is served here. It is kept until the handler has returned, and so has its length;
// there is no Flush.
type answer struct {
	c        *heldPoll
	header   http.Header
	head     []byte // the status line and header, once they are settled
	body     []byte
	empty    bool // a status that has no body
	last     bool // the connection ends with it
	hijacked bool
}

// serve has the server's handler answer. It is false if that panicked, which ends the connection as it does in net/http.
func (w *answer) serve(r *http.Request) (ok bool) {
	back := w.c.back
	ctx := context.WithValue(back.base, http.LocalAddrContextKey, w.c.nc.LocalAddr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if err := recover(); err != nil {
			if err != http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares it so
				back.logf("bayeux: panic serving %s: %v\n%s", r.RemoteAddr, err, debug.Stack())
			}
			ok = false
		}
	}()
	handler := back.server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	handler.ServeHTTP(w, r.WithContext(ctx))
	return true
}

// send writes the response. It is false if it was the connection's last.
func (w *answer) send() bool {
	w.WriteHeader(http.StatusOK)
	again := !w.last && w.c.reusable()
	b := w.head
	if w.empty {
		b = appendDate(b, again)
	} else {
		b = appendLength(b, len(w.body))
		b = append(appendDate(b, again), w.body...)
	}
	return w.c.write(b) == nil && again
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
	nc := w.c.nc
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	return nc, bufio.NewReadWriter(bufio.NewReaderSize(nc, 16), bufio.NewWriterSize(nc, 16)), nil // hold, and hardly anybody else, asks
}
