package bayeux

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"waft/broker"
)

// Some clients send an empty line behind the body of a POST, and net/http's server passes over it (RFC 9112 §2.2), so a connection
// that was taken from it does, wherever it waits.
func TestHold_an_empty_line_behind_a_request_is_passed_over(t *testing.T) {
	line := []byte("\r\n")
	for _, c := range []struct {
		name  string
		alone bool // net/http is
		wire  func(*server) *wire
	}{
		{"net/http", true, (*server).wire},
		{"parked", false, (*server).wire},
		{"with a goroutine", false, func(s *server) *wire { return s.wireTo(s.newWrappedWeb(&http.Server{Handler: s.web.Handler})) }},
	} {
		for _, when := range []string{"with the request", "while it is held", "after the answer", "with the next"} {
			t.Run(c.name+"/"+when, func(t *testing.T) {
				s := newServer(t, longLived, func(o *Options, _ *broker.Options) { o.HoldInHandler = c.alone })
				id := s.connected(`"/a"`)
				w := c.wire(s)
				line := func(now string) []byte {
					if now == when {
						return line
					}
					return nil
				}
				for i := range 3 {
					first := line("with the next")
					if i == 0 { // of the connection: net/http alone has that, and does not pass over it
						first = nil
					}
					w.send(first, rawPost(connect(id, `"1"`)), line("with the request"))
					if c.alone {
						eventually(t, func() bool { return s.h.polls.Load() == 1 })
					} else {
						s.heldNow(1)
					}
					w.send(line("while it is held"))
					s.event("/a", fmt.Sprint(i))
					equal(t, "event", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
					w.send(line("after the answer"))
					w.send(line("with the next"), rawPost(publish(id, `"p"`, "/b", "1")), line("with the request"))
					ok(t, w.messages().with(t, `"p"`))
					w.send(line("after the answer"))
				}
				w.send(line("with the next"), other)
				_, body := w.next()
				equal(t, "other", body, "other")
			})
		}
	}
}
