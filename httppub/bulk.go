package httppub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// lineResult is what a bulk load is told of one line. Line counts from 1, empty lines too.
type lineResult struct {
	Line int `json:"line"`
	*receipt
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// bulkEnd is the last line of the answer to a bulk load. Without it the connection broke.
type bulkEnd struct {
	Done       bool   `json:"done"`  // all of the body was read
	Lines      int    `json:"lines"` // that were answered for: the rest can be sent again
	Published  int    `json:"published"`
	Duplicates int    `json:"duplicates"`
	Held       int    `json:"held"` // that wait for the items that they follow
	Refused    int    `json:"refused"`
	Code       string `json:"code,omitempty"` // why it is not done
	Message    string `json:"message,omitempty"`
}

// bulkLoad is a request whose body is lines, each of them an item, published as it comes and answered with a line. Those that come together
// are stored together. It remembers none, so that it may be of any length; who does not read the answers is read no further, and who is
// above a rate waits.
type bulkLoad struct {
	h      *handler
	to     target
	manner manner
	p      *publication

	w       http.ResponseWriter
	control *http.ResponseController
	ended   context.Context // the realm's doors close

	out     *bufio.Writer
	encoder *json.Encoder
	end     bulkEnd
	over    bool // why is in end

	group    group
	read     int // lines that are answered, or in the group
	refusals int // the most in a row
	inARow   int // refused, of those that are answered
	pending  int // refused in a row with the group's last, with inARow if it has no other
}

// bulk answers a bulk load. An error is of before its first line; what fails later is in the answer.
func (h *handler) bulk(w http.ResponseWriter, r *http.Request, to target, m manner, like publication) error {
	p := &like // what its lines have in common
	if p.who.Anonymous() {
		return broker.Errorf(broker.Unauthenticated, "a token is needed for a bulk load")
	}
	unpack, err := packed(r)
	if err != nil {
		return err
	}
	in := p.realm.Intake
	refusals := 100
	if in != nil {
		refusals = in.opts.MaxRefusedLines
		if err := in.streams.enter(netip.Prefix{}, in.opts.MaxStreams, 0); err != nil {
			return err
		}
		defer in.streams.leave(netip.Prefix{})
	}
	b := &bulkLoad{
		h: h, to: to, manner: m, p: p, w: w, control: http.NewResponseController(w), ended: in.ended(),
		out: bufio.NewWriterSize(w, 16<<10), refusals: refusals, group: group{publication: like},
	}
	b.encoder = json.NewEncoder(b.out)
	b.encoder.SetEscapeHTML(false)
	_ = b.control.EnableFullDuplex() // HTTP/2 always is, and says that it cannot be
	header := w.Header()
	header.Set("Content-Type", "application/x-ndjson")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no")

	from := &limited{from: http.MaxBytesReader(w, r.Body, h.opts.MaxStream), left: h.opts.MaxStream}
	if unpack {
		zip := &gunzip{from: from.from}
		defer zip.Close()
		from.from = zip
	}
	// Whoever stops waft does not wait for the next line.
	defer context.AfterFunc(b.ended, func() { _ = b.control.SetReadDeadline(time.Unix(1, 0)) })()

	b.run(r.Context(), &lines{from: bufio.NewReaderSize(from, 64<<10), most: int(h.opts.MaxBody)})
	b.write(b.end)
	b.breathe()
	if in != nil && !b.end.Done {
		in.counters.cutStreams.Add(1)
	}
	return nil
}

// breathe sends what there is to say, before the next line is waited for, and gives that line its time.
func (b *bulkLoad) breathe() {
	if b.out.Buffered() > 0 {
		b.inTime(func() {
			if b.out.Flush() == nil {
				_ = b.control.Flush()
			}
		})
	}
	_ = b.control.SetReadDeadline(time.Now().Add(b.h.opts.LineTimeout))
	if b.ended.Err() != nil { // it may have come just before
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// inTime calls f, which writes, and no longer than it may. No deadline is left behind: on HTTP/2 one that passes ends the stream, though
// nothing is being written.
func (b *bulkLoad) inTime(f func()) {
	_ = b.control.SetWriteDeadline(time.Now().Add(b.h.opts.LineTimeout))
	f()
	_ = b.control.SetWriteDeadline(time.Time{})
}

// write adds a line to the answer. When the client takes no more, the reading ends as well: there is nobody to go on for.
func (b *bulkLoad) write(v any) (ok bool) {
	if b.out.Available() > 8<<10 { // a line of an answer is shorter: ids, channels and quotes are
		return b.encoder.Encode(v) == nil
	}
	b.inTime(func() { ok = b.encoder.Encode(v) == nil })
	return ok
}

// run reads and publishes until there is an end to it.
func (b *bulkLoad) run(ctx context.Context, from *lines) {
	for {
		switch ready := from.ready(); {
		case b.ended.Err() != nil: // there may be many more lines to read that have arrived
			if b.settle(ctx) {
				b.stop(b.ended.Err())
			}
			return
		case !ready && !b.pause(ctx), b.group.full() && !b.settle(ctx):
			return
		}
		line, err := from.next()
		if err != nil && !errors.Is(err, errLongLine) {
			if b.settle(ctx) {
				b.stop(err)
			}
			return
		}
		if !b.take(ctx, line, err) {
			return
		}
	}
}

// pause comes before the load waits for something: what it has is stored and answered.
func (b *bulkLoad) pause(ctx context.Context) (goOn bool) {
	if b.settle(ctx) {
		b.breathe()
	}
	return !b.over
}

// take puts the next line into the group, or sees that it is none.
func (b *bulkLoad) take(ctx context.Context, line []byte, err error) (goOn bool) {
	switch {
	case err != nil:
		err = broker.Errorf(broker.TooLarge, "the line has more than the limit of %d bytes", b.h.opts.MaxBody)
	case len(bytes.TrimSpace(line)) == 0:
		b.read++
		return true
	default:
		err = b.admit(ctx, line)
	}
	if b.over {
		return false
	}
	b.read++
	if err == nil {
		b.pending = 0
		return true
	}
	b.group.lines = append(b.group.lines, answeredLine{line: b.read, err: err})
	if b.pending++; b.pending >= b.refusals || ctx.Err() != nil || fatal(err) {
		return b.settle(ctx)
	}
	return true
}

// settle publishes what is in the group and answers its lines.
func (b *bulkLoad) settle(ctx context.Context) (goOn bool) {
	g := &b.group
	heard := true
	for _, l := range g.commit(ctx) {
		result := lineResult{Line: l.line, receipt: l.receipt}
		if l.err != nil {
			a := refuse(nil, l.err)
			result.Code, result.Message = a.Code, a.Message
		}
		b.end.Lines = l.line
		b.count(l.receipt)
		if heard && (l.err != nil || !b.manner.onlyErrors) {
			heard = b.write(result)
		}
		switch {
		case l.err == nil:
			b.inARow = 0
		case ctx.Err() != nil || fatal(l.err):
			b.fail(result.Code, "it ended at this line; nothing that follows it was published")
		default:
			if b.inARow++; b.inARow == b.refusals {
				b.fail("invalid", "so many lines in a row were refused that this cannot be what was meant")
			}
		}
	}
	switch {
	case !heard:
		b.fail("unavailable", "the answers are not read")
	case !b.over:
		b.end.Lines = b.read // with the blank ones
	}
	b.pending = b.inARow
	g.clear()
	return !b.over
}

// fatal tells whether the lines that follow would fare no better, or be out of order.
func fatal(err error) bool {
	switch broker.KindOf(err) {
	case broker.Internal:
		_, wire := errors.AsType[*wireError](err)
		return !wire
	case broker.Unavailable, broker.Closed, broker.Unauthenticated:
		return true
	case broker.Invalid, broker.Forbidden, broker.NotFound, broker.Conflict, broker.TooLarge, broker.RateLimited,
		broker.SlowConsumer, broker.HistoryLost:
	}
	return false
}

// stop says why there is no further line.
func (b *bulkLoad) stop(err error) {
	switch {
	case errors.Is(err, io.EOF):
		b.end.Done = true
	case b.ended.Err() != nil:
		b.fail("unavailable", "the server is shutting down; send the rest again")
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.fail("timeout", "the next line took too long to arrive")
	case errors.Is(err, errLongStream) || isTooLong(err):
		b.fail("too_large", "the body has more than the limit; send the rest in another request")
	default:
		a := refuse(nil, b.h.readError(err))
		b.fail(a.Code, a.Message)
	}
}

func isTooLong(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

func (b *bulkLoad) fail(code, message string) {
	b.over, b.end.Code, b.end.Message = true, code, message
}

func (b *bulkLoad) count(r *receipt) {
	in := b.p.realm.Intake
	switch {
	case r == nil:
		b.end.Refused++
	case r.Held:
		b.end.Held++
	case r.Duplicate:
		b.end.Duplicates++
	default:
		b.end.Published++
	}
	switch {
	case in == nil:
	case r == nil:
		in.counters.refusedLines.Add(1)
	default:
		in.counters.lines.Add(1)
	}
}

// admit takes an item into the group, if it may be published. Its text is that which stands in "items".
func (b *bulkLoad) admit(ctx context.Context, line []byte) error {
	if err := checkJSON("line", line); err != nil {
		return err
	}
	if !utf8.Valid(line) {
		return broker.Errorf(broker.Invalid, "the line is not valid UTF-8")
	}
	item, prev, err := parseItem(gjson.Parse(string(line)), b.to.channel)
	if err != nil {
		return err
	}
	p := *b.p
	p.batch = batch{}
	p.add(item, prev)
	accepted, send, err := p.acceptInTime(ctx, b.h.opts.LineTimeout, func() bool { return b.pause(ctx) })
	if err != nil {
		return single(err)
	}
	if prev != "" && !b.group.has(item.Message.Channel, prev) {
		if !b.settle(ctx) { // whether it has to wait depends on all that comes before
			return nil
		}
		if t, must := p.hold(accepted, 0, send[0]); t != nil {
			return b.held(ctx, &p, t, must)
		}
	}
	b.group.add(b.read+1, &p, accepted, send[0])
	return nil
}

// held notes that the next line is an item that waits for another.
func (b *bulkLoad) held(ctx context.Context, p *publication, t *ticket, must bool) error {
	m := p.items[0].Message
	r := &receipt{ID: m.ID, Channel: string(m.Channel), Held: true}
	if must {
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if t.err != nil {
			return t.err
		}
		r.fill(t.receipt)
		r.Held = false
	}
	b.group.lines = append(b.group.lines, answeredLine{line: b.read + 1, receipt: r})
	return nil
}

// single takes the number off the error of a batch of one.
func single(err error) error {
	if e, ok := errors.AsType[*broker.BatchError](err); ok {
		return e.Err
	}
	return err
}

// acceptInTime is accept, except that it waits for a rate and does not refuse: so who loads in bulk is slowed down. pause is called before
// it waits, and tells whether to. What would take longer than most is refused.
func (p *publication) acceptInTime(ctx context.Context, most time.Duration, pause func() bool) (broker.Accepted, map[int]func() bool, error) {
	for began := time.Now(); ; {
		accepted, send, err := p.accept(ctx)
		wait := broker.RetryAfterOf(err)
		if err == nil || wait <= 0 || time.Since(began)+wait > most {
			return accepted, send, err
		}
		if !pause() {
			return accepted, nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return accepted, nil, ctx.Err()
		case <-p.realm.Intake.ended().Done():
			timer.Stop()
			return accepted, nil, err
		}
	}
}
