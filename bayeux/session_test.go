package bayeux

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/outbox"
)

// What was not shown to have arrived comes again by the new way, and what follows it. Nothing is skipped.
func TestSession_skips_nothing_while_endpoints_change(t *testing.T) {
	s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxMessages = 100_000; o.MaxBytes = 1 << 30 })
	id := s.connected(`"/a"`)
	const n = 3000
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := range n {
			s.event("/a", strconv.Itoa(i))
		}
	})
	var got []string
	var old *wsClient
	collect := func(c *wsClient) {
		for frame := range c.frames {
			got = append(got, parseReply(t, frame).events()...)
		}
	}
	last := strconv.Itoa(n - 1)
	for i := 0; !slices.Contains(got, last); i++ {
		if i%3 == 2 {
			answer := s.poll("[" + connectNow(id, strconv.Itoa(i)) + "]")
			if old != nil {
				collect(old) // it is closed, after all that was sent on it
				old = nil
			}
			got = append(got, (<-answer).events()...)
			continue
		}
		c := s.socket()
		c.send("[" + connect(id, `"w"`) + "]")
		first := c.next() // an event or the reply: the session is here
		if old != nil {
			collect(old)
		}
		got = append(got, append(messages{first}, c.queue...).events()...)
		c.queue, old = nil, c
	}
	publishing.Wait()
	next := 0
	for i, text := range got {
		if v, _ := strconv.Atoi(text); v > next {
			t.Fatalf("%d after %v", v, got[max(0, i-10):i])
		} else if v == next {
			next++
		}
	}
	equal(t, "events", next, n)
}

func TestSession_gives_only_to_its_endpoint(t *testing.T) {
	s := newServer(t)
	id := s.connected(`"/a"`)
	near, _ := net.Pipe()
	session, old, current := s.h.session(id), new(outbox.Conn), s.h.outbox.Attach(near, nothing{})
	session.bind(&stream{h: s.h, conn: current})
	s.event("/a", "1")
	// A socket that is about to fill while a newer endpoint comes.
	var sc outbox.Scratch
	session.take(old, &sc)
	equal(t, "to another", len(sc.Deliveries), 0)
	session.take(current, &sc)
	equal(t, "to the endpoint", len(sc.Deliveries), 1)
}

func TestSession_is_forgotten_with_everything_it_held(t *testing.T) {
	s := newServer(t)
	for range 20 {
		c := s.socket()
		id := c.connected(`"/a"`, `"/b/*"`)
		c.ws.Close()
		eventually(t, func() bool { return s.h.Stats().Sockets == 0 })
		ok(t, s.post(msg("/meta/disconnect", id, `"1"`, "")).with(t, `"1"`))
	}
	eventually(t, func() bool { return s.h.Stats().Sessions == 0 && len(s.b.Sessions()) == 0 })
}

func TestSocket_serves_its_newest_sessions(t *testing.T) {
	s := newServer(t)
	c := s.socket()
	var ids []string
	for i := range maxSessions + 1 {
		ids = append(ids, c.connected(fmt.Sprintf(`"/a%d"`, i)))
	}
	s.event("/a0", "0") // waits: the first session has no endpoint any more
	s.event("/a1", "1")
	equal(t, "event", c.next().Get("data").Raw, "1")
	equal(t, "kept for the first session", strings.Join(s.post(connect(ids[0], `"1"`)).events(), ","), "0")
}

func TestSocket_that_does_not_read_is_closed(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		nc, _ := s.rawUpgrade()
		frame := maskedFrame("[" + publish("", `"`+strings.Repeat("i", 8<<10)+`"`, "/a", "1") + "]")
		sent := 0
		for ; sent < 1000; sent++ {
			if _, err := nc.Write(frame); err != nil {
				break
			}
		}
		synctest.Wait()
		if sent == 1000 {
			t.Error("8 MB of replies wait for it")
		}
		equal(t, "refused", s.h.Stats().Refused[RefusedUnread], 1)
		equal(t, "sockets", s.h.Stats().Sockets, 0)
	})
}

type authenticatorFunc func(string) (broker.Principal, error)

func (f authenticatorFunc) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	return f(token)
}

type anyone struct{}

func (anyone) Authorize(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
	return nil
}

// Whose rights a message has.
func TestCredentials(t *testing.T) {
	var who atomic.Value // the subject that was last asked about
	s := newServer(t, func(o *Options, b *broker.Options) {
		o.Authenticator = authenticatorFunc(func(token string) (broker.Principal, error) {
			if token == "bad" {
				return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "bad")
			}
			return broker.Principal{Subject: token, Issuer: "test"}, nil
		})
		b.Authorizer = authorizerFunc(func(p broker.Principal) { who.Store(p.Subject) })
	})
	withToken := func(m, ext string) string { return strings.Replace(m, "{", `{"ext":`+ext+`,`, 1) }
	anonymous := s.handshake()
	session := s.post(withToken(handshakeMessage, `{"token":"session"}`)).with(t, `"h"`).Get("clientId").Str
	header := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	for _, c := range []struct {
		name, clientID, ext string
		header              map[string]string
		want                string // the subject; "!" for a refusal
	}{
		{"nobody", "", "", nil, ""},
		{"anonymous session", anonymous, "", nil, ""},
		{"session of a token", session, "", nil, "session"},
		{"header", anonymous, "", header("header"), "header"},
		{"header before session", session, "", header("header"), "header"},
		{"message before header and session", session, `{"token":"message"}`, header("header"), "message"},
		{"nested", session, `{"auth":{"token":"message"}}`, nil, "message"},
		{"authToken", session, `{"authToken":"message"}`, nil, "message"},
		{"another scheme is no token", anonymous, "", map[string]string{"Authorization": "Basic eDp5"}, ""},
		{"bad header", session, "", header("bad"), "!"},
		{"bad message token is no fall back", session, `{"token":"bad"}`, header("header"), "!"},
		{"odd ext", session, `[1]`, nil, "session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range []string{publish(c.clientID, `"1"`, "/a", strconv.Quote(c.name)), subscribe(c.clientID, `"1"`, `"/a"`)} {
				if c.clientID == "" && strings.Contains(m, "/meta/") {
					continue
				}
				if c.ext != "" {
					m = withToken(m, c.ext)
				}
				who.Store("-")
				reply := s.send(request{body: m, header: c.header}).with(t, `"1"`)
				if c.want == "!" {
					fails(t, reply, "403")
					continue
				}
				ok(t, reply)
				equal(t, "subject", who.Load().(string), c.want)
			}
		})
	}
	t.Run("header of the upgrade", func(t *testing.T) {
		c, _, err := s.upgrade("", http.Header{"Authorization": {"Bearer upgrade"}})
		if err != nil {
			t.Fatal(err)
		}
		id := c.handshake()
		ok(t, c.ask(subscribe(id, `"1"`, `"/a"`)))
		equal(t, "subject", who.Load().(string), "upgrade")
		ok(t, s.post(publish(id, `"2"`, "/b", "1")).with(t, `"2"`))
		equal(t, "subject elsewhere", who.Load().(string), "upgrade")
	})
}

type authorizerFunc func(broker.Principal)

func (f authorizerFunc) Authorize(_ context.Context, who broker.Principal, _ broker.Action, _ broker.Pattern) error {
	f(who)
	return nil
}

func TestNoAuthenticator_refuses_tokens(t *testing.T) {
	s := newServer(t, func(o *Options, _ *broker.Options) { o.Authenticator = nil })
	s.handshake()
	m := s.send(request{body: handshakeMessage, header: map[string]string{"Authorization": "Bearer good"}}).with(t, `"h"`)
	fails(t, m, "403::Handshake denied")
}

// failingWriter is a response that cannot be sent.
type failingWriter struct{ *httptest.ResponseRecorder }

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestLongPoll_events_of_a_failed_response_are_returned(t *testing.T) {
	s := newServer(t)
	id := s.connected(`"/a"`)
	s.event("/a", "1")
	s.event("/a", "2")
	r := httptest.NewRequest(http.MethodPost, "/bayeux", strings.NewReader(connect(id, `"1"`)))
	s.h.ServeHTTP(failingWriter{httptest.NewRecorder()}, r)
	equal(t, "returned", s.h.Stats().Returned, 2)
	equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1,2")
}

func TestLongPoll_messages_without_a_form_do_not_release(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id, c := s.connected(`"/a"`), s.socket()
		c.connected(`"/a"`)
		synctest.Wait()
		answer := s.poll(connect(id, `"1"`))
		synctest.Wait()
		formats := &broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`"x"`)}}
		if _, err := s.b.Publish(t.Context(), broker.Principal{}, formats, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		c.silent()
		equal(t, "held", s.h.Stats().Polls, 1)
		s.event("/a", "1")
		equal(t, "events", strings.Join((<-answer).events(), ","), "1")
		equal(t, "event", c.next().Get("data").Raw, "1")
	})
}

func TestShutdown_cuts_off_who_does_not_go(t *testing.T) {
	s := newServer(t)
	id := s.connected()
	nc, _ := s.rawConn()
	fmt.Fprintf(nc, "GET /bayeux HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n") // and answers nothing
	eventually(t, func() bool { return s.h.Stats().Sockets == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("Shutdown:", err)
	}
	eventually(t, func() bool { st := s.h.Stats(); return st.Sockets == 0 && st.Sessions == 0 })
	fails(t, s.post(connect(id, `"1"`)).with(t, `"1"`), "401")
	if _, res, err := s.upgrade("", nil); err == nil || res.status != http.StatusServiceUnavailable {
		t.Errorf("upgrade: %v %v", res, err)
	}
	if err := s.h.Shutdown(context.Background()); err != nil {
		t.Error("second Shutdown:", err)
	}
}

func TestShutdown_cuts_off_streams_without_waiting(t *testing.T) {
	wheel := broker.NewWheel(time.Hour) // no timer will close them
	defer wheel.Close()
	s := newServer(t, func(_ *Options, b *broker.Options) { b.Wheel = wheel })
	c := s.stream(s.connected())
	eventually(t, func() bool { return s.h.Stats().Streams == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.h.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) { // nil if the stream was quicker
		t.Error("Shutdown:", err)
	}
	c.end()
	eventually(t, func() bool { return s.h.Stats().Streams == 0 })
}

func TestNew_refuses_what_cannot_work(t *testing.T) {
	b, err := broker.New(broker.Options{Authorizer: anyone{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Shutdown(context.Background()) }()
	for name, o := range map[string]Options{
		"no broker": {}, "negative time": {Broker: b, Timeout: -1}, "negative limit": {Broker: b, MaxBody: -1},
		"header with a line end": {Broker: b, AllowHeaders: []string{"X-A\r\nX-B"}}, "header without a name": {Broker: b, AllowHeaders: []string{""}},
		"script that is not there": {Broker: b, ClientScript: "/nonexistent/client.js"},
		"origin with a path":       {Broker: b, Origins: []string{"https://a/b"}}, "origin without a scheme": {Broker: b, Origins: []string{"a.example"}},
	} {
		if h, err := New(o); broker.KindOf(err) != broker.Invalid || h != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
