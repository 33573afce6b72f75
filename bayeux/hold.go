package bayeux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"waft/broker"
)

// A poll that has to wait gives up its request, for which net/http keeps buffers, a header and two goroutines: five times what
// a poll needs. Its connection is taken over and the handler returns. A plain socket is parked then (parked.go). With any other, and on systems
// without epoll, one goroutine stays, which reads: that is how one finds out
// that a client has gone. Whoever ends the poll breaks the reading off; the goroutine writes the response, waits for the first
// bytes of a next request, and gives the connection back to its server, unless the request is one like this (again.go).

// heldPoll is what is kept of such a poll, and then of its connection, until it goes back.
type heldPoll struct {
	// static
	nc     net.Conn // nil: the descriptor is the parked socket's own
	back   *handback
	remote netip.AddrPort // of nc; invalid if it is no TCP connection

	// of the poll
	kind   *kind
	caller // whose connection it counts as

	// owned by run, or by Run
	asked
	parked
}

// reader is a poll with a goroutine, which reads.
type reader struct {
	*heldPoll
	waits waiting
	ahead []byte // what the client has sent beyond the request
}

// longAgo is a deadline that breaks reading off.
var longAgo = time.Unix(1, 0)

// What look is told: there is somebody to answer, or nobody.
var (
	present      = context.Background()
	gone, goAway = context.WithCancel(present)
)

func init() { goAway() }

// whole tells whether the connection of r, whose body has been read, can be used again by somebody else than its server: a request that was not
// read to its last byte would have its rest taken for the next one.
func (h *Handler) whole(r *http.Request) bool {
	if h.opts.HoldInHandler {
		return false
	}
	// Over TLS a server knows only its own kind of connection, and no request on another would be known to be safe.
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.TLS != nil || r.Header["Expect"] != nil {
		return false
	}
	if r.Method != http.MethodPost { // nobody has read its body
		return r.ContentLength == 0
	}
	n, err := r.Body.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

// waits tells whether x is one connect that is going to wait; else it may have come to its end. What is queued may be nothing that it can be answered
// with: without a form here, or more than may be unacknowledged.
func (x *exchange) waits() bool {
	if len(x.waiting) != 1 || len(x.replies.buf) > 0 {
		return false
	}
	p := &x.waiting[0]
	return p.poll != nil && p.hold > 0 && (p.s.queue.Pending() == 0 || !p.look(present))
}

// hold takes the connection over, to answer on it later. If that cannot be it is false, and nothing has changed.
func (x *exchange) hold(w http.ResponseWriter, r *http.Request) bool {
	if a := answerOf(w); a != nil && a.c.phase == serving && a.c.back.h == x.h {
		return a.c.holdAgain(x, a, r)
	}
	if w.Header()["Content-Encoding"] != nil { // somebody in front means to change the body
		return false
	}
	c, ahead := x.h.seize(w, r)
	if c == nil {
		return false
	}
	c.take(x, w, r)
	parked := len(ahead) == 0 && c.park(c.hold)
	x.h.mu.Lock()
	x.h.held[c] = struct{}{}
	x.h.mu.Unlock()
	if !parked {
		go (&reader{c, waiting{asked: c.asked}, ahead}).run()
		return true
	}
	c.holds(x.h.now())
	c.socket.Done()
	return true
}

// seize takes the connection away from its server. Without one nothing has changed.
func (h *Handler) seize(w http.ResponseWriter, r *http.Request) (c *heldPoll, ahead []byte) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	control := http.NewResponseController(w)
	if !ok || control.SetReadDeadline(time.Time{}) != nil { // without which it could not be woken
		return nil, nil
	}
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	back := h.handback(server, addr)
	if back == nil {
		return nil, nil
	}
	nc, rw, err := control.Hijack()
	if err != nil {
		return nil, nil
	}
	c = &heldPoll{nc: nc, back: back, remote: addrPort(nc.RemoteAddr())}
	if n := rw.Reader.Buffered(); n > 0 {
		ahead, _ = rw.Reader.Peek(n) // they are there
		ahead = slices.Clone(ahead)
	}
	if again, ok := nc.(*returned); ok {
		c.nc, ahead = again.Conn, append(ahead, again.ahead...)
	}
	return c, withoutLines(ahead)
}

// holdAgain is hold on a connection that never left.
func (c *heldPoll) holdAgain(x *exchange, w *answer, r *http.Request) bool {
	if !c.reusable() || w.head != nil || w.hijacked || w.header["Content-Encoding"] != nil {
		return false
	}
	w.hijacked = true
	before := c.mark
	c.take(x, w, r)
	if c.mark = w.mark; before != (mark{}) && before != c.mark && c.mark != (mark{}) {
		x.h.tenants.add(c)
	}
	c.holds(x.h.now())
	return true
}

// take takes the poll out of its request.
func (c *heldPoll) take(x *exchange, w http.ResponseWriter, r *http.Request) {
	c.asked, c.mark = x.waiting[0].asked, mark{}
	c.isOf(x.peer.address)
	c.isNow(x.h, kind{host: r.Host, door: door(r.RequestURI), fields: ownFields(w.Header()), callback: x.callback, last: r.Close})
	x.h.addresses.enter(&c.caller, x.h.now(), 0, (*address).openCount) // until the poll has been answered
}

// isNow says what c has in common with others, but for its end here, which is the same.
func (c *heldPoll) isNow(h *Handler, k kind) {
	if c.kind != nil {
		k.local = c.kind.local
	} else {
		k.local = addrPort(c.nc.LocalAddr())
	}
	if c.kind == nil || *c.kind != k {
		c.kind = h.kinds.find(k)
	}
}

// addrPort is the address of a TCP connection, as net.TCPAddr writes it.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// ownFields are the fields of a response's head but those that every answer has.
func ownFields(header http.Header) string {
	if len(header) == 0 {
		return ""
	}
	return string(onWire(header, everyAnswers))
}

// everyAnswers are the fields that are set when it is sent.
var everyAnswers = map[string]bool{
	"Cache-Control": true, "Connection": true, "Content-Disposition": true, "Content-Length": true, "Content-Type": true, "Date": true,
	"Trailer": true, "Transfer-Encoding": true, "X-Content-Type-Options": true,
}

// madeHere are those that only the sender of a response knows.
var madeHere = map[string]bool{"Connection": true, "Content-Length": true, "Date": true, "Trailer": true, "Transfer-Encoding": true}

// answerHead is answerFields on the wire.
func (x *exchange) answerHead() []byte {
	if x.callback != "" {
		return scriptHead
	}
	return jsonHead
}

var jsonHead, scriptHead = onWire(jsonFields, nil), onWire(scriptFields, nil)

func onWire(header http.Header, without map[string]bool) []byte {
	var b bytes.Buffer
	_ = header.WriteSubset(&b, without) // a buffer takes everything
	return slices.Clip(b.Bytes())
}

// run is the poll's goroutine.
func (c *reader) run() {
	h := c.back.h
	timer := h.wheel.AfterFunc(c.hold, c.poll.expire)
	here := c.await()
	timer.Stop()
	c.poll.wakeBy(nil)
	again := here && c.respond()
	h.leaves(&c.caller, h.now())
	h.pollEnds()
	where := nowhere
	if again {
		where = c.next()
	}
	h.mu.Lock()
	delete(h.held, c.heldPoll)
	h.checkIdle()
	h.mu.Unlock()
	switch where {
	case nowhere:
		_ = c.nc.Close() // it may be closed
	case toServer:
		c.back.give(c.nc, c.ahead)
	case held:
	}
}

// await is wait, with reading. It is false if the client has gone.
func (c *reader) await() bool {
	signal := c.poll.signalled()
	for {
		reading := len(c.ahead) == 0
		if reading {
			c.poll.wakeBy(c.heldPoll)
		} else { // the next request is here, and stays where it is
			c.poll.wakeBy(nil)
		}
		switch {
		case c.waits.look(present):
			return true
		case !reading:
			<-signal
		case !c.read():
			c.waits.look(gone)
			return false
		}
	}
}

// read waits for a byte. It is false if the connection has ended, but not if the reading was broken off.
func (c *reader) read() bool {
	b := make([]byte, 1)
	n, err := c.nc.Read(b)
	c.ahead = withoutLines(b[:n])
	late, ok := errors.AsType[net.Error](err)
	return n > 0 || err == nil || ok && late.Timeout()
}

// wakeBy says where the poll reads, to be woken by breaking that off; nil: nowhere.
func (p *poll) wakeBy(c *heldPoll) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.held != nil {
		_ = p.held.nc.SetReadDeadline(time.Time{}) // it fails where reading will
	}
	p.held = c
}

// respond sends the response. It is false if that was the connection's last.
func (c *reader) respond() bool {
	x := c.back.h.newExchange(present, nil, nil)
	defer x.done()
	b, again := c.response(x, &c.waits, c.back.h.now())
	err := c.write(b)
	c.written(err, c.waits.events)
	c.waits = waiting{}
	return err == nil && again
}

// response is the response, until x is done with, and whether another may follow.
func (c *heldPoll) response(x *exchange, p *waiting, now int64) (b []byte, again bool) {
	again = !c.kind.last && c.reusable()
	x.callback = c.kind.callback
	all := x.h.list(x.events[:0])
	p.answer(&all, &all)
	x.events = all.buf
	plain := x.callback == ""
	body, length := all.buf, len("[]")+len(all.buf)
	if !plain {
		body = x.body(all.buf, nil)
		length = len(body)
	}

	b = append(x.head[:0], "HTTP/1.1 200 OK\r\n"...)
	b = append(b, c.kind.fields...)
	b = append(b, x.answerHead()...)
	b = appendLength(b, length)
	b = c.back.h.appendDate(b, now, again)
	if plain { // what x.body makes of it, without a copy
		b = append(append(append(b, '['), body...), ']')
	} else {
		b = append(b, body...)
	}
	x.head = b
	return b, again
}

// written returns to their queue the events that could not be sent.
func (c *heldPoll) written(err error, events []broker.Delivery) {
	if err != nil && len(events) > 0 {
		c.s.failed(c.poll, events)
	}
}

// reusable tells whether a next request would be served.
func (c *heldPoll) reusable() bool { return !c.back.h.draining.Load() && !c.back.over() }

// write is one write: CometD's client for Node takes every piece of a response for a whole.
func (c *heldPoll) write(b []byte) error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeWithin)) // it fails where writing will
	_, err := c.nc.Write(b)
	return err
}

func appendLength(b []byte, n int) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}

// appendDate appends the end of a head.
func (h *Handler) appendDate(b []byte, now int64, again bool) []byte {
	b = append(b, "Date: "...)
	b = append(b, h.httpDate(now)...)
	if !again {
		b = append(b, "\r\nConnection: close"...)
	}
	return append(b, "\r\n\r\n"...)
}

// date is a second as HTTP has it.
type date struct {
	until int64 // on the handler's clock
	text  string
}

// httpDate is the time as HTTP has it. Many responses have the same.
func (h *Handler) httpDate(now int64) string {
	d := h.date.Load()
	if d == nil || now >= d.until {
		t := time.Now()
		d = &date{now + int64(time.Second) - int64(t.Nanosecond()), t.UTC().Format(http.TimeFormat)}
		h.date.Store(d)
	}
	return d.text
}

// rest waits for a next request. It is false if there will be none.
func (c *reader) rest(r *bufio.Reader) bool {
	h := c.back.h
	h.mu.Lock()
	over := !c.reusable()
	c.idle.Store(!over) // from now on who stops may close it
	h.mu.Unlock()
	if over {
		return false
	}
	var until time.Time
	if d := c.back.idleTimeout(); d > 0 {
		until = time.Now().Add(d)
	}
	_ = c.nc.SetReadDeadline(until) // it fails where reading will
	err := skipLines(r)
	h.mu.Lock()
	c.idle.Store(false)
	h.mu.Unlock()
	return err == nil
}

// closeIdle closes the connections that wait for a next request to go back to b; nil: to anywhere.
func (h *Handler) closeIdle(b *handback) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.held {
		switch {
		case !c.idle.Load() || b != nil && c.back != b:
		case c.isParked():
			c.socket.Ring() // it finds out
		default:
			_ = c.nc.Close() // it may be closed
		}
	}
}

// cutOff has the connection closed, whatever it is doing. Its session has ended, if there is a poll.
func (c *heldPoll) cutOff() {
	if !c.isParked() {
		_ = c.nc.Close() // it may be closed
		return
	}
	c.socket.Cut()
	c.socket.Ring()
}
