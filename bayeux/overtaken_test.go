package bayeux

import (
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
)

// While its socket or stream opens Faye's client polls, and the poll can be read behind that, and behind what the client sent over the socket.
func TestOvertaken_a_poll_takes_nothing_from_what_the_client_has_begun_with(t *testing.T) {
	polls := map[string]func(id string) string{
		"alone":       func(id string) string { return connect(id, `"c1"`) },
		"with others": func(id string) string { return connectNow(id, `"c1"`) + "," + publish(id, `"7"`, "/b", "1") },
	}
	for name, poll := range polls {
		t.Run("a socket, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected()
				c := s.socket()
				ok(t, c.ask(subscribe(id, `"c2"`, `"/a"`)))
				s.event("/a", "1")
				equal(t, "event", c.next().Get("data").Raw, "1")
				heldFor(t, 0, func() { equal(t, "events", len(s.post("["+poll(id)+"]").events()), 0) })
				s.event("/a", "2")
				equal(t, "event, on the same socket", c.next().Get("data").Raw, "2")
				ok(t, c.ask(connect(id, `"c3"`)))
			})
		})
		t.Run("a stream, "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				c := s.stream(id)
				s.event("/a", "1")
				equal(t, "event", c.event(), "1")
				heldFor(t, 0, func() { equal(t, "events", len(s.post("["+poll(id)+"]").events()), 0) })
				s.event("/a", "2")
				equal(t, "event, on the same stream", c.event(), "2")
				ok(t, s.post(heartbeat(id, `"c3"`)).with(t, `"c3"`))
			})
		})
	}
	t.Run("nor do the first of the session and the next", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.handshake()
			c := s.stream(id)
			heldFor(t, 0, func() { s.post(connect(id, `"1"`)) })
			heldFor(t, 0, func() { s.post(connect(id, `"2"`)) })
			ok(t, s.post(subscribe(id, `"3"`, `"/a"`)).with(t, `"3"`))
			s.event("/a", "1")
			equal(t, "event", c.event(), "1")
		})
	})
}

// Who has left a socket or stream gets what there is with a poll: with the second at the latest, for no client sends two at a time.
func TestOvertaken_a_client_that_has_gone_back_to_polls_is_served_by_them(t *testing.T) {
	t.Run("from a socket without a connect", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			c := s.socket()
			ok(t, c.ask(publish(id, `"c1"`, "/b", "1")))
			heldFor(t, 0, func() { s.post(connect(id, `"c2"`)) })
			heldFor(t, holdTime, func() { s.post(connect(id, `"c3"`)) })
			equal(t, "the socket's end", c.closeCode(), websocket.CloseNormalClosure)
		})
	})
	t.Run("from a socket with one", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			c := s.socket()
			ok(t, c.ask(connect(id, `"c1"`)))
			heldFor(t, holdTime, func() { s.post(connect(id, `"c2"`)) })
			equal(t, "the socket's end", c.closeCode(), websocket.CloseNormalClosure)
		})
	})
	t.Run("from a stream without a connect", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			c := s.stream(id)
			heldFor(t, 0, func() { s.post(connect(id, `"c1"`)) })
			heldFor(t, holdTime, func() { s.post(connect(id, `"c2"`)) })
			c.end()
		})
	})
	t.Run("from a stream with one", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			c := s.stream(id)
			s.post(heartbeat(id, `"c1"`))
			heldFor(t, holdTime, func() { s.post(connect(id, `"c2"`)) })
			c.end()
			synctest.Wait()
			equal(t, "streams", s.h.Stats().Streams, 0)
		})
	})
}
