package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socketPair is two ends of a loopback TCP connection.
func socketPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return <-accepted, client
}

// plain hides the socket behind a net.Conn that has no descriptor to offer, as TLS does.
type plain struct{ net.Conn }

// wrapped is a socket that looks otherwise, and writes the same.
type wrapped struct{ net.Conn }

func (w wrapped) Plain() net.Conn { return w.Conn }

var wrappings = map[string]func(net.Conn) net.Conn{
	"on_a_socket_that_is_wrapped":    func(c net.Conn) net.Conn { return wrapped{c} },
	"on_a_plain_socket":              func(c net.Conn) net.Conn { return c },
	"on_a_connection_without_socket": func(c net.Conn) net.Conn { return plain{c} },
}

// source sends a session's messages as lines.
type source struct {
	session *broker.Session
	fills   atomic.Int64
}

func (s *source) Prefetch() {}

func (s *source) Fill(sc *Scratch) []byte {
	s.fills.Add(1)
	sc.Deliveries, sc.Dry = s.session.DrainMax(sc.Deliveries[:0], 64)
	if len(sc.Deliveries) == 0 {
		return nil
	}
	return sc.Join("lines", sc.Deliveries, func(dst []byte, ds []broker.Delivery) []byte {
		for _, d := range ds {
			dst = append(append(dst, d.Message.Data...), '\n')
		}
		return dst
	})
}

// attach opens a session on /a that is served on nc.
func attach(t testing.TB, x *Outbox, b *broker.Broker, nc net.Conn, o broker.SessionOptions) (*Conn, *broker.Session) {
	t.Helper()
	var c *Conn
	ready := make(chan struct{})
	o.Wake = func(*broker.Session) {
		<-ready
		c.Ready()
	}
	src := &source{session: brokertest.Open(t, b, o)}
	c = x.Attach(nc, src)
	close(ready)
	brokertest.Subscribe(t, src.session, "/a")
	return c, src.session
}

func start(t testing.TB, o Options) (*Outbox, *broker.Broker) {
	x := New(o)
	t.Cleanup(x.Close)
	return x, brokertest.New(t, broker.Options{})
}

func lines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%d\n", i)
	}
	return b.String()
}

func TestConn_sends_everything_in_order(t *testing.T) {
	for name, wrap := range wrappings {
		t.Run(name, func(t *testing.T) {
			x, b := start(t, Options{})
			var conns []*Conn
			var readers sync.WaitGroup
			const total = 500
			for range 20 {
				server, client := socketPair(t)
				c, _ := attach(t, x, b, wrap(server), broker.SessionOptions{})
				conns = append(conns, c)
				readers.Go(func() {
					defer client.Close()
					got, want := make([]byte, len(lines(0, total))), lines(0, total)
					if _, err := io.ReadFull(client, got); err != nil || string(got) != want {
						t.Errorf("read %d bytes, %v; equal: %v", len(got), err, string(got) == want)
					}
				})
			}
			for i := range total {
				brokertest.Publish(t, b, "/a", fmt.Sprint(i))
			}
			readers.Wait()
			for _, c := range conns {
				c.Close()
			}
		})
	}
}

// TestConn_a_socket_that_takes_no_more_parks_alone fills one socket until it parks, shows that others still get
// theirs, then reads it and gets everything.
func TestConn_a_socket_that_takes_no_more_parks_alone(t *testing.T) {
	x, b := start(t, Options{Shards: 1, WriteTimeout: time.Minute})
	server, stuck := socketPair(t)
	slow, _ := attach(t, x, b, server, broker.SessionOptions{MaxMessages: 1 << 20, MaxBytes: 1 << 30})
	server2, client := socketPair(t)
	quick, _ := attach(t, x, b, server2, broker.SessionOptions{MaxMessages: 1 << 20, MaxBytes: 1 << 30})
	defer slow.Close()
	defer quick.Close()
	defer stuck.Close()
	defer client.Close()

	line := `"` + strings.Repeat("x", 64<<10) + `"`
	got := make([]byte, len(line)+1)
	sent := 0
	for ; x.Stats().Parked == 0; sent++ {
		brokertest.Publish(t, b, "/a", line)
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		brokertest.Publish(t, b, "/a", line)
		sent++
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatalf("the quick connection waits for the slow one: %v", err)
		}
	}
	if err := slow.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat(line+"\n", sent)
	all := make([]byte, len(want)+len("the end\n"))
	if _, err := io.ReadFull(stuck, all); err != nil {
		t.Fatal(err)
	}
	if string(all) != want+"the end\n" {
		t.Errorf("what a parked connection sent is not what it was given (the reply is at %d of %d)", bytes.Index(all, []byte("the end\n")), len(all))
	}
}

func TestConn_a_peer_that_takes_nothing_is_closed(t *testing.T) {
	x, b := start(t, Options{WriteTimeout: 50 * time.Millisecond})
	server, stuck := socketPair(t)
	defer stuck.Close()
	c, _ := attach(t, x, b, server, broker.SessionOptions{Overflow: broker.DropOldest})
	line := `"` + strings.Repeat("x", 64<<10) + `"`
	for c.Err() == nil {
		brokertest.Publish(t, b, "/a", line)
	}
	// The one place where an adapter finds out is its read.
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the reader sees %v", err)
	}
	if n := x.Stats().Timeouts; n != 1 {
		t.Errorf("%d timeouts counted", n)
	}
}

func TestConn_a_peer_that_asks_and_does_not_read_is_closed(t *testing.T) {
	x, b := start(t, Options{MaxPending: 100_000, WriteTimeout: time.Minute})
	server, stuck := socketPair(t)
	defer stuck.Close()
	c, _ := attach(t, x, b, server, broker.SessionOptions{})
	reply := make([]byte, 50_000)
	var err error
	for range 10_000 {
		if err = c.Write(reply); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrPending) || !errors.Is(c.Err(), ErrPending) || x.Stats().Overflows != 1 {
		t.Errorf("got %v, Err %v, stats %+v", err, c.Err(), x.Stats())
	}
	if err := c.Write(reply); !errors.Is(err, ErrPending) {
		t.Errorf("writing after the end: %v", err)
	}
}

func TestConn_Write_comes_after_what_waits(t *testing.T) {
	for name, wrap := range wrappings {
		t.Run(name, func(t *testing.T) {
			x, b := start(t, Options{})
			server, client := socketPair(t)
			defer client.Close()
			src := &source{session: brokertest.Open(t, b, broker.SessionOptions{})}
			brokertest.Subscribe(t, src.session, "/a")
			c := x.Attach(wrap(server), src)
			defer c.Close()
			want := ""
			for i := range 5 { // on a parked connection, too
				brokertest.Publish(t, b, "/a", fmt.Sprint(i))
				reply := fmt.Sprintf("reply %d\n", i)
				if err := c.Write([]byte(reply)); err != nil {
					t.Fatal(err)
				}
				want += fmt.Sprintf("%d\n", i) + reply
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(client, got); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				event, reply := bytes.Index(got, fmt.Appendf(nil, "\n%d\n", i)), bytes.Index(got, fmt.Appendf(nil, "reply %d\n", i))
				if i > 0 && event > reply {
					t.Errorf("reply %d came before its event: %q", i, got)
				}
			}
		})
	}
}

func TestConn_a_source_that_is_dry_is_not_asked_again(t *testing.T) {
	x, b := start(t, Options{})
	server, client := socketPair(t)
	defer client.Close()
	c, _ := attach(t, x, b, server, broker.SessionOptions{})
	src := c.src.(*source)
	got := make([]byte, len("1\n"))
	for i := range 100 {
		brokertest.Publish(t, b, "/a", "1")
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
		if n := src.fills.Load(); n != int64(i+1) {
			t.Fatalf("asked %d times for %d messages", n, i+1)
		}
	}
	c.Close()
}

// fill is a source that is a function.
type fill func(sc *Scratch) []byte

func (f fill) Prefetch() {}

func (f fill) Fill(sc *Scratch) []byte { return f(sc) }

// onWrite is a connection that calls before it writes.
type onWrite struct {
	net.Conn
	call func(b []byte)
}

func (c onWrite) Write(b []byte) (int, error) {
	c.call(b)
	return c.Conn.Write(b)
}

// What lies in a scratch can be megabytes, and a peer may take its time.
func TestConn_that_waits_for_its_peer_keeps_no_scratch(t *testing.T) {
	x := New(Options{Shards: 1})
	defer x.Close()
	near, far := net.Pipe()
	defer far.Close()
	text, used := []byte("abc"), (*Scratch)(nil)
	c := x.Attach(onWrite{near, func(b []byte) {
		if b[0] != 'a' && len(used.Deliveries) > 0 { // the first is the worker's
			t.Errorf("the scratch of %q is kept while it is written", b)
		}
	}}, fill(func(sc *Scratch) []byte {
		if len(text) == 0 {
			return nil
		}
		sc.Deliveries = append(sc.Deliveries[:0], broker.Delivery{Message: new(broker.Message)})
		sc.Buf = append(sc.Buf[:0], text[0])
		text, used = text[1:], sc
		return sc.Buf
	}))
	defer c.Close()
	c.Ready()
	b := make([]byte, 3)
	if _, err := io.ReadFull(far, b); err != nil || string(b) != "abc" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestConn_Finish_closes_after_the_last_byte(t *testing.T) {
	for name, wrap := range wrappings {
		t.Run(name, func(t *testing.T) {
			x, b := start(t, Options{})
			server, client := socketPair(t)
			defer client.Close()
			c := x.Attach(wrap(server), &source{session: brokertest.Open(t, b, broker.SessionOptions{})})
			want := bytes.Repeat([]byte("goodbye "), 10_000)
			if err := c.Write(want); err != nil {
				t.Fatal(err)
			}
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
			}
		})
	}
}

func TestConn_a_write_to_a_peer_that_left_closes(t *testing.T) {
	x, b := start(t, Options{})
	server, client := socketPair(t)
	c, _ := attach(t, x, b, server, broker.SessionOptions{Overflow: broker.DropOldest})
	client.Close()
	for c.Err() == nil {
		brokertest.Publish(t, b, "/a", "1")
	}
	if errors.Is(c.Err(), ErrClosed) {
		t.Error("Err does not tell why")
	}
}

func TestScratch_Join_frames_a_set_once(t *testing.T) {
	var sc Scratch
	ms := []*broker.Message{{Data: []byte("1")}, {Data: []byte("2")}}
	runs := 0
	frame := func(dst []byte, ds []broker.Delivery) []byte {
		runs++
		for _, d := range ds {
			dst = append(dst, d.Message.Data...)
		}
		return dst
	}
	set := func(ms ...*broker.Message) (ds []broker.Delivery) {
		for _, m := range ms {
			ds = append(ds, broker.Delivery{Message: m})
		}
		return ds
	}
	for i, c := range []struct {
		by   string
		ds   []broker.Delivery
		want string
		runs int
	}{
		{"a", set(ms[0], ms[1]), "12", 1},
		{"a", set(ms[0], ms[1]), "12", 1},
		{"b", set(ms[0], ms[1]), "12", 2},
		{"b", set(ms[0]), "1", 3},
		{"b", set(ms[1]), "2", 4},
		// Sessions of other forms and channels in between do not matter.
		{"a", set(ms[0], ms[1]), "12", 4},
		{"b", set(ms[0], ms[1]), "12", 4},
		{"c", set(ms[0], ms[1]), "12", 5},
		{"a", set(ms[0], ms[1]), "12", 6},
		{"c", set(ms[0], ms[1]), "12", 6},
	} {
		if got := sc.Join(c.by, c.ds, frame); string(got) != c.want || runs != c.runs {
			t.Errorf("step %d: got %q after %d runs", i, got, runs)
		}
	}
}

func TestScratch_Batch_is_one_for_all_who_have_the_same(t *testing.T) {
	var sc Scratch
	a, b := broker.Delivery{Message: &broker.Message{Channel: "/a"}}, broker.Delivery{Message: &broker.Message{Channel: "/a/b"}}
	join := func(ds ...broker.Delivery) {
		sc.Join("x", ds, func(dst []byte, _ []broker.Delivery) []byte { return dst })
	}
	batch := func(ds ...broker.Delivery) *Batch { return sc.Batch(ds) }
	if batch() != nil || batch(a) != nil || batch(a, b) != nil {
		t.Error("a list for what nobody has joined")
	}
	join(a)
	join(a, b)
	if batch(a) != nil || batch(b, a) != nil || batch(a, b, a) != nil {
		t.Error("a list for what nobody else has")
	}
	first := batch(a, b)
	if first == nil || len(first.Messages) != 2 || first.Size != a.Message.Size()+b.Message.Size() {
		t.Fatalf("got %v", first)
	}
	for range 10 {
		join(b, b)
		join(b, a)
	}
	if batch(a, b) != first {
		t.Error("a second list of the same messages")
	}
	for n := range len(sc.joins) { // the memory is used for something else
		join(slices.Repeat([]broker.Delivery{a}, n+3)...)
	}
	if batch(a, b) != nil || first.Messages[0] != a.Message || first.Messages[1] != b.Message {
		t.Error("a list has changed")
	}
	sc.forget()
	if batch(b, b) != nil {
		t.Error("an idle shard keeps messages")
	}
}

// BenchmarkDelivery measures the time of one delivery from Publish to the socket with one worker, and beside it the bare
// floor: the same bytes by the same system call from one loop. The readers at the other ends run in the same process,
// on whatever else there is of cores, for both alike; only the ratio of one run says something.
func BenchmarkDelivery(b *testing.B) {
	const subscribers = 1000
	data := `"` + strings.Repeat("x", 126) + `"`
	connect := func(b *testing.B) (servers []net.Conn) {
		for range subscribers {
			server, client := socketPair(b)
			go func() { _, _ = io.Copy(io.Discard, client) }() // until the connection is closed
			b.Cleanup(func() { server.Close(); client.Close() })
			servers = append(servers, server)
		}
		return servers
	}
	b.Run("floor", func(b *testing.B) {
		var fds []int
		for _, c := range connect(b) {
			fds = append(fds, rawFD(c))
		}
		if fds[0] < 0 {
			b.Skip("no non-blocking write on this system")
		}
		line := []byte(data + "\n")
		b.ReportAllocs()
		for b.Loop() {
			for _, fd := range fds {
				if _, again, err := tryWrite(fd, line); again || err != nil {
					b.Fatal(again, err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers), "ns/delivery")
	})
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("outbox/in_flight=%d", inFlight), func(b *testing.B) {
			x, br := start(b, Options{Shards: 1})
			for _, server := range connect(b) {
				attach(b, x, br, server, broker.SessionOptions{})
			}
			written := func() uint64 { return x.Stats().Bytes }
			b.ReportAllocs()
			for b.Loop() {
				before := written()
				for range inFlight {
					brokertest.Publish(b, br, "/a", data)
				}
				for written()-before < uint64(inFlight*subscribers*(len(data)+1)) {
					time.Sleep(20 * time.Microsecond)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers*inFlight), "ns/delivery")
		})
	}
}
