package wsread

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"waft/broker/outbox/park"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wsread")
	if err != nil {
		panic(err)
	}
	if listener, err = net.Listen("unix", filepath.Join(dir, "socket")); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		listener.Close()
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// listener is no TCP's: fuzzing would run out of ports.
var listener net.Listener

const limit = 1000

// hijacked is the response to a request on a connection.
type hijacked struct {
	http.ResponseWriter
	nc net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.nc, bufio.NewReadWriter(bufio.NewReader(h.nc), bufio.NewWriter(h.nc)), nil
}

// diary is an owner that writes down what it is told.
type diary struct {
	reader Reader
	nc     net.Conn
	half   bool // of a message more is not read
	refuse string
	free   <-chan struct{} // nil: nothing waits for it
	during func()          // while a message is served; nil: nothing

	serving sync.Mutex // two at a time would be wrong
	notes   []string
	noted   chan struct{} // one for each of them
	failed  chan struct{}
	t       testing.TB
}

func (d *diary) note(format string, args ...any) {
	if !d.serving.TryLock() {
		d.t.Error("it was called while it was called")
	}
	defer d.serving.Unlock()
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
	select {
	case d.noted <- struct{}{}:
	default: // nobody counts them
	}
}

func (d *diary) Take(kind int, body io.Reader) (func(), error) {
	if d.half {
		_, _ = body.Read(make([]byte, 1))
		return nil, nil
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if string(b) == d.refuse && d.refuse != "" {
		return nil, errors.New("refused")
	}
	return func() {
		if d.free != nil {
			<-d.free
		}
		if d.during != nil {
			d.during()
		}
		d.note("%d %q", kind, b)
	}, nil
}

func (d *diary) Pinged(payload string) error {
	d.note("ping %q", payload)
	return nil
}

func (d *diary) Ponged(payload string) error {
	d.note("pong %q", payload)
	return nil
}

func (d *diary) Failed(err error) {
	d.note("failed: %v", err)
	d.nc.Close()
	close(d.failed)
}

// read has a diary read a connection, and gives its other end. x may be nil.
func read(t testing.TB, x *park.Lot, packed bool, set func(*diary)) (*diary, *net.UnixConn) {
	t.Helper()
	d, client := upgraded(t, packed, set)
	d.reader.Park(d.nc, d.options(x, packed))
	d.reader.Start()
	return d, client
}

func (d *diary) options(x *park.Lot, packed bool) Options {
	return Options{Owner: d, Limit: limit, Packed: packed, Lot: x}
}

// upgraded is a connection that nobody reads yet.
func upgraded(t testing.TB, packed bool, set func(*diary)) (*diary, *net.UnixConn) {
	t.Helper()
	client, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); nc.Close() })
	d := &diary{nc: nc, noted: make(chan struct{}, 100), failed: make(chan struct{}), t: t}
	if set != nil {
		set(d)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Extensions": {"permessage-deflate"},
	}
	u := websocket.Upgrader{EnableCompression: packed, WriteBufferPool: new(sync.Pool)}
	if err := d.reader.Upgrade(&u, hijacked{httptest.NewRecorder(), nc}, r); err != nil {
		t.Fatal(err)
	}
	return d, client.(*net.UnixConn)
}

func (d *diary) all() string {
	<-d.failed
	return strings.Join(d.notes, "\n")
}

// await waits for n notes more.
func (d *diary) await(n int) {
	for range n {
		<-d.noted
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// frames of a client, masked with a key of their own.
func appendFrame(b []byte, first byte, payload string) []byte {
	key := [4]byte{1, 2, 3, 250}
	b = append(b, first)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func lot(t testing.TB) *park.Lot {
	if runtime.GOOS != "linux" {
		t.Skip("sockets rest on Linux only")
	}
	x := park.New(1)
	t.Cleanup(x.Close)
	return x
}

func write(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

func deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// streams are what clients send, good and bad.
func streams() map[string][]byte {
	hello := appendFrame(nil, fin|text, "hello")
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	part := func(first byte, payload string) []byte { return appendFrame(nil, first, payload) }
	closing := part(fin|0x8, "\x03\xe8bye")
	return map[string][]byte{
		"one":                   hello,
		"several, and a close":  join(hello, part(fin|binaries, "\x00\x01"), part(fin|pingFrame, "p"), part(fin|pongFrame, "q"), part(fin|text, ""), closing),
		"in parts":              join(part(text, "a"), part(continued, "b"), part(fin|continued, "c"), hello),
		"in parts, with pings":  join(part(text, "a"), part(fin|pingFrame, "between"), part(continued, ""), part(fin|pongFrame, ""), part(fin|continued, ""), hello),
		"a close in a message":  join(part(text, "a"), closing, part(fin|continued, "b")),
		"as large as may be":    part(fin|text, strings.Repeat("x", limit)),
		"too large":             join(hello, part(fin|text, strings.Repeat("x", limit+1)), hello),
		"too large in parts":    join(part(text, strings.Repeat("x", limit)), part(fin|continued, "x")),
		"a length of 64 bits":   {fin | text, masked | 127, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"in ever so many parts": join(part(text, "a"), bytes.Repeat(part(continued, ""), 1000), part(fin|continued, "z"), hello),
		"no mask":               join(hello, []byte{fin | text, 1, 'x'}),
		"reserved bits":         join(hello, part(fin|0x20|text, "x")),
		"packed, or so it says": join(hello, part(fin|rsv1|text, "x")),
		"packed":                join(part(fin|rsv1|text, deflated("packed")), hello, part(fin|rsv1|text, deflated(strings.Repeat("z", 5000)))),
		"packed in parts":       join(part(rsv1|text, deflated("packed")[:3]), part(fin|continued, deflated("packed")[3:]), hello),
		"packed, and more":      join(part(fin|rsv1|text, "\x03\x00and more"), hello), // the last block comes first
		"packed and empty":      join(part(fin|rsv1|text, ""), hello),
		"no such opcode":        join(hello, part(fin|0x3, "x")),
		"a part of nothing":     join(hello, part(fin|continued, "x")),
		"two at a time":         join(part(text, "a"), part(fin|text, "b")),
		"a ping in parts":       join(part(pingFrame, "x"), part(fin|continued, "x")),
		"a long ping":           part(fin|pingFrame, strings.Repeat("x", 126)),
		"a ping, oddly long":    append([]byte{fin | pingFrame, masked | 126, 0, 3, 0, 0, 0, 0, 'a', 'b', 'c'}, hello...),
		"a text, oddly long":    append([]byte{fin | text, masked | 126, 0, 3, 0, 0, 0, 0, 'a', 'b', 'c'}, hello...),
		"the longest ping":      join(part(fin|pingFrame, strings.Repeat("x", 125)), hello),
		"a bad close":           part(fin|0x8, "\x00\x01"),
		"half a header":         hello[:1],
		"half a message":        hello[:8],
		"half a ping":           part(fin|pingFrame, "half")[:7],
		"half of several":       join(part(text, "a"), hello[:3]),
		"nothing":               {},
		"much":                  bytes.Repeat(hello, 1000),
	}
}

// both sends a stream, in pieces of so many bytes, to a reader in a lot and to one with a goroutine, and compares what they say.
func both(t testing.TB, x *park.Lot, stream []byte, piece int, packed bool) string {
	t.Helper()
	var said []string
	for _, x := range []*park.Lot{nil, x} {
		d, client := read(t, x, packed, nil)
		for rest := stream; len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := client.Write(rest[:n]); err != nil {
				break // it has failed
			}
			rest = rest[n:]
			runtime.Gosched()
		}
		_ = client.CloseWrite() // it may have been reset
		said = append(said, d.all())
		client.Close()
	}
	if said[0] != said[1] {
		t.Errorf("%q in pieces of %d, packed %v:\nwith a goroutine:\n%s\nwithout:\n%s", stream, piece, packed, said[0], said[1])
	}
	return said[1]
}

// Whatever comes, and in whatever pieces, a socket that rests is read as gorilla alone would.
func TestReader_says_what_gorilla_says(t *testing.T) {
	x := lot(t)
	for name, stream := range streams() {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/packed=%v", name, packed), func(t *testing.T) {
				for _, piece := range []int{1, 7, len(stream) + 1} {
					if piece == 1 && len(stream) > 200 {
						continue
					}
					if said := both(t, x, stream, piece, packed); !strings.Contains(said, "failed: ") {
						t.Error(said)
					}
				}
			})
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, stream := range streams() {
		f.Add(stream, uint16(1), true)
		f.Add(stream, uint16(5), false)
		f.Add(stream, uint16(5000), true)
	}
	x := lot(f)
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16, packed bool) {
		stream = stream[:min(len(stream), 4*limit)] // more finds nothing else
		both(t, x, stream, max(int(piece), 1+len(stream)/100), packed)
	})
}

// What Take leaves of a message is skipped: gorilla knows how much that is.
func TestReader_what_nobody_wanted_is_skipped(t *testing.T) {
	for name, x := range map[string]*park.Lot{"with a goroutine": nil, "without": lot(t)} {
		t.Run(name, func(t *testing.T) {
			d, client := read(t, x, false, func(d *diary) { d.half = true })
			write(t, client, appendFrame(appendFrame(nil, text, "hello"), fin|continued, "world"))
			write(t, client, appendFrame(nil, fin|text, "again"))
			_ = client.CloseWrite()
			equal(t, "notes", d.all(), "failed: websocket: close 1006 (abnormal closure): unexpected EOF")
		})
	}
}

func TestReader_ends_with_the_error_of_take(t *testing.T) {
	for name, x := range map[string]*park.Lot{"with a goroutine": nil, "without": lot(t)} {
		t.Run(name, func(t *testing.T) {
			d, client := read(t, x, false, func(d *diary) { d.refuse = "bad" })
			write(t, client, slices.Concat(appendFrame(nil, fin|text, "good"), appendFrame(nil, fin|text, "bad"), appendFrame(nil, fin|text, "good")))
			equal(t, "notes", d.all(), "1 \"good\"\nfailed: refused")
		})
	}
}

// A socket that rests is told that it was closed here.
func TestReader_ends_when_it_is_closed(t *testing.T) {
	for name, x := range map[string]*park.Lot{"with a goroutine": nil, "without": lot(t)} {
		t.Run(name, func(t *testing.T) {
			d, client := read(t, x, false, nil)
			write(t, client, appendFrame(nil, fin|text, "hello")[:3]) // and it goes with that
			d.nc.Close()
			d.reader.Closed()
			d.reader.Closed()
			if said := d.all(); !strings.Contains(said, "use of closed network connection") {
				t.Error(said)
			}
		})
	}
}

// Closing races with whatever comes, and ends it once.
func TestReader_close_races_with_what_comes(t *testing.T) {
	x := lot(t)
	for i := range 300 {
		d, client := read(t, x, false, nil)
		var all sync.WaitGroup
		all.Go(func() { _, _ = client.Write(bytes.Repeat(appendFrame(nil, fin|text, "hello"), 1+i%3)) })
		all.Go(func() {
			d.nc.Close()
			d.reader.Closed()
		})
		all.Go(func() { client.Close() })
		all.Wait()
		d.all()
	}
}

// Sockets on which nothing comes have no goroutines, and those that had something to serve go back to that.
func TestReader_has_no_goroutine_while_nothing_comes(t *testing.T) {
	x := lot(t)
	const n = 50
	before := runtime.NumGoroutine()
	for range n {
		d, client := read(t, x, false, nil)
		write(t, client, appendFrame(nil, fin|text, "hello"))
		d.await(1)
	}
	for runtime.NumGoroutine() > before+n/2 { // the last ones are about to end, and the lot has some of its own
		runtime.Gosched()
	}
}

// counted counts how many times a reader is run.
type counted struct {
	*Reader
	runs int
}

func (c *counted) Run(w *park.Worker, what park.Happened) bool {
	c.runs++
	return c.Reader.Run(w, what)
}

// What comes while a message is served is read with it, and not some time later: so what somebody publishes message by message is there together
// when sockets are written to, and joined. But a peer who goes on for ever does not hold up the others.
func TestReader_goes_on_reading_after_a_message_for_a_while(t *testing.T) {
	x := lot(t)
	const messages = 2 * readsPerRun
	var runs []int // by the message
	var client net.Conn
	c := new(counted)
	d, other := upgraded(t, false, func(d *diary) {
		d.during = func() {
			if runs = append(runs, c.runs); len(runs) < messages {
				write(t, client, appendFrame(nil, fin|text, "next"))
			}
		}
	})
	client, c.Reader = other, &d.reader
	d.reader.Park(d.nc, d.options(nil, false))
	if err := d.reader.socket.Park(x, d.nc, c); err != nil {
		t.Fatal(err)
	}
	d.reader.parked = true
	d.reader.Start()
	write(t, client, appendFrame(nil, fin|text, "first"))
	d.await(messages)
	for i, n := range runs {
		if want := 1 + i/readsPerRun; n != want {
			t.Errorf("message %d was read in run %d, want %d", i, n, want)
		}
	}
	client.Close()
	d.all()
}

// A message that is served somewhere else holds up those behind it, and no other socket.
func TestReader_whoever_waits_holds_up_nobody_else(t *testing.T) {
	x := lot(t)
	free := make(chan struct{})
	d, client := read(t, x, false, func(d *diary) { d.free = free })
	write(t, client, slices.Concat(appendFrame(nil, fin|text, "first"), appendFrame(nil, fin|pingFrame, "second")))
	other, more := read(t, x, false, nil)
	write(t, more, appendFrame(nil, fin|text, "by the way"))
	other.await(1)
	write(t, client, appendFrame(nil, fin|text, "third"))
	close(free)
	_ = client.CloseWrite()
	equal(t, "notes", d.all(), "1 \"first\"\nping \"second\"\n1 \"third\"\nfailed: websocket: close 1006 (abnormal closure): unexpected EOF")
}

// A message that is under way keeps no more than what has come of it, and nothing when it is there.
func TestReader_keeps_what_has_come_of_a_message(t *testing.T) {
	x := lot(t)
	d, client := read(t, x, false, nil)
	message := appendFrame(nil, fin|text, strings.Repeat("x", limit))
	write(t, client, message[:500])
	write(t, client, message[500:])
	d.await(1)
	write(t, client, message[:10])
	_ = client.CloseWrite()
	d.all()
	equal(t, "kept", len(d.reader.ahead)+len(d.reader.feed.ahead), 0)
}

// A client may ask whether somebody is there before it goes on with a message, and be asked.
func TestReader_answers_between_the_frames_of_a_message(t *testing.T) {
	for name, x := range map[string]*park.Lot{"with a goroutine": nil, "without": lot(t)} {
		for _, control := range []struct {
			first byte
			word  string
		}{{pingFrame, "ping"}, {pongFrame, "pong"}} {
			t.Run(name+", "+control.word, func(t *testing.T) {
				d, client := read(t, x, false, nil)
				write(t, client, appendFrame(nil, fin|text, "before"))
				d.await(1)
				write(t, client, appendFrame(nil, text, "be"))
				write(t, client, appendFrame(nil, fin|control.first, "there?"))
				d.await(1)
				write(t, client, appendFrame(nil, fin|continued, "gin"))
				d.await(1)
				_ = client.CloseWrite()
				equal(t, "notes", d.all(), "1 \"before\"\n"+control.word+" \"there?\"\n1 \"begin\"\nfailed: websocket: close 1006 (abnormal closure): unexpected EOF")
			})
		}
	}
}

// With each piece of a message that comes, what has come before is looked at again; so that is not much, in however many frames it came.
func TestNext_a_part_in_many_frames_is_not_kept(t *testing.T) {
	b := appendFrame(nil, text, "a")
	for frames := 1; frames <= 2*maxFrames; frames++ {
		for _, rest := range []int{0, 3, 6} {
			u := next(append(slices.Clip(b), appendFrame(nil, fin|continued, "the rest")[:rest]...), limit, false)
			equal(t, fmt.Sprintf("%d frames and %d bytes are kept", frames, rest), u.kind == part, frames < maxFrames)
		}
		whole := append(slices.Clip(b), appendFrame(nil, fin|continued, "")...)
		equal(t, "whole", next(whole, limit, false).size, len(whole))
		b = appendFrame(b, continued, "")
	}
}
