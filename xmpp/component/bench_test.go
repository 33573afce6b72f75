package component

import (
	"bytes"
	"strings"
	"testing"
)

var publishStanza = "<iq type='set' id='ab3f' from='alice@localhost/phone' to='waft.localhost'>" +
	"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='/chat/42'><item id='1'><json xmlns='urn:xmpp:json:0'>" +
	"{\"text\":\"" + strings.Repeat("x", 189) + "\"}</json></item></publish></pubsub></iq>" // 200 bytes of JSON

// endless reads the same stanza for ever, after a stream header.
type endless struct {
	header, stanza string
	at             int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.header != "" {
		n = copy(p, e.header)
		e.header = e.header[n:]
		return n, nil
	}
	for n < len(p) {
		k := copy(p[n:], e.stanza[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.stanza)
	}
	return n, nil
}

func BenchmarkFrame(b *testing.B) {
	o := defaults(b)
	f := newFramer(&endless{header: testHeader, stanza: publishStanza}, o.limits())
	if _, err := f.next(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(publishStanza)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrameAndParsePublish(b *testing.B) {
	o := defaults(b)
	f := newFramer(&endless{header: testHeader, stanza: publishStanza}, o.limits())
	fr, err := f.next()
	if err != nil {
		b.Fatal(err)
	}
	header, err := startTag(fr.raw)
	if err != nil {
		b.Fatal(err)
	}
	p, jids := newParser(header.Attr, &o), jidCache{}
	b.SetBytes(int64(len(publishStanza)))
	b.ReportAllocs()
	for b.Loop() {
		fr, err := f.next()
		if err != nil {
			b.Fatal(err)
		}
		el, err := p.parse(fr.raw)
		if err != nil {
			b.Fatal(err)
		}
		if st := newStanza(el, &jids); !st.FromOK {
			b.Fatal("no sender")
		}
	}
}

// BenchmarkSend queues one event for one recipient after another and takes the chunks out again, as the writer does.
func BenchmarkSend(b *testing.B) {
	l := &Link{opts: defaults(b), queue: newQueue(8<<20, 0)}
	l.queue.start()
	before := []byte("<message type='headline' from='waft.localhost' to='")
	after := []byte("'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='/chat/42'><item id='1'>" +
		"<json xmlns='urn:xmpp:json:0'>{\"text\":\"" + strings.Repeat("x", 189) + "\"}</json></item></items></event></message>")
	to := []byte("alice@localhost")
	b.SetBytes(int64(len(before) + len(to) + len(after)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Send(before, to, after); err != nil {
			b.Fatal(err)
		}
		if _, queued := l.queue.state(); queued > 256<<10 {
			for c := l.queue.take(); c != nil; c = l.queue.take() {
				l.queue.written(c)
			}
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	json := bytes.Repeat([]byte(`{"text":"a < b & c"},`), 10)
	var dst []byte
	b.SetBytes(int64(len(json)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendText(dst[:0], json)
	}
}

func defaults(t testing.TB) Options {
	o, err := Options{Domain: testDomain, Server: "h:1", Secret: "x"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return o
}
