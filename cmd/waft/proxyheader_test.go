package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pires/go-proxyproto"

	"waft/broker/outbox/park"
)

// headerFor is a PROXY header of a version.
func headerFor(t *testing.T, version byte, client string) string {
	t.Helper()
	from, err := net.ResolveTCPAddr("tcp", client)
	if err != nil {
		t.Fatal(err)
	}
	to := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	b, err := proxyproto.HeaderProxyFromAddrs(version, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	local   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"                                                                 // version 2, LOCAL
	unix    = "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8"                                                                 // of a socket in the file system; 216 bytes of paths follow
	partial = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x34\x00\x50\x04\x00\x04abcd" // 203.0.113.9, and a TLV behind it
)

// longestLine is a header of version 1 that has all of the 107 bytes that it may have.
var longestLine = "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n"

// proxyServer serves one connection at a time: what it is told of the client, and what it reads.
func proxyServer(t *testing.T, stats *proxyStats, out io.Writer) (l net.Listener, dial func(from string) net.Conn) {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := parseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	l = &proxyListener{Listener: raw, trusted: trusted, within: time.Minute, logger: slog.New(slog.NewTextHandler(out, nil)), stats: stats}
	return l, func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		nc, err := d.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
}

// hangUp says all that there is to say.
func hangUp(t *testing.T, nc net.Conn) {
	t.Helper()
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestProxyHeader_says_whose_connection_it_is(t *testing.T) {
	for _, c := range []struct{ name, from, say, client, rest string }{
		{"version 1", "127.0.0.1", headerFor(t, 1, "203.0.113.9:4660") + "rest", "203.0.113.9:4660", "rest"},
		{"version 1, IPv6", "127.0.0.1", "PROXY TCP6 2001:db8::1 2001:db8::2 4660 80\r\nrest", "[2001:db8::1]:4660", "rest"},
		{"version 2", "127.0.0.1", headerFor(t, 2, "203.0.113.9:4660") + "rest", "203.0.113.9:4660", "rest"},
		{"version 2, IPv6", "127.0.0.1", headerFor(t, 2, "[2001:db8::1]:4660") + "rest", "[2001:db8::1]:4660", "rest"},
		{"with something behind the addresses", "127.0.0.1", partial + "rest", "203.0.113.9:4660", "rest"},
		{"nothing behind it yet", "127.0.0.1", headerFor(t, 2, "203.0.113.9:4660"), "203.0.113.9:4660", ""},
		{"as long as version 1 can be", "127.0.0.1", longestLine + "rest", "127.0.0.1", "rest"},
		{"more than a buffer behind it", "127.0.0.1", headerFor(t, 1, "203.0.113.9:4660") + strings.Repeat("x", 5000), "203.0.113.9:4660", strings.Repeat("x", 5000)},
		{"the proxy speaks for itself", "127.0.0.1", local + "rest", "127.0.0.1", "rest"},
		{"the proxy speaks for itself, and names somebody", "127.0.0.1", "\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x34\x00\x50rest", "127.0.0.1", "rest"},
		{"the proxy does not know", "127.0.0.1", "PROXY UNKNOWN\r\nrest", "127.0.0.1", "rest"},
		{"a client without an IP address", "127.0.0.1", unix + strings.Repeat("\x00", 216) + "rest", "127.0.0.1", "rest"},
		{"who is not trusted: it is no header", "127.0.0.2", "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\nrest", "127.0.0.2", "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\nrest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stats proxyStats
			l, dial := proxyServer(t, &stats, io.Discard)
			mine := dial(c.from)
			theirs, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			_, _ = io.WriteString(mine, c.say)
			if got := theirs.RemoteAddr().String(); got != c.client && !strings.HasPrefix(got, c.client+":") {
				t.Errorf("the client is %s, want %s", got, c.client)
			}
			if p, ok := theirs.(*proxied); ok && len(p.ahead) > 0 && park.Plain(p) != nil {
				t.Error("it is taken for a socket, in which what came with the header is not")
			}
			_, _ = theirs.Write([]byte("answer"))
			hangUp(t, mine)
			if got, err := io.ReadAll(theirs); err != nil || string(got) != c.rest {
				t.Errorf("behind the header: %q %v, want %q", got, err, c.rest)
			}
			if _, ok := park.Plain(theirs).(*net.TCPConn); !ok {
				t.Error("it is not taken for a socket when nothing is left of that")
			}
			theirs.Close()
			if got, err := io.ReadAll(mine); err != nil || string(got) != "answer" {
				t.Errorf("answered: %q %v", got, err)
			}
			if n := stats.refused.Load(); n != 0 {
				t.Errorf("%d refused", n)
			}
		})
	}
}

func TestProxyHeader_a_trusted_proxy_without_a_good_one_is_refused(t *testing.T) {
	for name, say := range map[string]string{
		"none":                         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a TLS handshake":              "\x16\x03\x01\x00\x01\x01",
		"only the end":                 "",
		"half of one":                  "PROXY TCP4 1.1",
		"no address":                   "PROXY TCP4 300.1.1.1 2.2.2.2 3 4\r\n",
		"another word":                 "PROXY SCTP 1.1.1.1 2.2.2.2 3 4\r\n",
		"a line that does not end":     "PROXY UNKNOWN " + strings.Repeat("x", 200),
		"a line that is too long":      strings.Replace(longestLine, "\r", "x\r", 1),
		"nothing but the word":         "PROXY",
		"version 3":                    "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c" + strings.Repeat("\x01", 12),
		"addresses that are too short": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x03\x01\x01\x01",
	} {
		t.Run(name, func(t *testing.T) {
			var stats proxyStats
			var log bytes.Buffer
			l, dial := proxyServer(t, &stats, &log)
			for range 2 {
				mine := dial("127.0.0.1")
				theirs, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(mine, say)
				hangUp(t, mine)
				if got := theirs.RemoteAddr().String(); !strings.HasPrefix(got, "127.0.0.1:") {
					t.Errorf("the client is %s", got)
				}
				if park.Plain(theirs) != nil {
					t.Error("it is taken for a socket")
				}
				if n, err := theirs.Read(make([]byte, 100)); n > 0 || err == nil {
					t.Errorf("%d bytes can be read", n)
				}
				if n, err := theirs.Write([]byte("x")); n > 0 || err == nil {
					t.Errorf("%d bytes can be written", n)
				}
				theirs.Close()
			}
			if n := stats.refused.Load(); n != 2 {
				t.Errorf("%d refused, want 2", n)
			}
			if n := strings.Count(log.String(), "must begin with a PROXY header"); n != 1 {
				t.Errorf("%d lines in the log, want 1 a minute: %s", n, log.String())
			}
		})
	}
}

// Whatever a trusted proxy sends, and in however many pieces, nothing of what follows a good header is lost or changed, and nothing is let through without
// one.
func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{"", "GET /", "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\nrest", "PROXY UNKNOWN\r\n", local + "rest", partial + "rest", unix, "PROXY", "\r\n\r\n\x00\r\nQUIT\n", longestLine} {
		f.Add([]byte(s))
	}
	peer := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7}
	f.Fuzz(func(t *testing.T, input []byte) {
		told := map[string]bool{}
		for _, from := range []io.Reader{bytes.NewReader(input), iotest.OneByteReader(bytes.NewReader(input))} {
			var deadline time.Time
			c := &proxied{Conn: inputConn{from, peer, &deadline}, l: &proxyListener{within: time.Minute, logger: slog.New(slog.DiscardHandler), stats: &proxyStats{}}}
			client := addressOf(c.RemoteAddr())
			rest, err := io.ReadAll(c)
			switch {
			case !client.IsValid():
				t.Errorf("from %v", c.RemoteAddr())
			case err != nil && (len(rest) > 0 || client != addressOf(peer) || c.l.stats.refused.Load() != 1):
				t.Errorf("refused with %v, from %v, and %q let through", err, client, rest)
			case (c.Plain() != nil) != (err == nil):
				t.Errorf("with %v it is plain: %t", err, c.Plain() != nil)
			case err == nil && !deadline.IsZero():
				t.Error("the time for the header is the time for all that follows")
			case err == nil && !bytes.HasSuffix(input, rest):
				t.Errorf("%q is not the end of the input", rest)
			case err == nil && !bytes.HasPrefix(input, proxyproto.SIGV1) && !bytes.HasPrefix(input, proxyproto.SIGV2):
				t.Errorf("%q is let through", input)
			}
			told[fmt.Sprint(c.RemoteAddr(), err == nil, rest)] = true
		}
		if len(told) > 1 {
			t.Errorf("in pieces it is another: %v", told)
		}
	})
}

// inputConn is a connection on which the input has come.
type inputConn struct {
	input io.Reader
	peer  net.Addr
	until *time.Time // the deadline for reading
}

func (s inputConn) Read(b []byte) (int, error)  { return s.input.Read(b) }
func (s inputConn) Write(b []byte) (int, error) { return len(b), nil }
func (s inputConn) Close() error                { return nil }
func (s inputConn) LocalAddr() net.Addr         { return s.peer }
func (s inputConn) RemoteAddr() net.Addr        { return s.peer }
func (s inputConn) SetDeadline(time.Time) error { return nil }
func (s inputConn) SetReadDeadline(at time.Time) error {
	*s.until = at
	return nil
}

func (s inputConn) SetWriteDeadline(time.Time) error { return nil }

// By the address in the header goes what a client may, over TLS too; of a stranger the header is a malformed request.
func TestServe_limits_go_by_the_client_of_the_PROXY_header(t *testing.T) {
	ca := newTestCA(t)
	for name, over := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			config := "trusted_proxies = ['127.0.0.1']\nproxy_protocol = true\n"
			if over {
				config += ca.issue("a", "a.test")
			}
			r := serve(t, nil, "--config", writeConfig(t, config+openRealm+"[realm.events]\nmax_streams_per_address = 1\n"))
			open := func(from, header string) (status string) {
				t.Helper()
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
				nc, err := d.Dial("tcp", r.public.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				_, _ = io.WriteString(nc, header)
				if over {
					nc = tls.Client(nc, ca.over("a.test"))
				}
				_, _ = io.WriteString(nc, "GET /realm/default/events?channel=/a HTTP/1.1\r\nHost: a.test\r\n\r\n")
				line, err := bufio.NewReader(nc).ReadString('\n')
				if err != nil {
					return err.Error()
				}
				return strings.TrimSpace(strings.TrimPrefix(line, "HTTP/1.1 "))
			}
			const full = "429 Too Many Requests"
			for i, c := range []struct{ from, header, want string }{
				{"127.0.0.1", headerFor(t, 1, "203.0.113.1:1"), "200 OK"},
				{"127.0.0.1", headerFor(t, 2, "203.0.113.1:2"), full},
				{"127.0.0.1", headerFor(t, 2, "203.0.113.2:1"), "200 OK"},
				{"127.0.0.1", headerFor(t, 1, "203.0.113.2:2"), full},
				{"127.0.0.3", "", "200 OK"},
				{"127.0.0.3", "", full},
			} {
				if got := open(c.from, c.header); got != c.want {
					t.Errorf("%d: %s, want %s", i, got, c.want)
				}
			}
			if got := open("127.0.0.1", ""); strings.HasPrefix(got, "200") || strings.HasPrefix(got, "400") {
				t.Errorf("a proxy without a header: %s", got)
			}
			if got := open("127.0.0.2", headerFor(t, 1, "203.0.113.3:1")); strings.HasPrefix(got, "200") {
				t.Errorf("a stranger with one: %s", got)
			}
			counts(t, "streams", 3, func() int { return r.realms[0].events.Stats().Streams }) // after the head of the response
			_, page := r.get(t, "/metrics")
			for _, want := range []string{"waft_proxy_headers_refused_total 1", "waft_events_streams{realm=\"default\"} 3", `waft_events_refused_total{realm="default",reason="address_limit"} 3`} {
				if !strings.Contains(page, want+"\n") {
					t.Errorf("the metrics do not say %s", want)
				}
			}
		})
	}
}

// A poll gives up its request and its connection serves on, with the client's address, also for requests that go back to net/http.
func TestServe_held_polls_behind_a_PROXY_header(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, "trusted_proxies = ['127.0.0.1']\nproxy_protocol = true\n"+openRealm+"[realm.bayeux]\nhandshakes_per_address = 1\n"))
	nc, err := net.Dial("tcp", r.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = io.WriteString(nc, headerFor(t, 2, "203.0.113.1:1"))
	answers := bufio.NewReader(nc)
	say := func(message string) {
		t.Helper()
		fmt.Fprintf(nc, "POST /bayeux HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(message), message)
	}
	hear := func() string {
		t.Helper()
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const hello = `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"1"}]`
	say(hello)
	text := hear()
	id := text[strings.Index(text, `"clientId":"`)+len(`"clientId":"`):]
	id, _, _ = strings.Cut(id, `"`)
	say(fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":"/a","id":"2"}]`, id))
	hear()
	connect := fmt.Sprintf(`[{"channel":"/meta/connect","clientId":%q,"connectionType":"long-polling","id":"3"}]`, id)
	say(connect)
	hear()
	for n := range 3 {
		say(connect)
		await(t, "a held poll", func() bool { return r.realms[0].bayeux.Stats().Polls == 1 })
		elsewhere, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", r.public.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"items":[{"channel":"/a","json-object":%d}]}`, n)
		fmt.Fprintf(elsewhere, "POST /realm/default/publish/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if answer, _ := io.ReadAll(elsewhere); !bytes.Contains(answer, []byte("200 OK")) {
			t.Fatalf("%s", answer)
		}
		elsewhere.Close()
		if text := hear(); !strings.Contains(text, fmt.Sprintf(`"data":%d`, n)) {
			t.Errorf("the poll was answered %s", text)
		}
	}
	refused := 0
	for range 20 { // another message, in the same place: five handshakes at once are let in
		if say(hello); strings.Contains(hear(), "429::") {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("%d of 20 handshakes were refused to the client of the header", refused)
	}
	if other := handshakeFrom(t, r, "203.0.113.2:1", hello); !strings.Contains(other, `"successful":true`) {
		t.Errorf("another client of the same proxy: %s", other)
	}
}

func handshakeFrom(t *testing.T, r *running, client, hello string) string {
	t.Helper()
	nc, err := net.Dial("tcp", r.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "%sPOST /bayeux HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", headerFor(t, 1, client), len(hello), hello)
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
