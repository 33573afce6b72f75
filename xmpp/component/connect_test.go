package component

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Numbers in the names are rows of the conformance checklist for the stream level.

func TestHandshake_110_nothing_is_written_before_the_acknowledgement(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.accept()
		p.expect("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' " +
			"xmlns:stream='http://etherx.jabber.org/streams' to='waft.localhost'>")
		synctest.Wait()
		if w := p.written(); w != "" {
			t.Errorf("after its header the link wrote %q", w)
		}
		p.send(testHeader)
		p.expect("</handshake>")
		mustBe(t, h.link.Send([]byte("<message/>")), ErrDown)
		if _, err := h.link.Request(t.Context(), "localhost", func(string) []byte { return []byte("<iq/>") }); !errors.Is(err, ErrDown) {
			t.Errorf("Request: %v", err)
		}
		pass(5 * time.Second)
		if w := p.written(); w != "" {
			t.Errorf("before the acknowledgement the link wrote %q", w)
		}
		p.send("<handshake/>")
		<-h.ups
		if err := h.link.Send([]byte("<message from='waft.localhost' to='a@localhost'/>")); err != nil {
			t.Fatal(err)
		}
		p.expect("<message from='waft.localhost' to='a@localhost'/>")
		h.sentinel(p)
		p.close()
	})
}

func TestHandshake_stanza_in_the_same_packet_as_the_acknowledgement_is_delivered(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.accept()
		p.header()
		p.expect("</handshake>")
		p.send("<handshake></handshake><presence from='a@localhost/x' to='waft.localhost'/>")
		if s := h.stanza(); s.Kind != Presence || s.From != "a@localhost/x" {
			t.Errorf("got %+v", s)
		}
		p.close()
	})
}

func TestHandshake_109_attempt_ends_within_the_timeout(t *testing.T) {
	tests := map[string]func(p *peer){
		"silent after connect":    func(p *peer) {},
		"header without id":       func(p *peer) { p.send(strings.Replace(testHeader, "id=", "ix=", 1)) },
		"header of a client port": func(p *peer) { p.send(strings.Replace(testHeader, "component:accept", "client", 1)) },
		"never acknowledged": func(p *peer) {
			p.header()
			p.expect("</handshake>")
		},
		"whitespace for ever": func(p *peer) {
			p.header()
			for range 100 {
				if _, err := p.conn.Write([]byte(" ")); err != nil {
					return
				}
				pass(time.Second)
			}
		},
		"endless header": func(p *peer) {
			for {
				if _, err := p.conn.Write([]byte("<?xml version='1.0'?><!-- -->")); err != nil {
					return
				}
				pass(time.Second)
			}
		},
		"garbage":             func(p *peer) { p.send("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"binary":              func(p *peer) { p.send("\x00\x01<\xff\xff") },
		"closed at once":      func(p *peer) { p.close() },
		"closed after header": func(p *peer) { p.header(); p.expect("</handshake>"); p.close() },
		"stanza instead of acknowledgement": func(p *peer) {
			p.header()
			p.expect("</handshake>")
			p.send("<message from='a@localhost' to='waft.localhost'/>")
		},
		"not a stream":     func(p *peer) { p.send("<html>") },
		"stream closed":    func(p *peer) { p.header(); p.expect("</handshake>"); p.send("</stream:stream>") },
		"does not read":    nil,
		"malformed answer": func(p *peer) { p.header(); p.expect("</handshake>"); p.send("<a>&nope;</a>") },
		"oversized header": func(p *peer) {
			_, _ = p.conn.Write([]byte("<stream:stream id='" + strings.Repeat("x", 100<<10) + "'>"))
		},
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			dialogue(t, func(o *Options) { o.HandshakeTimeout = 7 * time.Second }, func(t *testing.T, h *harness) {
				began := time.Now()
				var p *peer
				if script == nil {
					c := <-h.conns // and never read from it
					defer c.Close()
				} else {
					p = h.accept()
					var wg sync.WaitGroup
					wg.Go(func() { script(p) })
					defer wg.Wait()
					defer p.close()
				}
				again := h.accept() // the attempt is over when the next one begins
				if d := time.Since(began); d > 7*time.Second+2*500*time.Millisecond {
					t.Errorf("next attempt after %v", d)
				}
				if noID := strings.HasPrefix(name, "header "); noID && strings.Contains(p.written(), "<handshake>") {
					t.Error("a digest of nothing was sent")
				}
				if s := h.link.Stats(); s.Connects != 0 || s.Failures != 1 {
					t.Errorf("counted %+v", s)
				}
				again.handshake()
				<-h.ups
				h.sentinel(again)
				again.close()
			})
		})
	}
}

func TestHandshake_stream_error_instead_of_an_id_is_the_reason_given(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.accept()
		p.expect("to='waft.localhost'>")
		p.send("<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept'>" +
			"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		p.ended()
		synctest.Wait()
		if !strings.Contains(h.log.String(), "host-unknown") {
			t.Errorf("log says %s", h.log)
		}
	})
}

func TestConnect_108_wrong_secret_is_loud_and_retried_slowly_until_right(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		for range 3 {
			p := h.accept()
			p.header()
			p.expect("</handshake>")
			p.send("<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
				"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Given token does not match calculated token</text></stream:error></stream:stream>")
			p.ended()
			refused := time.Now()
			p = h.accept()
			if d := time.Since(refused); d < 30*time.Second || d > 60*time.Second {
				t.Errorf("tried again after %v", d)
			}
			p.close()
		}
		if log := h.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "remedy=\"set the secret") {
			t.Errorf("log says %s", log)
		}
		p := h.connected()
		h.sentinel(p)
		p.close()
	})
}

func TestConnect_108_absent_server_is_found_within_the_cap(t *testing.T) {
	var present atomic.Bool
	dialogue(t, func(o *Options) {
		pipe := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !present.Load() {
				return nil, errors.New("connection refused")
			}
			return pipe(ctx, network, addr)
		}
	}, func(t *testing.T, h *harness) {
		pass(10 * time.Minute)
		synctest.Wait()
		if n := h.link.Stats().Failures; n < 20 || n > 100 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		present.Store(true)
		came := time.Now()
		p := h.connected()
		if d := time.Since(came); d > 30*time.Second {
			t.Errorf("found after %v", d)
		}
		p.close()
	})
}

func TestConnect_dial_that_hangs_ends_within_the_timeout(t *testing.T) {
	dialogue(t, func(o *Options) { o.DialTimeout = 3 * time.Second }, func(t *testing.T, h *harness) {
		pass(4 * time.Second) // nobody accepts
		synctest.Wait()
		if n := h.link.Stats().Failures; n != 1 {
			t.Errorf("%d failures", n)
		}
	})
}

func TestConnect_116_stream_errors_end_the_link_with_the_right_reaction(t *testing.T) {
	tests := []struct {
		condition, extra string
		slow             bool
	}{
		{"conflict", "", true},
		{"not-authorized", "", true},
		{"host-unknown", "", true},
		{"see-other-host", "evil.example:5347", true},
		{"system-shutdown", "", false},
		{"policy-violation", "", false},
		{"internal-server-error", "", false},
		{"made-up", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.condition, func(t *testing.T) {
			dialogue(t, nil, func(t *testing.T, h *harness) {
				p := h.connected()
				h.sentinel(p)
				p.send("<stream:error><" + tt.condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'>" + tt.extra + "</" + tt.condition +
					"><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>because</text></stream:error></stream:stream>")
				var se *StreamError
				if err := h.down(); !errors.As(err, &se) || se.Condition != tt.condition || se.Text != "because" || se.Host != tt.extra {
					t.Fatalf("Down(%v)", err)
				}
				p.ended()
				lost := time.Now()
				p = h.connected()
				d := time.Since(lost)
				if tt.slow && (d < 30*time.Second || d > 60*time.Second) || !tt.slow && d > time.Second {
					t.Errorf("came back after %v", d)
				}
				h.sentinel(p)
				p.close()
			})
		})
	}
}

func TestReconnect_116_two_owners_of_a_domain_do_not_fight(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		for range 5 {
			p := h.connected()
			p.send("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
			p.ended()
			lost := time.Now()
			next := h.accept()
			if d := time.Since(lost); d < 30*time.Second {
				t.Errorf("came back after %v", d)
			}
			next.close()
		}
	})
}

func TestReconnect_111_half_a_stanza_is_never_processed(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		p.send("<iq type='set' id='half' from='a@localhost/x' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>")
		p.close()
		mustBe(t, h.down(), io.EOF)
		p = h.connected()
		p.send("</pubsub></iq>") // a server that goes on where it was is out of its mind
		mustBe(t, h.down(), ErrClosed)
		p = h.connected()
		h.sentinel(p)
		p.close()
	})
}

// Components of a server that comes back do not come all at once.
func TestReconnect_waits_differ(t *testing.T) {
	l, err := New(Options{Server: "127.0.0.1:1", Domain: "waft.localhost", Secret: "x"})
	if err != nil {
		t.Fatal(err)
	}
	waits := map[time.Duration]bool{}
	for range 100 {
		d := l.backoff(3, io.EOF)
		if d < l.opts.ReconnectMin || d > l.opts.ReconnectMax {
			t.Errorf("a wait of %v", d)
		}
		waits[d] = true
	}
	if len(waits) < 90 {
		t.Errorf("a hundred links wait for %d different times", len(waits))
	}
}

func TestReconnect_quick_after_a_long_life_and_slower_while_it_keeps_failing(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		var waits []time.Duration
		for range 12 {
			p := h.accept()
			p.close()
			lost := time.Now()
			p = h.accept()
			waits = append(waits, time.Since(lost))
			p.close()
		}
		for i, d := range waits {
			if d < 500*time.Millisecond || d > 30*time.Second {
				t.Errorf("wait %d is %v", i, d)
			}
		}
		if waits[0] > time.Second {
			t.Errorf("first wait is %v", waits[0])
		}
		if late := slices.Max(waits[2:7]); late < 2*time.Second { // by chance once in a million runs
			t.Errorf("after many failures the longest wait is %v", late)
		}
		p := h.connected()
		for range 4 {
			pass(20 * time.Second)
			p.send(" ")
		}
		p.close()
		mustBe(t, h.down(), io.EOF)
		lost := time.Now()
		p = h.connected()
		if d := time.Since(lost); d > time.Second {
			t.Errorf("after a long life the link came back after %v", d)
		}
		p.close()
	})
}

func TestLink_reconnects_after_a_clean_close_and_after_garbage(t *testing.T) {
	for _, end := range []string{"</stream:stream>", "text", "<a", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "<![CDATA[x]]>", "<a b=c/>", "< >", "<a b='<' c>", "</>"} {
		t.Run(end, func(t *testing.T) {
			dialogue(t, nil, func(t *testing.T, h *harness) {
				p := h.connected()
				p.send(end)
				if end == "<a" {
					p.close()
				}
				p.ended()
				if err := h.down(); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFraming) && end != "<a" {
					t.Errorf("Down(%v)", err)
				}
				p = h.connected()
				h.sentinel(p)
				p.close()
			})
		})
	}
}

func TestRun_119_ends_with_what_was_queued_and_the_closing_tag(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		for range 100 {
			if err := h.link.Send([]byte("<message from='waft.localhost' to='a@localhost'/>")); err != nil {
				t.Fatal(err)
			}
		}
		h.cancel()
		got := p.expect("</stream:stream>")
		if n := strings.Count(got, "<message"); n != 100 {
			t.Errorf("%d of 100 stanzas before the closing tag", n)
		}
		mustBe(t, h.link.Send([]byte("<message/>")), ErrDown)
		p.send("<message from='a@localhost' to='waft.localhost'/></stream:stream>")
		mustBe(t, h.down(), context.Canceled)
		if n := h.link.Stats().Dropped[NobodyListens]; n != 1 || len(h.stanzas) != 0 {
			t.Errorf("a stanza after the goodbye: %d counted, %d delivered", n, len(h.stanzas))
		}
	})
}

func TestRun_ends_within_the_limit_whatever_the_server_does(t *testing.T) {
	tests := map[string]func(h *harness){
		"no server":        func(h *harness) {},
		"silent server":    func(h *harness) { h.accept() },
		"between attempts": func(h *harness) { h.accept().close(); synctest.Wait() },
		"no closing tag":   func(h *harness) { h.connected() },
		"stanzas for ever": func(h *harness) { p := h.connected(); h.wg.Go(p.babble) },
		"does not read": func(h *harness) {
			c := <-h.conns
			p := &peer{t: h.t, conn: c, more: make(chan struct{}, 1)}
			b := make([]byte, 4096)
			_, _ = c.Read(b)
			p.send(testHeader)
			_, _ = c.Read(b)
			p.send("<handshake/>")
			<-h.ups
			_ = h.link.Send([]byte("<message/>"))
			synctest.Wait()
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			dialogue(t, func(o *Options) { o.CloseTimeout = 3 * time.Second }, func(t *testing.T, h *harness) {
				arrange(h)
				began := time.Now()
				h.stop()
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("stopped after %v", d)
				}
				h.done <- nil // for the stop at the end of every dialogue
			})
		})
	}
}

func (p *peer) babble() {
	for {
		if _, err := p.conn.Write([]byte("<presence from='a@localhost' to='waft.localhost'/>")); err != nil {
			return
		}
		pass(time.Millisecond)
	}
}

func TestLink_over_TCP_ends_in_order(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h := newHarness(t, func(o *Options) { o.Server, o.Dial = ln.Addr().String(), nil })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn, more: make(chan struct{}, 1)}
	h.wg.Go(p.read)
	p.handshake()
	<-h.ups
	h.sentinel(p)
	if err := h.link.Send([]byte("<presence from='waft.localhost' to='a@localhost'/>")); err != nil {
		t.Error(err)
	}
	h.cancel()
	p.expect("<presence from='waft.localhost' to='a@localhost'/></stream:stream>")
	p.send("<message from='late@localhost' to='waft.localhost'/></stream:stream>")
	h.stop()
	p.ended()
	p.close()
	h.wg.Wait()
}

func TestRun_once_at_a_time(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		mustBe(t, h.link.Run(t.Context()), ErrRunning)
		h.sentinel(p)
		p.close()
	})
}

func TestNew_refuses_what_cannot_work(t *testing.T) {
	good := Options{Domain: testDomain, Server: "127.0.0.1:5347", Secret: "x"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no domain":         func(o *Options) { o.Domain = "" },
		"domain with user":  func(o *Options) { o.Domain = "a@b" },
		"no secret":         func(o *Options) { o.Secret = "" },
		"no server":         func(o *Options) { o.Server = "" },
		"server sans port":  func(o *Options) { o.Server = "localhost" },
		"negative limit":    func(o *Options) { o.MaxStanza = -1 },
		"negative time":     func(o *Options) { o.PingTimeout = -1 },
		"crossed reconnect": func(o *Options) { o.ReconnectMin, o.ReconnectMax = time.Minute, time.Second },
		"bad host":          func(o *Options) { o.Host = "@" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOptions_host_is_the_parent_domain(t *testing.T) {
	for domain, want := range map[string]string{"waft.localhost": "localhost", "a.b.example": "b.example", "waft": "waft"} {
		o, err := Options{Domain: domain, Server: "h:1", Secret: "x"}.withDefaults()
		if err != nil || o.Host != want {
			t.Errorf("%s: host %q, %v", domain, o.Host, err)
		}
	}
}
