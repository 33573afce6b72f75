package bayeux

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
)

// pings opens a socket that counts what it is asked, and answers if answer is true.
func (s *server) pings(answer bool) (*wsClient, *atomic.Int64) {
	s.t.Helper()
	var n atomic.Int64
	c, _, err := s.upgrade("", nil, func(_ *websocket.Dialer, ws *websocket.Conn) {
		if ws == nil {
			return
		}
		ws.SetPingHandler(func(payload string) error {
			n.Add(1)
			if answer {
				return ws.WriteControl(websocket.PongMessage, []byte(payload), time.Time{})
			}
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c, &n
}

// kept is how many events of a session are unconfirmed.
func (s *server) kept(id string) int {
	synctest.Wait()
	session := s.h.session(id)
	session.mu.Lock()
	defer session.mu.Unlock()
	return session.sent.len()
}

func TestReceipt_a_pong_proves_what_was_sent_before_the_ping(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, pings := s.pings(true)
		id := c.connected(`"/a"`)
		for n := range 100 {
			s.event("/a", strconv.Itoa(n))
		}
		equal(t, "kept", s.kept(id), 100)
		time.Sleep(900 * time.Millisecond)
		equal(t, "asked too early", pings.Load(), 0)
		time.Sleep(200 * time.Millisecond)
		equal(t, "kept after the pong", s.kept(id), 0)
		equal(t, "asked once for all", pings.Load(), 1)
		time.Sleep(20 * time.Second)
		equal(t, "asked without an event", pings.Load(), 1)
		session := s.h.session(id)
		if session.sent.tail != nil || session.sent.latest[0] != nil || session.sent.size != 0 {
			t.Error("an idle session keeps something")
		}
		// Proven is not sent again.
		c.ws.NetConn().Close()
		synctest.Wait()
		s.event("/a", `"new"`)
		again := s.socket()
		equal(t, "event", again.then("["+connect(id, `"x"`)+"]").Get("data").Str, "new")
		equal(t, "reply", again.next().Get("id").Str, "x")
	})
}

func TestReceipt_without_a_pong_events_come_again_on_the_next_endpoint(t *testing.T) {
	next := map[string]func(s *server, id string) []string{
		"socket": func(s *server, id string) (data []string) {
			c := s.socket()
			c.send("[" + connect(id, `"x"`) + "]")
			for {
				m := c.next()
				if m.Get("id").Exists() {
					return data
				}
				data = append(data, m.Get("data").Raw)
			}
		},
		"poll": func(s *server, id string) []string { return s.post(connect(id, `"x"`)).events() },
		"stream": func(s *server, id string) (data []string) {
			c := s.stream(id)
			for range 3 {
				data = append(data, c.event())
			}
			return data
		},
	}
	for name, events := range next {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c, _ := s.pings(false)
				id := c.connected(`"/a"`)
				s.event("/a", "1")
				s.event("/a", "2")
				synctest.Wait()
				equal(t, "event", c.next().Get("data").Raw, "1")
				c.ws.NetConn().Close()
				synctest.Wait()
				s.event("/a", "3")
				equal(t, "events", strings.Join(events(s, id), ","), "1,2,3")
				equal(t, "returned", s.h.Stats().Returned, 2)
			})
			// And when the socket is still there, as far as this side knows.
			bubble(t, func(t *testing.T, s *server) {
				c, _ := s.pings(false)
				id := c.connected(`"/a"`)
				for n := range 3 {
					s.event("/a", strconv.Itoa(n+1))
				}
				synctest.Wait()
				equal(t, "events", strings.Join(events(s, id), ","), "1,2,3")
			})
		})
	}
}

func TestReceipt_a_socket_that_does_not_answer_is_closed(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, _ := s.pings(false)
		id := c.connected(`"/a"`)
		s.event("/a", "1")
		time.Sleep(10500 * time.Millisecond)
		equal(t, "sockets within the patience", s.h.Stats().Sockets, 1)
		time.Sleep(700 * time.Millisecond)
		equal(t, "sockets after it", s.h.Stats().Sockets, 0)
		equal(t, "refused", s.h.Stats().Refused[RefusedSilent], 1)
		equal(t, "events", strings.Join(s.post(connect(id, `"x"`)).events(), ","), "1")
	}, func(o *Options, _ *broker.Options) { o.MaxInterval = time.Minute })
}

// A pong that answers nothing, or was made up, proves nothing.
func TestReceipt_other_pongs_prove_nothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, _ := s.pings(false)
		id := c.connected(`"/a"`)
		pong := func(payload string) {
			if err := c.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		s.event("/a", "1")
		equal(t, "event", c.next().Get("data").Raw, "1")
		for _, payload := range []string{"", "0", "1", "x"} { // before there was a ping
			pong(payload)
		}
		equal(t, "kept", s.kept(id), 1)
		time.Sleep(1100 * time.Millisecond)
		s.event("/a", "2") // behind the ping
		for _, payload := range []string{"", "0", "2", "01", "+1", "18446744073709551617"} {
			pong(payload)
		}
		equal(t, "kept", s.kept(id), 2)
		pong("1")
		equal(t, "kept", s.kept(id), 1)
		pong("1")
		equal(t, "kept", s.kept(id), 1)
		time.Sleep(1100 * time.Millisecond)
		pong("2")
		equal(t, "kept", s.kept(id), 0)
	})
}

func TestReceipt_half_of_the_bound_is_asked_after_at_once(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, pings := s.pings(true)
		id := c.connected(`"/a"`)
		for n := range 100 {
			for range 9 {
				s.event("/a", strconv.Itoa(n))
			}
			synctest.Wait()
		}
		equal(t, "time", time.Since(s.h.began) < time.Second, true)
		if n := pings.Load(); n < 40 || n > 100 {
			t.Errorf("%d pings for 900 events", n)
		}
		if n := s.kept(id); n > 10 {
			t.Errorf("%d are kept", n)
		}
		equal(t, "assumed", s.h.Stats().Assumed[AssumedBound], 0)
	}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 20 })
}

func TestReceipt_beyond_the_bound_the_oldest_is_taken_for_received(t *testing.T) {
	for name, bound := range map[string]func(*Options, *broker.Options){
		"messages": func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 10 },
		"bytes": func(o *Options, _ *broker.Options) {
			o.MaxUnconfirmedBytes = 1000
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				c, _ := s.pings(false)
				id := c.connected(`"/a"`)
				for n := 10; n < 35; n++ {
					s.event("/a", strconv.Itoa(n))
				}
				kept := s.kept(id)
				if name == "messages" && kept != 10 || kept < 2 || kept > 20 || name == "bytes" && s.h.session(id).sent.size > 1000 {
					t.Errorf("%d are kept", kept)
				}
				equal(t, "assumed", s.h.Stats().Assumed[AssumedBound], uint64(25-kept))
				events := s.post(connect(id, `"x"`)).events()
				equal(t, "events", len(events), kept)
				equal(t, "the last", events[kept-1], "34")
			}, bound)
		})
	}
}

func TestReceipt_a_connect_proves_what_came_before_the_last_connect_reply(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, _ := s.pings(false)
		id := c.connected(`"/a"`)
		s.event("/a", "1")
		equal(t, "event", c.next().Get("data").Raw, "1")
		equal(t, "reply", c.next().Get("id").Str, "c1") // after its time
		s.event("/a", "2")
		equal(t, "event", c.next().Get("data").Raw, "2")
		equal(t, "kept", s.kept(id), 2)
		c.send("[" + connect(id, `"c2"`) + "]")
		equal(t, "kept", s.kept(id), 1)
	})
}

// What each sort of client does when the answer to a poll was lost, and when it was not.
func TestReceipt_of_polls(t *testing.T) {
	for _, c := range []struct {
		name    string
		connect []func(id string) string // the second is answered with event 1
		want    string                   // the third is answered with, after event 2: if it shows that 1 was lost, with that too; if it is the second again, with no more
	}{
		{"Faye sends the same again", []func(string) string{numbered("a"), numbered("b"), numbered("b")}, "1"},
		{"Faye goes on", []func(string) string{numbered("a"), numbered("b"), numbered("c")}, "2"},
		{"Faye has something to send along", []func(string) string{numbered("a"), numbered("b"), func(id string) string {
			return connectNow(id, `"c"`) + "," + publish(id, `"d"`, "/b", "1")
		}}, "2"},
		{"Faye sends the same again, and something along", []func(string) string{numbered("a"), numbered("b"), func(id string) string {
			return connectNow(id, `"b"`) + "," + publish(id, `"d"`, "/b", "1")
		}}, "1"},
		{"CometD asks for an answer at once", []func(string) string{atOnce("a"), numbered("b"), atOnce("c")}, "1,2"},
		{"CometD goes on", []func(string) string{atOnce("a"), numbered("b"), numbered("c")}, "2"},
		{"a client that never waits", []func(string) string{atOnce("a"), atOnce("b"), atOnce("c")}, "2"},
		{"a client without ids", []func(string) string{numbered(""), numbered(""), numbered("")}, "2"},
		{"a client that gives all the same id", []func(string) string{numbered("x"), numbered("x"), numbered("x")}, "2"},
		{"a client that gives one id to the first and another to the rest", []func(string) string{numbered("b"), numbered("a"), numbered("a")}, "2"},
		{"ids that are no numbers", []func(string) string{numbered("a-"), numbered("b-"), numbered("b-")}, "2"},
		{"by a number instead of a string", []func(string) string{numbered("a"), numbered("b"), func(id string) string { return connect(id, "22") }}, "2"},
		{"by JSONP", []func(string) string{numbered("a"), numbered("b"), func(id string) string {
			return msg("/meta/connect", id, `"b"`, `"connectionType":"callback-polling"`)
		}}, "1"},
		{"on a socket", []func(string) string{numbered("a"), numbered("b"), func(id string) string { return "socket" + connect(id, `"b"`) }}, "1,2"},
		{"a heartbeat goes on", []func(string) string{numbered("a"), numbered("b"), func(id string) string { return heartbeat(id, `"c"`) }}, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.handshake()
				ok(t, s.post(subscribe(id, `"s"`, `"/a"`)).with(t, `"s"`))
				s.post("[" + c.connect[0](id) + "]")
				s.event("/a", "1")
				equal(t, "events", strings.Join(s.post("["+c.connect[1](id)+"]").events(), ","), "1")
				s.event("/a", "2")
				text, onSocket := strings.CutPrefix(c.connect[2](id), "socket")
				switch {
				case onSocket:
					ws := s.socket()
					ws.send(text)
					equal(t, "events", ws.next().Get("data").Raw+","+ws.next().Get("data").Raw, c.want)
				case strings.Contains(text, "callback-polling"):
					equal(t, "events", strings.Join(s.call(text).events(), ","), c.want)
				case strings.Contains(text, "eventsource"):
					s.post("[" + text + "]")
					equal(t, "kept", s.kept(id), 0)
				default:
					equal(t, "events", strings.Join(s.post("["+text+"]").events(), ","), c.want)
				}
				if c.want == "1" {
					equal(t, "events of the next", strings.Join(s.post(connect(id, `"c"`)).events(), ","), "2")
				}
			})
		})
	}
}

// A request that the client has given up can be read behind the one that it waits for. What that is answered with goes nowhere, and the client's next
// connect must not be taken to confirm it.
func TestReceipt_a_connect_that_is_read_late_takes_nothing_along(t *testing.T) {
	for _, c := range []struct {
		name    string
		waitFor func(t *testing.T, s *server, id string) // the connect c1 gets its answer, and the same comes late
		want    string                                   // the events of the next
	}{
		{"when the other has been answered with events", func(t *testing.T, s *server, id string) {
			s.event("/a", "1")
			equal(t, "events", strings.Join(s.post(connect(id, `"c1"`)).events(), ","), "1")
			s.event("/a", "2")
			heldFor(t, 0, func() { equal(t, "events of the late", strings.Join(s.post(connect(id, `"c1"`)).events(), ","), "1") })
		}, "2"},
		{"when the other has been answered with none", func(t *testing.T, s *server, id string) {
			heldFor(t, holdTime, func() { equal(t, "events", len(s.post(connect(id, `"c1"`)).events()), 0) })
			s.event("/a", "1")
			s.event("/a", "2")
			heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(connect(id, `"c1"`)).events()), 0) })
		}, "1,2"},
		{"while the other is held", func(t *testing.T, s *server, id string) {
			w := s.wire()
			w.send(rawPost(connect(id, `"c1"`)))
			synctest.Wait()
			heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(connect(id, `"c1"`)).events()), 0) })
			s.event("/a", "1")
			s.event("/a", "2")
			equal(t, "events", len(w.messages().events()), 0)
		}, "1,2"},
		{"when the client has gone on", func(t *testing.T, s *server, id string) {
			heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
			s.event("/a", "1")
			equal(t, "events", strings.Join(s.post(connect(id, `"c2"`)).events(), ","), "1")
			s.event("/a", "2")
			heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(connect(id, `"c1"`)).events()), 0) })
		}, "2"},
		{"when the client has gone on and waits", func(t *testing.T, s *server, id string) {
			heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
			w := s.wire()
			w.send(rawPost(connect(id, `"c2"`)))
			synctest.Wait()
			heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(connect(id, `"c1"`)).events()), 0) })
			s.event("/a", "1")
			equal(t, "events", len(w.messages().events()), 0)
		}, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				c.waitFor(t, s, id)
				equal(t, "events of the next", strings.Join(s.post(connect(id, `"c3"`)).events(), ","), c.want)
				heldFor(t, holdTime, func() { equal(t, "events after that", len(s.post(connect(id, `"c4"`)).events()), 0) })
			})
		})
	}
}

// Whoever says too often that he got no answer is believed no more, and waits like everybody.
func TestReceipt_a_client_that_repeats_itself_for_ever_is_held_in_the_end(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
		heldFor(t, 0, func() {
			for range mostDoubts {
				s.post(connect(id, `"c1"`))
			}
		})
		heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
	})
}

func numbered(n string) func(string) string {
	return func(id string) string {
		if n != "" {
			n = strconv.Quote(strings.Trim(n, `"`))
		}
		return connect(id, n)
	}
}

func atOnce(n string) func(string) string {
	return func(id string) string { return connectNow(id, strconv.Quote(n)) }
}

// A poll's answer comes as often as it is lost, and at once.
func TestReceipt_a_poll_that_is_lost_again_and_again(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		s.event("/a", "1")
		heldFor(t, 0, func() {
			for range 5 {
				equal(t, "events", strings.Join(s.post(connect(id, `"c1"`)).events(), ","), "1")
			}
		})
		heldFor(t, holdTime, func() { equal(t, "events", len(s.post(connect(id, `"c2"`)).events()), 0) })
		equal(t, "kept", s.kept(id), 0)
	})
}

func TestReceipt_more_than_is_kept_is_sent_in_more_answers(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		for n := range 25 {
			s.event("/a", strconv.Itoa(n))
		}
		var got []string
		heldFor(t, 0, func() {
			for n := range 3 {
				got = append(got, s.post(connect(id, strconv.Itoa(n))).events()...)
			}
		})
		equal(t, "events", len(got), 25)
		equal(t, "sorted", slices.IsSortedFunc(got, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return x - y }), true)
	}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 10 })
}

func TestReceipt_by_Last_Event_ID(t *testing.T) {
	for _, c := range []struct{ name, lastID, want string }{
		{"all", "3", "4"},
		{"some", "1", "2,3,4"},
		{"none", "0", "1,2,3,4"},
		{"no header", "", "1,2,3,4"},
		{"an id that was never given", "5", "1,2,3,4"},
		{"far beyond", "18446744073709551615", "1,2,3,4"},
		{"farther", "18446744073709551616", "1,2,3,4"},
		{"negative", "-1", "1,2,3,4"},
		{"no number", "3x", "1,2,3,4"},
		{"long", strings.Repeat("3", 4000), "1,2,3,4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				stream := s.stream(id)
				for n := 1; n < 4; n++ {
					s.event("/a", strconv.Itoa(n))
					equal(t, "event", stream.event(), strconv.Itoa(n))
					equal(t, "its id", stream.last, strconv.Itoa(n))
				}
				stream.cut()
				synctest.Wait()
				ok(t, s.post(heartbeat(id, `"h"`)).with(t, `"h"`)) // proves nothing
				s.event("/a", "4")
				again := s.streamAt("/"+id, map[string]string{"Last-Event-ID": c.lastID})
				var got []string
				for range strings.Count(c.want, ",") + 1 {
					got = append(got, again.event())
				}
				equal(t, "events", strings.Join(got, ","), c.want)
				again.silent()
				// While it is open another one is opened: the ids go on.
				s.event("/a", "5")
				equal(t, "event", again.event(), "5")
				third := s.streamAt("/"+id, map[string]string{"Last-Event-ID": again.last})
				synctest.Wait()
				s.event("/a", "6")
				equal(t, "event", third.event(), "6")
			})
		})
	}
}

func TestReceipt_on_a_stream_is_assumed_with_age(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		stream := s.stream(id)
		synctest.Wait()
		s.event("/a", "1")
		stream.event()
		later := func(d time.Duration) {
			for range int(d / holdTime) {
				time.Sleep(holdTime)
				s.post(heartbeat(id, `"1"`))
			}
		}
		later(keptOnStream)
		equal(t, "kept", s.kept(id), 1)
		later(2*keptOnStream + 30*time.Second)
		equal(t, "kept", s.kept(id), 0)
		equal(t, "assumed", s.h.Stats().Assumed[AssumedAge], 1)
	})
}

func TestReceipt_nothing_is_kept_when_switched_off(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, pings := s.pings(true)
		id := c.connected(`"/a"`)
		s.event("/a", "1")
		equal(t, "kept", s.kept(id), 0)
		time.Sleep(5 * time.Second)
		equal(t, "asked", pings.Load(), 0)
		stream := s.stream(id)
		synctest.Wait()
		s.event("/a", "2")
		equal(t, "event", stream.event(), "2")
		equal(t, "id", stream.last, "")
		s.event("/a", "3")
		stream.event()
		stream.cut()
		synctest.Wait() // until the server knows; what it sends before is lost
		s.event("/a", "4")
		synctest.Wait()
		equal(t, "events", strings.Join(s.post(connect(id, `"7"`)).events(), ","), "4")
		equal(t, "events", len(s.post(connect(id, `"7"`)).events()), 0)
	}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = -1 })
}

func TestReceipt_the_end_of_a_session_frees_what_is_kept(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		c, _ := s.pings(false)
		id := c.connected(`"/a"`)
		session := s.h.session(id)
		s.event("/a", "1")
		equal(t, "event", c.next().Get("data").Raw, "1")
		c.send(msg("/meta/disconnect", id, `"d"`, ""))
		synctest.Wait()
		equal(t, "kept", session.sent.len(), 0)
		equal(t, "lost, of what it had", s.b.Stats().Lost[broker.LostClosed], 0)

		// What comes back from a dead socket is lost when nobody fetches it.
		c, _ = s.pings(false)
		c.connected(`"/a"`)
		s.event("/a", "1")
		synctest.Wait()
		c.ws.NetConn().Close()
		time.Sleep(grace + time.Second)
		equal(t, "lost", s.b.Stats().Lost[broker.LostExpired], 1)
	})
}

// Whatever is pushed, popped and returned, it is a queue.
func TestSentList_is_a_queue(t *testing.T) {
	var l sentList
	var want []*broker.Message
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		switch r.IntN(9) {
		case 0, 1, 2:
			var ds []broker.Delivery
			batch := &outbox.Batch{}
			for range r.IntN(50) {
				m := &broker.Message{Channel: "/a", Data: []byte(strconv.Itoa(len(want)))}
				ds = append(ds, broker.Delivery{Message: m})
				batch.Messages = append(batch.Messages, m)
				batch.Size += m.Size()
				want = append(want, m)
			}
			if len(ds) < 2 || r.IntN(2) == 0 {
				batch = nil
			}
			l.push(ds, batch)
		case 3, 4:
			n := r.IntN(60)
			equal(t, "popped", l.popTo(l.first+uint64(n)), min(n, len(want)))
			want = want[min(n, len(want)):]
		case 5, 6, 7:
			for range r.IntN(9) {
				m := &broker.Message{Channel: "/a", Data: []byte(strconv.Itoa(len(want)))}
				l.pushOnly(m)
				want = append(want, m)
			}
			if len(want) > 0 && r.IntN(3) == 0 {
				equal(t, "message", l.pop(), want[0])
				want = want[1:]
			}
		case 8:
			if r.IntN(10) == 0 {
				for i, d := range l.popAll() {
					equal(t, "message", d.Message, want[i])
				}
				want = nil
			}
		}
		size := 0
		for _, m := range want {
			size += m.Size()
		}
		if l.len() != len(want) || l.size != size {
			t.Fatalf("%d of %d bytes, want %d, %d", l.len(), l.size, len(want), size)
		}
		if len(want) == 0 && (l.tail != nil || l.alone != 0 || l.latest != [3]*broker.Message{}) {
			t.Fatal("an empty list keeps something")
		}
	}
}

// A client may have given up the same connect several times. When all of them are read after its next one, none takes what that one is to have.
func TestReceipt_connects_that_are_late_take_nothing_however_often_they_come(t *testing.T) {
	s := newServer(t, longLived)
	id := s.connected(`"/a"`)
	for i := range mostDoubts {
		s.event("/a", fmt.Sprint(i))
		equal(t, "event", strings.Join(s.post(connect(id, fmt.Sprintf(`"d%d"`, i))).events(), ","), fmt.Sprint(i))
	}
	s.event("/a", "8")
	for range mostDoubts {
		equal(t, "events of one that is late", len(s.post(connect(id, `"d2"`)).events()), 0)
	}
	equal(t, "event", strings.Join(s.post(connect(id, `"e"`)).events(), ","), "8")
}

// What the poll before takes at the moment at which the client says that it has given it up is given up as well.
func TestReceipt_a_poll_that_is_answered_while_it_is_repeated(t *testing.T) {
	for name, again := range map[string]func(id string) string{
		"the same again":    func(id string) string { return connect(id, `"3"`) },
		"one at once":       func(id string) string { return connectNow(id, `"4"`) },
		"one at once, late": func(id string) string { return connectNow(id, `"2"`) }, // which meant the one before it
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, longLived)
			id := s.connected(`"/a"`)
			for _, number := range []string{`"1"`, `"2"`} {
				s.event("/a", "0")
				s.post(connect(id, number))
			}
			w := s.wire()
			w.send(rawPost(connect(id, `"3"`)))
			session := s.h.session(id)
			eventually(t, func() bool {
				session.mu.Lock()
				defer session.mu.Unlock()
				return session.endpoint != nil
			})
			x := s.h.newExchange(present, &peer{}, nil)
			defer x.done()
			var err error
			if x.messages, err = parseJSON(nil, again(id), 1); err != nil {
				t.Fatal(err)
			}
			heard := x.heardConnect(session, &x.messages[0])
			s.event("/a", `"late"`)
			equal(t, "event", strings.Join(w.messages().events(), ","), `"late"`) // which nobody may have read
			x.connectPoll(session, &x.messages[0], 0, heard)
			p := &x.waiting[0]
			equal(t, "answered", p.look(present), true)
			if strings.HasSuffix(name, "late") {
				equal(t, "events", len(p.events), 0)
			} else {
				equal(t, "events", len(p.events), 1)
			}
			equal(t, "next", len(s.post(connectNow(id, `"5"`)).events()), 1) // it has failed again
		})
	}
}
