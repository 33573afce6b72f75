package component

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testDomain = "waft.localhost"
	testSecret = "very s3cret"
	testHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' " +
		"xmlns:stream='http://etherx.jabber.org/streams' xmlns:odd='urn:odd' from='waft.localhost' id='i&amp;d'>"
)

// dialogue runs a test in a synctest bubble against a scripted server: what the link writes and what it is answered are
// the wire's own text.
func dialogue(t *testing.T, change func(*Options), script func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, change)
		script(t, h)
		h.stop()
		h.wg.Wait()
	})
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

type harness struct {
	t       *testing.T
	link    *Link
	conns   chan net.Conn // the server's ends
	stanzas chan *Stanza
	ups     chan struct{}
	downs   chan error
	log     *logBuffer
	cancel  context.CancelFunc
	done    chan error
	wg      sync.WaitGroup // of goroutines that play the server
}

func newHarness(t *testing.T, change func(*Options)) *harness {
	h := &harness{
		t: t, conns: make(chan net.Conn), stanzas: make(chan *Stanza, 1000),
		ups: make(chan struct{}, 1000), downs: make(chan error, 1000), log: &logBuffer{}, done: make(chan error, 1),
	}
	o := Options{
		Domain: testDomain, Server: "xmpp.test:5347", Secret: testSecret,
		Handler: func(s *Stanza) { h.stanzas <- s },
		Up:      func() { h.ups <- struct{}{} },
		Down:    func(err error) { h.downs <- err },
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			select {
			case h.conns <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.link = l
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() { h.done <- l.Run(ctx) }()
	return h
}

// stop ends Run and checks that it returns, and that no secret was logged.
func (h *harness) stop() {
	h.t.Helper()
	h.cancel()
	if err := <-h.done; err != nil {
		h.t.Errorf("Run returned %v", err)
	}
	if strings.Contains(h.log.String(), testSecret) {
		h.t.Error("the secret is in the log")
	}
}

// accept waits for the link's next connection.
func (h *harness) accept() *peer {
	h.t.Helper()
	select {
	case c := <-h.conns:
		p := &peer{t: h.t, conn: c, more: make(chan struct{}, 1)}
		go p.read()
		return p
	case <-time.After(10 * time.Minute):
		h.t.Fatal("no connection attempt")
		return nil
	}
}

// connected makes the handshake as a server does.
func (h *harness) connected() *peer {
	h.t.Helper()
	p := h.accept()
	p.handshake()
	<-h.ups
	return p
}

func (h *harness) stanza() *Stanza {
	h.t.Helper()
	select {
	case s := <-h.stanzas:
		return s
	case <-time.After(10 * time.Minute):
		h.t.Fatal("the handler saw nothing")
		return nil
	}
}

// sentinel shows that the link is up and in step: a stanza sent now is delivered next.
func (h *harness) sentinel(p *peer) {
	h.t.Helper()
	p.send("<message from='s@localhost' to='waft.localhost' id='sentinel'><body>later</body></message>")
	if s := h.stanza(); s.ID != "sentinel" || s.Refused != NotRefused || s.Payload().Text != "later" {
		h.t.Fatalf("instead of the sentinel: %+v", s)
	}
	if up := h.link.Stats().Up; !up {
		h.t.Fatal("link is down")
	}
}

func (h *harness) down() error {
	h.t.Helper()
	select {
	case err := <-h.downs:
		return err
	case <-time.After(10 * time.Minute):
		h.t.Fatal("link did not go down")
		return nil
	}
}

// peer is the server's side of one connection. It reads all the time, as a server does.
type peer struct {
	t    *testing.T
	conn net.Conn
	more chan struct{}

	mu   sync.Mutex
	got  []byte
	over bool
}

func (p *peer) read() {
	b := make([]byte, 4096)
	for {
		n, err := p.conn.Read(b)
		p.mu.Lock()
		p.got = append(p.got, b[:n]...)
		p.over = err != nil
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// expect waits until the link has written want and returns what came before it, both consumed.
func (p *peer) expect(want string) string {
	p.t.Helper()
	patience := time.After(10 * time.Minute)
	for {
		p.mu.Lock()
		before, after, ok := bytes.Cut(p.got, []byte(want))
		over := p.over
		if ok {
			p.got = after
		}
		p.mu.Unlock()
		if ok {
			return string(before)
		}
		if over {
			p.t.Fatalf("connection ended; want %q, have %q", want, p.written())
		}
		select {
		case <-p.more:
		case <-patience:
			p.t.Fatalf("link wrote %q, want %q", p.written(), want)
		}
	}
}

func (p *peer) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.got)
}

// ended waits until the link has closed the connection and returns what it wrote before.
func (p *peer) ended() string {
	p.t.Helper()
	patience := time.After(10 * time.Minute)
	for {
		p.mu.Lock()
		over := p.over
		p.mu.Unlock()
		if over {
			return p.written()
		}
		select {
		case <-p.more:
		case <-patience:
			p.t.Fatal("link did not close the connection")
		}
	}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatalf("link does not read: %v", err)
	}
}

func (p *peer) header() {
	p.t.Helper()
	p.expect("to='waft.localhost'>")
	p.send(testHeader)
}

func (p *peer) handshake() {
	p.t.Helper()
	p.header()
	sum := sha1.Sum([]byte("i&d" + testSecret))
	if extra := p.expect("<handshake>" + hex.EncodeToString(sum[:]) + "</handshake>"); extra != "" {
		p.t.Errorf("before the digest the link wrote %q", extra)
	}
	p.send("<handshake/>")
}

func (p *peer) close() { _ = p.conn.Close() }

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
