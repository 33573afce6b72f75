package bench

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const fakeDomain = "fake.localhost"

// freePort is a loopback address for somebody else to listen at. All of 127.0.0.0/8 is this machine on Linux: that one of
// sixteen million is just being used does not happen.
func freePort() string {
	if runtime.GOOS != "linux" {
		return fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
	}
	return fmt.Sprintf("127.%d.%d.%d:5347", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
}

// fakeComponent is a component that connects where the bench listens, and subscribes who asks for it.
type fakeComponent struct {
	*fake
	listen, domain, secret string
	greet                  string // written as soon as the link is up
	conns                  chan net.Conn

	mu    sync.Mutex
	heard []string // that was no subscription
}

func newFakeComponent(t *testing.T) *fakeComponent {
	f := &fakeComponent{fake: newFake(t, false), listen: freePort(), domain: fakeDomain, secret: "hush", conns: make(chan net.Conn, 1)}
	t.Cleanup(func() {
		select {
		case nc := <-f.conns:
			_ = nc.Close()
		default:
		}
	})
	return f
}

// options are those of a quick run with its users.
func (f *fakeComponent) options() Options {
	o := f.quick()
	o.Target.Transport = XMPP
	o.Target.Component = Component{Listen: f.listen, Domain: fakeDomain, Secret: "hush"}
	return o
}

// published are options of a quick run that publishes over its link, to subscribers of another transport.
func (f *fakeComponent) published(transport string) Options {
	o := f.options()
	o.Target.PublishOver, o.Target.Transport = XMPP, transport
	return o
}

// run connects as soon as somebody listens, and serves until the stream ends.
func (f *fakeComponent) run(t *testing.T) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			nc, err := net.Dial("tcp", f.listen)
			if err != nil {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			f.serve(nc)
			return
		}
	}()
	return done
}

func (f *fakeComponent) serve(nc net.Conn) {
	defer nc.Close()
	k := &link{Conn: nc}
	_ = k.send("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='" + f.domain + "'>")
	header, err := k.read(streamHeader)
	if err != nil {
		return
	}
	digest := sha1.Sum(append(bytes.Clone(attribute(header, "id")), f.secret...))
	_ = k.send("<handshake>" + hex.EncodeToString(digest[:]) + "</handshake>")
	if st, err := k.read(nextStanza); err != nil || string(st) != "<handshake/>" {
		return
	}
	f.conns <- nc
	_ = k.send(f.greet)
	for {
		st, err := k.read(nextStanza)
		if err != nil {
			return
		}
		if _, data, ok := bytes.Cut(st, []byte("<json xmlns='urn:xmpp:json:0'>")); ok {
			data, _, _ = bytes.Cut(data, []byte("</json>"))
			iq := "<iq id='" + string(attribute(st, "id")) + "' to='" + string(attribute(st, "from")) + "' from='" + fakeDomain + "' type='"
			if f.deliver(data) == http.StatusOK {
				_ = k.send(iq + "result'/>")
			} else {
				_ = k.send(iq + "error'><error type='wait'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			}
			continue
		}
		if !bytes.Contains(st, []byte("<subscribe ")) {
			f.mu.Lock()
			f.heard = append(f.heard, string(st))
			f.mu.Unlock()
			continue
		}
		from := string(attribute(st, "from"))
		f.fake.mu.Lock()
		f.outlets = append(f.outlets, func(m []byte) {
			if m == nil {
				_ = nc.Close()
				return
			}
			_ = k.send("<message type='headline' from='" + fakeDomain + "' to='" + from +
				"'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='/x'><item id='>'><json xmlns='urn:xmpp:json:0'>" +
				strings.ReplaceAll(string(m), `"`, "&quot;") + "</json></item></items></event></message>")
		})
		f.fake.mu.Unlock()
		_ = k.send("<iq type='result' id='" + string(attribute(st, "id")) + "' to='" + from + "' from='" + fakeDomain + "'/>")
	}
}

func TestComponent_a_ping_is_answered_and_all_are_logged_off_in_the_end(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	f.greet = "<iq type='get' id='p&amp;1' from='fake.localhost' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>" +
		"<presence from='fake.localhost' to='u0@localhost'/>" +
		"<iq type='get' id='d' from='fake.localhost' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
	ended := f.run(t)
	if r := mustRun(t, f.options()); r.Trouble() != "" || r.Deliver.Deliveries != 3*40 || r.Transport != XMPP || r.URL != "xmpp:"+fakeDomain {
		t.Errorf("%s: %+v", r.Trouble(), r)
	}
	<-ended
	want := []string{
		"<iq type='result' to='fake.localhost' from='localhost' id='p&amp;1'/>",
		"<iq type='error' to='fake.localhost' from='localhost' id='d'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
		"<presence type='unavailable' from='u0@localhost/bench' to='fake.localhost'/>",
		"<presence type='unavailable' from='u1@localhost/bench' to='fake.localhost'/>",
		"<presence type='unavailable' from='u2@localhost/bench' to='fake.localhost'/>",
	}
	if got := strings.Join(f.heard, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the component heard\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// hangsUp instead of delivering the sixth message.
func hangsUp(_, n int, m []byte) [][]byte {
	if n == 5 {
		return [][]byte{nil}
	}
	return [][]byte{m}
}

func TestComponent_whose_link_is_cut_disconnects_all_users(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	f.mangle = hangsUp
	f.run(t)
	r := mustRun(t, f.options())
	if d := r.Deliver; d.Disconnected != 3 || d.Error == "" || d.Deliveries+d.Lost != 3*r.Publish.Messages || !strings.Contains(r.Trouble(), "disconnected") {
		t.Errorf("%+v of %d: %s", d, r.Publish.Messages, r.Trouble())
	}
}

func TestVoice_publishes_over_the_link_whatever_subscribers_speak(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *Options){
		"XMPP":           func(o *Options) {},
		"WebSockets":     func(o *Options) { o.Target.Transport, o.Processes, o.Channels = Raw, 2, 2 },
		"nobody":         func(o *Options) { o.Scenario, o.Subscribers, o.Target.Transport = Publish, 0, WebSocket },
		"at a rate":      func(o *Options) { o.Window, o.Rate = 0, 1000 },
		"two publishers": func(o *Options) { o.Publishers = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeComponent(t)
			f.run(t)
			o := f.published(XMPP)
			o.Patience = time.Minute
			change(&o)
			r := mustRun(t, o)
			if p := r.Publish; r.Trouble() != "" || p.Messages != 40 || p.Answers.Count != 40 || p.GivenUp != 0 || r.PublishOver != XMPP || f.posts != 40 {
				t.Errorf("%s: %d posts: %+v %+v", r.Trouble(), f.posts, p, r.Deliver)
			}
			if r.Publish.Answers.Count != 40 || (r.Deliver == nil) != (o.Subscribers == 0) || r.Deliver != nil && r.Deliver.Deliveries*uint64(o.Channels+1) < 3*40 {
				t.Errorf("%+v", r.Deliver)
			}
		})
	}
}

func TestVoice_what_the_component_refuses_is_counted(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	f.status = func(n int) int { return map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[n%4 == 3] }
	f.run(t)
	o := f.published(Raw)
	o.Patience = time.Minute
	r := mustRun(t, o)
	if p, d := r.Publish, r.Deliver; p.Refused != 10 || p.Answers.Count != 30 || d.Deliveries != 3*30 || d.Lost != 0 || !strings.Contains(p.Error, "policy-violation") {
		t.Errorf("%+v %+v", p, d)
	}
}

func TestVoice_ends_with_the_link(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	f.mangle = hangsUp
	f.run(t)
	if _, err := Run(t.Context(), f.published(XMPP)); err == nil || !strings.Contains(err.Error(), "the link of fake.localhost") {
		t.Errorf("the run ended with %v", err)
	}
}

func TestVoice_without_a_component_says_so(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	f.secret = "other"
	ended := f.run(t)
	o := f.published(Raw)
	o.Scenario, o.Subscribers = Publish, 0
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another secret") {
		t.Errorf("the run ended with %v", err)
	}
	<-ended
}

func TestComponent_that_has_no_place_here_is_told_so(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(f *fakeComponent){
		"another secret": func(f *fakeComponent) { f.secret = "other" },
		`is "x.test" and not "fake.localhost"`: func(f *fakeComponent) {
			f.domain = "x.test"
		},
	} {
		f := newFakeComponent(t)
		change(f)
		ended := f.run(t)
		if _, err := Run(t.Context(), f.options()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said, but %v", want, err)
		}
		<-ended
	}
}

// Somebody who only looks whether the port is open is not what is waited for.
func TestComponent_that_comes_second_is_taken(t *testing.T) {
	t.Parallel()
	f := newFakeComponent(t)
	result := make(chan error, 1)
	go func() {
		r, err := Run(t.Context(), f.options())
		if err == nil && r.Trouble() != "" {
			err = fmt.Errorf("%s", r.Trouble())
		}
		result <- err
	}()
	for {
		nc, err := net.Dial("tcp", f.listen)
		if err == nil {
			_ = nc.Close()
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.run(t)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestStanzas_end_where_their_first_tag_does(t *testing.T) {
	t.Parallel()
	text := " <a/>\n<b x='>' y=\"'/>\"><b><c/>text</b></b><d ></d >"
	var got []string
	var s stanzas
	for _, c := range []byte(text) {
		if err := s.feed([]byte{c}, func(st []byte) error {
			got = append(got, string(st))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := `<a/>|<b x='>' y="'/>"><b><c/>text</b></b>|<d ></d >`; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
	for text, want := range map[string]string{
		"</stream:stream>":                     errClosed.Error(),
		"hello<a/>":                            "text between stanzas",
		"<a><![CDATA[x]]></a>":                 `it has "<!"`,
		"<a>" + strings.Repeat("<b>", 2<<20):   "a stanza of more than",
		"<a>" + strings.Repeat("x", maxStanza): "a stanza of more than",
		"<a b='" + strings.Repeat("x", maxTag): "a tag of more than",
	} {
		if err := new(stanzas).feed([]byte(text), func([]byte) error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q…: %v, want %q", text, err, want)
		}
	}
}

func TestAttribute_is_that_of_the_first_tag(t *testing.T) {
	t.Parallel()
	st := []byte("<iq xid='0' id = 'x' to=\"a'b\" from='' bare><ping id='2' lang='de'/></iq>")
	for name, want := range map[string]string{"xid": "0", "to": "a'b", "from": "", "lang": "", "bare": ""} {
		if got := string(attribute(st, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func FuzzStanzas(f *testing.F) {
	f.Add([]byte("<message to='u1@localhost/bench'><event><items node='/x'><item id='1'><json>{}</json></item></items></event></message><iq type='get'/>"), 30)
	f.Add([]byte("<a x='>'><b/></a> </stream:stream>"), 7)
	f.Add([]byte("<?xml version='1.0'?><stream:stream to='x'>"), 9)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		inPieces(t, b, cut, func(said *strings.Builder) func([]byte) error {
			var s stanzas
			return func(part []byte) error {
				return s.feed(part, func(st []byte) error {
					fmt.Fprintf(said, "%q to %q;", st, attribute(st, "to"))
					return nil
				})
			}
		})
		if tag, size, err := streamHeader(b); err == nil && size > 0 && (size > len(b) || !bytes.HasPrefix(tag, []byte("<stream:stream"))) {
			t.Errorf("%q, %d of %d", tag, size, len(b))
		}
	})
}
