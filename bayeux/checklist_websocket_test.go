package bayeux

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker/outbox/wsframe"
)

// 8.5 WebSocket.
var socketRows = []row{
	{48, "upgrade_at_every_path", func(t *testing.T) {
		s := newServer(t)
		for _, path := range []string{"", "/", "/x", "/a/b"} {
			for _, deflate := range []bool{false, true} {
				c, res, err := s.upgrade(path, nil, func(d *websocket.Dialer, _ *websocket.Conn) { d.EnableCompression = deflate })
				if err != nil {
					t.Fatal(path, err)
				}
				equal(t, "status", res.status, 101)
				equal(t, "subprotocol", res.header.Get("Sec-Websocket-Protocol"), "")
				equal(t, "extensions", res.header.Get("Sec-Websocket-Extensions"), "")
				ok(t, c.ask(handshakeMessage))
			}
		}
	}},
	{49, "silent_socket_may_handshake_later", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			time.Sleep(10 * time.Second)
			c.connected()
			// But not for ever.
			idle := s.socket()
			time.Sleep(31 * time.Second)
			equal(t, "close code", idle.closeCode(), websocket.CloseNormalClosure)
			equal(t, "refused", s.h.Stats().Refused[RefusedIdle], 1)
		})
	}},
	{50, "a_whole_session_on_the_socket", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			start := time.Now()
			id := c.handshake()
			ok(t, c.ask(connectNow(id, `"1"`)))
			c.send("[" + connect(id, `"2"`) + "]")
			c.silent()
			ok(t, c.ask(subscribe(id, `"3"`, `"/a"`)))
			c.send("[" + publish(id, `"4"`, "/a", `"x"`) + "]")
			equal(t, "event", c.next().Get("data").Raw, `"x"`)
			ok(t, c.next())
			s.event("/a", `"y"`)
			equal(t, "event while held", c.next().Get("data").Raw, `"y"`)
			c.silent()
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{51, "subscribe_and_publish_before_any_connect", func(t *testing.T) {
		s := newServer(t)
		c := s.socket()
		id := s.handshake() // elsewhere
		ok(t, c.ask(subscribe(id, `"1"`, `"/a"`)))
		c.send(publish(id, `"2"`, "/a", `"x"`))
		equal(t, "event", c.next().Get("data").Raw, `"x"`)
		equal(t, "ack", c.next().Get("id").Str, "2")
	}},
	{52, "own_event_then_ack", func(t *testing.T) {
		s := newServer(t)
		c := s.socket()
		id := c.connected(`"/a"`)
		for range 50 {
			c.send(publish(id, "", "/a", `1`))
			equal(t, "event first", c.next().Get("successful").Exists(), false) // next checks the rest
			ok(t, c.next())
		}
	}},
	{53, "frame_with_a_connect_answers_the_others_at_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.handshake()
			c.ask(connectNow(id, `"0"`))
			heldFor(t, holdTime, func() {
				c.send("[" + connect(id, `"1"`) + "," + subscribe(id, `"2"`, `"/a"`) + "]")
				heldFor(t, 0, func() { equal(t, "first reply", c.next().Get("id").Str, "2") })
				equal(t, "second reply", c.next().Get("id").Str, "1")
			})
		})
	}},
	{54, "connect_is_answered_after_the_timeout", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.handshake()
			c.ask(connectNow(id, `"0"`))
			for range 3 {
				heldFor(t, holdTime, func() { ok(t, c.ask(connect(id, `"1"`))) })
			}
		})
	}},
	{55, "empty_array_is_answered", func(t *testing.T) {
		c := newServer(t).socket()
		c.send("[]")
		equal(t, "frame", <-c.frames, "[]")
	}},
	{56, "garbage_is_ignored_or_closes", func(t *testing.T) {
		s := newServer(t)
		for _, c := range []struct {
			text string
			code int // 0: ignored
		}{
			{"", 0},
			{"null", 0},
			{"[null]", 0},
			{" ", 0},
			{"{bad", 1007},
			{"42", 1007},
			{`"x"`, 1007},
			{"[1,", 1007},
			{strings.Repeat("[", 10_000), 1007},
		} {
			ws := s.socket()
			ws.send(c.text)
			if c.code == 0 {
				ok(t, ws.ask(handshakeMessage))
				continue
			}
			equal(t, c.text[:min(len(c.text), 10)], ws.closeCode(), c.code)
		}
		ws := s.socket()
		if err := ws.ws.WriteMessage(websocket.BinaryMessage, []byte("["+handshakeMessage+"]")); err != nil {
			t.Fatal(err)
		}
		equal(t, "binary", ws.closeCode(), 1003)
		// A frame that is broken as a frame: continuation of nothing.
		ws = s.socket()
		if _, err := ws.ws.NetConn().Write([]byte{0x80, 0x80, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		equal(t, "protocol error", ws.closeCode(), 1002)
	}},
	{57, "session_comes_back_on_a_new_socket", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.connected(`"/a"`)
			synctest.Wait()
			c.ws.NetConn().Close() // cut, without a word
			synctest.Wait()
			s.event("/a", "1")
			again := s.socket()
			heldFor(t, 0, func() {
				again.send("[" + connect(id, `"c2"`) + "]")
				equal(t, "event", again.next().Get("data").Raw, "1")
				equal(t, "reply", again.next().Get("id").Str, "c2")
			})
		})
	}},
	{58, "newest_endpoint_has_the_events", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			first := s.socket()
			id := first.connected(`"/a"`)
			synctest.Wait()
			second := s.socket()
			ok(t, second.ask(connect(id, `"1"`)))
			equal(t, "the first socket's connect", first.next().Get("id").Str, "c1")
			equal(t, "the first socket is closed", first.closeCode(), 1000)
			s.event("/a", "1")
			equal(t, "event", second.next().Get("data").Raw, "1")
			second.send("[" + connect(id, `"2"`) + "]")
			time.Sleep(1100 * time.Millisecond) // by then it has shown that it has it

			answer := s.poll("[" + connect(id, `"3"`) + "]")
			synctest.Wait()
			equal(t, "the second socket's connect", second.next().Get("id").Str, "2")
			equal(t, "the second socket is closed", second.closeCode(), 1000)
			s.event("/a", "2")
			ms := <-answer
			equal(t, "event", strings.Join(ms.events(), ","), "2")
			ok(t, ms.with(t, `"3"`))
		})
	}},
	{59, "second_connect_on_the_socket_releases_the_first", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.connected()
			synctest.Wait()
			heldFor(t, holdTime, func() {
				c.send("[" + connect(id, `"c2"`) + "]")
				heldFor(t, 0, func() { equal(t, "released", c.next().Get("id").Str, "c1") })
				equal(t, "held", c.next().Get("id").Str, "c2")
			})
		})
	}},
	{60, "two_sessions_on_one_socket", func(t *testing.T) {
		s := newServer(t)
		c := s.socket()
		one, two := c.connected(`"/a"`), c.connected(`"/b"`)
		if one == two {
			t.Fatal("the same clientId twice")
		}
		s.event("/a", "1")
		equal(t, "first session's event", c.next().Get("data").Raw, "1")
		s.event("/b", "2")
		equal(t, "second session's event", c.next().Get("data").Raw, "2")
		ok(t, c.ask(subscribe(one, `"1"`, `"/c"`)))
	}},
	{61, "peer_that_answers_no_ping_is_closed", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c, _, err := s.upgrade("", nil, func(_ *websocket.Dialer, ws *websocket.Conn) {
				if ws != nil {
					ws.SetPingHandler(func(string) error { return nil })
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			id := c.connected(`"/a"`)
			time.Sleep(34 * time.Second)
			equal(t, "sockets before the deadline", s.h.Stats().Sockets, 1)
			time.Sleep(2 * time.Second)
			equal(t, "sockets after it", s.h.Stats().Sockets, 0)
			equal(t, "refused", s.h.Stats().Refused[RefusedSilent], 1)
			s.event("/a", "1") // the session lives
			equal(t, "events", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "1")
		})
	}},
	{62, "frame_above_the_limit", func(t *testing.T) {
		s := newServer(t)
		nc, r := s.rawUpgrade()
		writeAll(t, nc, maskedFrame(strings.Repeat("x", 4<<20))) // read to its end, so that the answer is not lost in a reset
		frame := readServerFrame(t, r)
		equal(t, "close frame", frame, string(wsframe.Closing(1009, "")[2:]))
		equal(t, "refused", s.h.Stats().Refused[RefusedTooLarge], 1)
		// One of exactly the limit passes.
		c := s.socket()
		c.send(`[{"id":"1","channel":"/a","data":"` + strings.Repeat("x", 64<<10-len(`[{"id":"1","channel":"/a","data":""}]`)) + `"}]`)
		ok(t, c.next())
	}},
}
