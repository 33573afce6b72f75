package bayeux

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
)

// nothing is a Source that never has anything.
type nothing struct{}

func (nothing) Prefetch() {}

func (nothing) Fill(*outbox.Scratch) []byte { return nil }

// filled gives a socket that only the test fills, and binds the sessions of these ids to it.
func (s *server) filled(ids ...string) *socket {
	s.t.Helper()
	ours, theirs := net.Pipe()
	sock := &socket{h: s.h}
	sock.conn = s.h.outbox.Attach(ours, nothing{})
	sock.timer = s.h.wheel.AfterFunc(time.Hour, func() {})
	s.t.Cleanup(func() {
		sock.timer.Stop()
		_ = sock.conn.Close()
		_ = theirs.Close()
	})
	for _, id := range ids {
		if !s.h.session(id).bind(sock) {
			s.t.Fatal("the session is over")
		}
	}
	return sock
}

// A Fill that says that it gave all is not called again, so what it left behind would wait for the next event.
func TestFill_is_dry_when_nothing_is_left(t *testing.T) {
	fill := func(t *testing.T, sock *socket, begin string, dry bool) {
		t.Helper()
		var sc outbox.Scratch
		if b := string(sock.Fill(&sc)); !strings.Contains(b, begin) || sc.Dry != dry {
			t.Errorf("got %.40q, dry: %v; want %q, dry: %v", b, sc.Dry, begin, dry)
		}
	}
	t.Run("one_session", func(t *testing.T) {
		s := newServer(t)
		sock := s.filled(s.connected(`"/a"`))
		s.event("/a", `"one"`)
		fill(t, sock, `"one"`, true)
		s.event("/a", `"two"`)
		fill(t, sock, `"two"`, true)
	})
	t.Run("more_than_are_taken_at_a_time", func(t *testing.T) {
		s := newServer(t)
		sock := s.filled(s.connected(`"/a"`))
		for range drainAtOnce + 1 {
			s.event("/a", `"many"`)
		}
		fill(t, sock, `"many"`, false)
		fill(t, sock, `"many"`, true)
	})
	t.Run("two_sessions", func(t *testing.T) {
		s := newServer(t)
		sock := s.filled(s.connected(`"/a"`), s.connected(`"/b"`))
		s.event("/a", `"first"`)
		s.event("/b", `"second"`)
		fill(t, sock, `"first"`, false)
		fill(t, sock, `"second"`, false)
	})
	t.Run("a_question_that_is_too_large_to_go_along", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 2 })
		sock := s.filled(s.connected(`"/a"`))
		s.event("/a", `"`+strings.Repeat("x", largeWrite)+`"`)
		fill(t, sock, `"/a"`, false)
		fill(t, sock, "\x89", false)
	})
}

// Events of a session whose socket is closing are for its next endpoint.
func TestFill_of_a_closing_socket_gives_nothing(t *testing.T) {
	s := newServer(t)
	id := s.connected(`"/a"`)
	sock := s.filled(id)
	sock.shut(websocket.CloseNormalClosure, "")
	s.event("/a", `"late"`)
	if b := sock.Fill(new(outbox.Scratch)); len(b) > 0 {
		t.Errorf("filled %q", b)
	}
	equal(t, "for the next", strings.Join(s.post(connect(id, `"9"`)).events(), ","), `"late"`)
}
