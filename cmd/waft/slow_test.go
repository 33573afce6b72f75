package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener without a network, so that time is the test's own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	peer   net.Addr // of every connection
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{}), peer: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return p.peer }

func (p *pipes) dial() net.Conn {
	mine, theirs := net.Pipe()
	p.conns <- pipe{theirs, p.peer}
	return mine
}

// pipe is one that comes from an address.
type pipe struct {
	net.Conn
	peer net.Addr
}

func (p pipe) RemoteAddr() net.Addr { return p.peer }

// slowServer is the server of a listener, in a bubble. Its handler reads the body that /read is sent.
func slowServer(t *testing.T, make func(http.Handler) *http.Server, wrap func(net.Listener) net.Listener) *pipes {
	l := newPipes()
	web := make(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	}))
	var serving sync.WaitGroup
	serving.Go(func() { _ = serveOn(web, wrap(l)) })
	t.Cleanup(func() { web.Close(); serving.Wait() })
	return l
}

// lasts tells how long the server keeps the connection of a client that sends what it has to say and then nothing.
func lasts(t *testing.T, nc net.Conn, say string) time.Duration {
	t.Helper()
	defer nc.Close()
	begun := time.Now()
	go func() { _, _ = io.WriteString(nc, say) }() // the server may not take all of it
	_, _ = io.Copy(io.Discard, nc)
	return time.Since(begun)
}

func TestSlow_clients_are_cut_off_when_their_time_is_over(t *testing.T) {
	const head, body, idle = 11 * time.Second, 37 * time.Second, 90 * time.Second
	const grace = time.Second // what net/http leaves a client to take an answer in
	ca := newTestCA(t)
	pair := ca.pair("waft.test")
	public := func(over bool) func(http.Handler) *http.Server {
		return func(h http.Handler) *http.Server {
			s := &settings{HTTP: httpSettings{ReadHeaderTimeout: duration{head}, BodyTimeout: duration{body}, IdleTimeout: duration{idle}}}
			s.complete()
			var certs *certificates
			if over {
				certs = &certificates{}
				certs.files.Store(&[]certificate{{"x", pair}})
			}
			return newWeb(s, h, certs, slog.New(slog.DiscardHandler))
		}
	}
	side := func(h http.Handler) *http.Server {
		return newSide(h, slog.New(slog.DiscardHandler), slog.LevelDebug, sideTimeout)
	}
	direct := func(l net.Listener) net.Listener { return l }
	proxied := func(l net.Listener) net.Listener {
		trusted, _ := parseProxies([]string{"10.0.0.1"})
		return &proxyListener{Listener: l, trusted: trusted, within: head, logger: slog.New(slog.DiscardHandler), stats: &proxyStats{}}
	}
	const bodyHead = " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // and empty SETTINGS: RFC 9113 §3.4
	const whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name string
		make func(http.Handler) *http.Server
		wrap func(net.Listener) net.Listener
		over []string // ALPN, of a client that speaks TLS
		say  string
		want time.Duration
	}{
		{"who says nothing", public(false), direct, nil, "", head},
		{"half a head", public(false), direct, nil, "GET / HTTP/1.1\r\nHos", head},
		{"half a body", public(false), direct, nil, "POST /read" + bodyHead, body},
		{"half a body that nobody reads", public(false), direct, nil, "POST /" + bodyHead, body},
		{"half a chunked body", public(false), direct, nil, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", body},
		{"no second request", public(false), direct, nil, whole, idle},
		{"half a second head", public(false), direct, nil, whole + "GET /", head},

		{"no handshake", public(true), direct, nil, "", head},
		{"half a handshake", public(true), direct, nil, "\x16\x03\x01\x02\x00\x01", head},
		{"half a head over TLS", public(true), direct, []string{"http/1.1"}, "GET / HTTP/1.1\r\nHos", head},
		{"half a body over TLS", public(true), direct, []string{"http/1.1"}, "POST /read" + bodyHead, body},
		{"half a preface of HTTP/2", public(true), direct, []string{"h2"}, "PRI * HTTP/2.0\r\n", 10 * time.Second}, // net/http's own
		{"HTTP/2 without an answer to a ping", public(true), direct, []string{"h2"}, preface, pingAfter + pongWithin},
		{"half a head of HTTP/2", public(true), direct, []string{"h2"}, preface + "\x00\x00\x00\x01\x00\x00\x00\x00\x01", pingAfter + pongWithin},

		{"no PROXY header", public(false), proxied, nil, "", head},
		{"half a PROXY header", public(false), proxied, nil, "PROX", head},
		{"half a PROXY header of version 2", public(false), proxied, nil, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01", head},
		{"a PROXY header and half a head", public(false), proxied, nil, "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\nGET", head},
		{"a PROXY header and no handshake", public(true), proxied, nil, "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n\x16", head},

		{"half a head to the redirect or the admin", side, direct, nil, "GET / HTTP/1.1\r\nHos", sideTimeout},
		{"half a body to the redirect or the admin", side, direct, nil, "POST /" + bodyHead, sideTimeout},
		{"no second request to the redirect or the admin", side, direct, nil, whole, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc := slowServer(t, c.make, c.wrap).dial()
				if c.over != nil {
					// In the bubble it is the year 2000, long before the certificate.
					conn := tls.Client(nc, &tls.Config{RootCAs: ca.pool, ServerName: "waft.test", NextProtos: c.over, Time: func() time.Time { return ca.now }})
					if err := conn.Handshake(); err != nil {
						t.Fatal(err)
					}
					nc = conn
				}
				if got := lasts(t, nc, c.say); got < c.want || got > c.want+grace {
					t.Errorf("cut off after %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A client whose request takes as long as it may is served.
func TestSlow_clients_that_are_done_in_time_are_served(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &settings{}
		s.complete()
		l := slowServer(t, func(h http.Handler) *http.Server { return newWeb(s, h, nil, slog.New(slog.DiscardHandler)) }, func(l net.Listener) net.Listener { return l })
		nc := l.dial()
		defer nc.Close()
		for _, part := range []struct {
			after time.Duration
			text  string
		}{
			{0, "POST /read HTTP/1.1\r\n"},
			{s.HTTP.ReadHeaderTimeout.Duration - time.Millisecond, "Host: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1"},
			{s.HTTP.BodyTimeout.Duration - time.Millisecond, "2"},
		} {
			time.Sleep(part.after) // the bubble's time
			synctest.Wait()
			if _, err := io.WriteString(nc, part.text); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := io.ReadAll(nc)
		if err != nil || len(answer) < 15 || string(answer[:15]) != "HTTP/1.1 200 OK" {
			t.Errorf("%q %v", answer, err)
		}
	})
}
