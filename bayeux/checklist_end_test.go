package bayeux

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// 8.8 Disconnect, expiry, extensions, limits.
var endRows = []row{
	{90, "disconnect", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		m := s.post(msg("/meta/disconnect", id, `"1"`, "")).with(t, `"1"`)
		equal(t, "reply", m.Raw, `{"id":"1","clientId":"`+id+`","channel":"/meta/disconnect","successful":true}`)
		fails(t, s.post(msg("/meta/disconnect", id, `"2"`, "")).with(t, `"2"`), "401:"+id+":Unknown client")
		m = s.post(connect(id, `"3"`)).with(t, `"3"`)
		fails(t, m, "401:"+id+":Unknown client")
		equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
		fails(t, s.post(msg("/meta/disconnect", "", `"4"`, "")).with(t, `"4"`), "402:clientId:Missing required parameter")
		eventually(t, func() bool { return s.h.Stats().Sessions == 0 && s.b.Stats().Subscriptions == 0 })
	}},
	{91, "disconnect_releases_a_held_poll", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			answer := s.poll(connect(id, `"1"`))
			synctest.Wait()
			heldFor(t, 0, func() {
				ok(t, s.post(msg("/meta/disconnect", id, `"2"`, "")).with(t, `"2"`))
				m := (<-answer).with(t, `"1"`)
				ok(t, m)
				equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
			})
		})
	}},
	{92, "disconnect_on_a_socket", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.connected(`"/a"`)
			synctest.Wait()
			// The events before it are not lost.
			c.send("[" + publish(id, `"p"`, "/a", "1") + "," + msg("/meta/disconnect", id, `"d"`, "") + "]")
			var got []string
			for range 4 {
				m := c.next()
				got = append(got, m.Get("id").Str+m.Get("data").Raw)
				if m.Get("id").Str == "c1" {
					ok(t, m)
					equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
				}
			}
			equal(t, "order", strings.Join(got, " "), "1 p c1 d")
			c.silent() // the client has time to close
			equal(t, "close code", c.closeCode(), 1000)
			synctest.Wait()
			equal(t, "sockets", s.h.Stats().Sockets, 0)
			equal(t, "sessions", s.h.Stats().Sessions, 0)
		})
	}},
	{93, "silent_session_expires", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			time.Sleep(grace - 100*time.Millisecond)
			equal(t, "sessions within the grace", s.h.Stats().Sessions, 1)
			time.Sleep(200 * time.Millisecond)
			equal(t, "sessions after it", s.h.Stats().Sessions, 0)
			equal(t, "subscriptions", s.b.Stats().Subscriptions, 0)
			fails(t, s.post(connect(id, `"1"`)).with(t, `"1"`), "401")
			s.handshake() // without ever connecting
			time.Sleep(grace + 100*time.Millisecond)
			equal(t, "sessions", s.h.Stats().Sessions, 0)
		})
	}},
	{94, "any_message_keeps_a_session_alive", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			for i := range 12 {
				time.Sleep(500 * time.Millisecond)
				ok(t, s.post(subscribe(id, `"1"`, `"/a`+strconv.Itoa(i)+`"`)).with(t, `"1"`))
			}
			// And an open socket does, between connects.
			c := s.socket()
			onSocket := c.handshake()
			time.Sleep(10 * grace)
			c.ask(connectNow(onSocket, `"1"`))
			time.Sleep(10 * grace)
			ok(t, c.ask(subscribe(onSocket, `"2"`, `"/a"`)))
		})
		// And the heartbeats of an open stream do: they are further apart than the grace.
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			stream := s.stream(id)
			stream.line()
			for range 50 { // longer than a stream is kept without them
				time.Sleep(holdTime)
				ok(t, s.post(heartbeat(id, `"1"`)).with(t, `"1"`))
			}
			s.event("/a", "1")
			equal(t, "event", stream.event(), "1")
		})
	}},
	{95, "kick_and_shutdown", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			kick := func(id string) {
				session, _ := s.b.Session(id)
				session.Close(nil)
			}
			id := s.connected()
			answer := s.poll(connect(id, `"1"`))
			synctest.Wait()
			kick(id)
			ms := <-answer
			equal(t, "kicked", ms[0].Raw, kickedMessage)
			m := ms.with(t, `"1"`)
			equal(t, "successful", m.Get("successful").Bool(), false)
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")

			c := s.socket()
			id = c.connected()
			synctest.Wait()
			kick(id)
			equal(t, "kicked", c.next().Raw, kickedMessage)
			m = c.next()
			equal(t, "connect", m.Get("id").Str, "c1")
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
			equal(t, "close code", c.closeCode(), 1000)
		})
		bubble(t, func(t *testing.T, s *server) {
			var polls []<-chan messages
			var sockets []*wsClient
			var streams []*streamClient
			for range 100 {
				polls = append(polls, s.poll(connect(s.connected(), `"1"`)))
				c := s.socket()
				c.connected()
				sockets = append(sockets, c, s.socket()) // the second has no session
				streams = append(streams, s.stream(s.connected()))
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			shut := make(chan error)
			go func() { shut <- s.h.Shutdown(ctx) }()
			intervals := map[int64]bool{}
			for _, answer := range polls {
				m := (<-answer).with(t, `"1"`)
				equal(t, "successful", m.Get("successful").Bool(), false)
				equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
				intervals[m.Get("advice.interval").Int()] = true
			}
			for _, c := range sockets {
				equal(t, "close code", c.closeCode(), 1001)
			}
			for _, c := range streams {
				c.end()
			}
			if err := <-shut; err != nil {
				t.Error("Shutdown:", err)
			}
			equal(t, "streams when Shutdown is done", s.h.Stats().Streams, 0)
			if len(intervals) < 20 {
				t.Errorf("100 clients come back at %d different times", len(intervals))
			}
			fails(t, s.post(handshakeMessage).with(t, `"h"`), "503")
			equal(t, "a stream", s.get("/x", map[string]string{"Accept": eventStream}).status, 503)
		})
	}},
	{98, "unknown_ext_is_ignored", func(t *testing.T) {
		s := newServer(t)
		m := s.post(strings.Replace(handshakeMessage, "{", `{"ext":{"x":{},"y":{"ack":true}},`, 1)).with(t, `"h"`)
		ok(t, m)
		equal(t, "ext", m.Get("ext").Exists(), false)
	}},
	{99, "limits", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxMessages, o.MaxSubscriptions, o.MaxBatch = 10, 2, 20 })
		big := publish("", `"1"`, "/a", `"`+strings.Repeat("x", 64<<10)+`"`)
		for _, chunked := range []bool{false, true} {
			res, err := s.do(request{body: big, chunked: chunked})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "large body", res.status, 413)
		}
		res, err := s.do(request{body: "[" + strings.Repeat("{},", 20) + "{}]"})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "large batch", res.status, 413)
		equal(t, "refused", s.h.Stats().Refused[RefusedTooLarge], 3)

		id := s.connected(`"/a"`, `"/b"`)
		fails(t, s.post(subscribe(id, `"1"`, `"/c"`)).with(t, `"1"`), "429:/c:Limit reached")
		fails(t, s.post(publish(id, `"1"`, "/"+strings.Repeat("c", 50_000), "1")).with(t, `"1"`), "405")

		for i := range 11 {
			s.event("/a", strconv.Itoa(i))
		}
		eventually(t, func() bool { return s.h.Stats().Sessions == 0 })
		equal(t, "lost", s.b.Stats().Lost[broker.LostSlow], 11)
		fails(t, s.post(connect(id, `"1"`)).with(t, `"1"`), "401")
	}},
	{99, "full_queue_may_drop_the_oldest", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxMessages, o.Overflow = 3, broker.DropOldest })
		id := s.connected(`"/a"`)
		for i := range 5 {
			s.event("/a", strconv.Itoa(i))
		}
		equal(t, "events", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "2,3,4")
	}},
	{100, "hostile_client_ids_and_a_clean_log", func(t *testing.T) {
		var log lockedBuffer
		s := newServer(t, func(o *Options, _ *broker.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.MaxBody = 2 << 20
			o.MaxMessages = 1
		})
		for _, id := range []string{"__proto__", "../x", strings.Repeat("A", 1<<20)} {
			for _, body := range []string{connect(id, `"1"`), subscribe(id, `"1"`, `"/a"`)} {
				m := s.post(body).with(t, `"1"`)
				fails(t, m, "401")
				if n := len(m.Get("error").Str); n > 200 {
					t.Errorf("an error of %d bytes", n)
				}
			}
			if len(id) < 1000 {
				equal(t, "a stream for "+id, s.get("/"+id, map[string]string{"Accept": eventStream}).status, 404)
			}
		}
		equal(t, "sessions", s.h.Stats().Sessions, 0)
		equal(t, "streams", s.h.Stats().Streams, 0)

		id := s.connected(`"/a"`)
		s.event("/a", "1")
		s.event("/a", "2") // ends the session, which is logged
		s.post(connect(id, `"1"`))
		_, _ = s.do(request{body: "{bad " + id})
		s.send(request{body: handshakeMessage, header: map[string]string{"Authorization": "Bearer verysecret"}})
		_, _ = s.do(request{body: handshakeMessage, header: map[string]string{"Origin": "https://evil.test"}})

		// The address of a stream is the secret itself, and so is a query.
		s.event("/b", "1")
		other := s.connected(`"/b"`)
		s.stream(other)
		s.get("/"+other, map[string]string{"Accept": eventStream, "Sec-Fetch-Site": "cross-site", "Referer": "https://evil.test/" + other})
		s.get("/"+id, map[string]string{"Accept": eventStream})
		s.get("/"+other, nil)
		s.get("/"+other+"?message=%5Bbad&x="+other, nil)
		s.get("/"+other+".js?jsonp="+other+"()&message=[]", nil)
		eventually(t, func() bool { return strings.Count(log.String(), "\n") >= 4 })
		if text := log.String(); strings.Contains(text, id) || strings.Contains(text, other) || strings.Contains(text, "verysecret") {
			t.Errorf("the log tells a secret:\n%s", text)
		}
	}},
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
