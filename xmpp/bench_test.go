package xmpp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/xmpp/component"
)

// BenchmarkPublish handles one publish of 200 bytes of JSON, from the parsed stanza to the answer's bytes. Reading and
// parsing it is measured in package component.
func BenchmarkPublish(b *testing.B) {
	w := newWorld(b, func(o *setup) { o.broker.Authorizer = brokertest.AllowAll })
	st := parsed(b, iq(alice, "set", publishing("/chat/42", item("1", `{"text":"`+strings.Repeat("x", 189)+`"}`))))
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if out, _ = w.svc.iq(b.Context(), st, out[:0]); !strings.HasPrefix(string(out), "<iq type='result'") {
			b.Fatal(string(out))
		}
	}
	b.StopTimer()
	w.stop()
}

// BenchmarkEvent writes one message's event to so many subscribers: each iteration makes the item anew and gives all
// events to a link whose server reads as fast as it can.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, func(o *setup) { o.service.MaxTotalSubscriptions = 1 << 20 })
			w.accept()
			w.server.mu.Lock()
			w.deaf = true
			w.server.mu.Unlock()
			for i := range n {
				j := jid.MustParse(fmt.Sprintf("user%d@localhost", i))
				if _, _, err := w.svc.audience.subscribe(b.Context(), broker.Principal{}, j, "/chat/42", wish{slash: true}); err != nil {
					b.Fatal(err)
				}
			}
			ev := newEvent(service)
			b.ReportAllocs()
			for b.Loop() {
				m := &broker.Message{ID: "1", Channel: "/chat/42", Data: []byte(`{"text":"` + strings.Repeat("x", 189) + `"}`)}
				if err := w.svc.notify(context.Background(), ev, broker.Delivery{Message: m, Pattern: "/chat/42"}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			w.stop()
		})
	}
}

// BenchmarkEventSocket is the whole way of events of 200 bytes of JSON to 10,000 JIDs, from Broker.Publish until the server
// has read the last byte from a loopback socket. publish-µs is how long the publisher waits. With the fence, as by default, the
// server answers the pings that stand between the events.
func BenchmarkEventSocket(b *testing.B) {
	for _, fence := range []bool{true, false} {
		b.Run(fmt.Sprintf("fence=%t", fence), func(b *testing.B) { eventSocket(b, fence) })
	}
}

func eventSocket(b *testing.B, fence bool) {
	const jids = 10_000
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	w := newWorld(b, func(o *setup) {
		o.service.Link.Dial = nil
		o.service.Link.Server = l.Addr().String()
		o.service.Link.NoFence = !fence
		o.service.MaxTotalSubscriptions = 1 << 20
	})
	conn, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	w.server = serve(b, conn)
	w.iqAnswered(alice) // the link is up on both sides
	read := new(sink)
	w.mu.Lock()
	w.deaf, w.sink = true, read
	w.mu.Unlock()
	before := w.svc.Stats().Link.BytesOut
	for i := range jids {
		j := jid.MustParse(fmt.Sprintf("user%d@localhost", i))
		if _, _, err := w.svc.audience.subscribe(b.Context(), broker.Principal{}, j, "/chat/42", wish{slash: true}); err != nil {
			b.Fatal(err)
		}
	}
	data := []byte(`{"text":"` + strings.Repeat("x", 189) + `"}`)
	var waited time.Duration
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		if _, err := w.broker.Publish(b.Context(), principal("alice@localhost"), &broker.Message{Channel: "/chat/42", Data: data}, broker.PublishOptions{}); err != nil {
			b.Fatal(err)
		}
		waited += time.Since(began)
		events += jids
		for st := w.svc.Stats(); int(st.Events) < events || st.Link.Queued > 0 || read.bytes.Load() < st.Link.BytesOut-before; st = w.svc.Stats() {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(waited.Microseconds())/float64(b.N), "publish-µs")
	b.StopTimer()
	if st := w.svc.Stats().Link; st.Dropped[component.OutLost] > 0 || st.Unfenced > 0 {
		b.Errorf("%d events were lost; %d times pings had no answer", st.Dropped[component.OutLost], st.Unfenced)
	}
	w.stop()
}

// sink takes what a deaf server reads: it counts, and answers pings.
type sink struct {
	bytes atomic.Uint64
	tail  []byte // of what was read before, in which a ping may have begun
}

var pings = regexp.MustCompile("<iq type='get' id='([A-Z2-7]{26})' from='waft.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")

func (s *sink) take(piece []byte, conn net.Conn) {
	s.bytes.Add(uint64(len(piece)))
	const ping = "<ping xmlns='urn:xmpp:ping'/></iq>"
	if all := append(s.tail, piece...); bytes.Contains(all, []byte(ping)) {
		for _, m := range pings.FindAllSubmatch(all, -1) {
			_, _ = fmt.Fprintf(conn, "<iq type='result' id='%s' from='localhost' to='waft.localhost'/>", m[1])
		}
		s.tail = append(s.tail[:0], all[bytes.LastIndex(all, []byte(ping))+len(ping):]...)
	} else {
		s.tail = append(s.tail[:0], all...)
	}
	if over := len(s.tail) - 256; over > 0 {
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
}

// iqAnswered makes sure that the link carries stanzas both ways.
func (p *server) iqAnswered(who string) {
	p.t.Helper()
	p.answers(who, "get", "<ping xmlns='urn:xmpp:ping'/>", result(who, ""))
}

// BenchmarkEndToEnd is the way of a publish from bytes to bytes: framed, parsed, queued for a worker, published,
// answered. The server has 256 in flight, so that goroutines seldom wait for one another.
func BenchmarkEndToEnd(b *testing.B) {
	w := newWorld(b, func(o *setup) {
		o.broker.Authorizer = brokertest.AllowAll
		o.service.SenderRate, o.service.SenderBurst = 1<<30, 1<<30
	})
	w.accept()
	stanza := iq(alice, "set", publishing("/chat/42", item("1", `{"text":"`+strings.Repeat("x", 189)+`"}`)))
	const flight = 256
	batch := strings.Repeat(stanza, flight-1) + iq(alice, "get", "<ping xmlns='urn:xmpp:ping'/>")
	b.SetBytes(int64(len(stanza)))
	b.ReportAllocs()
	for n := 0; n < b.N; n += flight {
		w.send(batch)
		w.until(result(alice, ""))
	}
	b.StopTimer()
	w.stop()
}

// parsed gives a stanza as a link does.
func parsed(tb testing.TB, text string) *component.Stanza {
	ours, theirs := net.Pipe()
	got := make(chan *component.Stanza, 1)
	link, err := component.New(component.Options{
		Domain: service, Server: "xmpp.test:5347", Secret: "s3cret", CloseTimeout: time.Millisecond,
		Logger:  slog.New(slog.DiscardHandler),
		Dial:    func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		Handler: func(st *component.Stanza) { got <- st },
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- link.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
		_ = theirs.Close()
	}()
	serve(tb, theirs).send(text)
	return <-got
}
