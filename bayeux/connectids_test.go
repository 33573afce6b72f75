package bayeux

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// Whatever a client that counts gives up, and whenever that is read, it is seen to be late, and nothing else is.
func TestConnectIDs_of_a_client_that_counts(t *testing.T) {
	type sent struct {
		id   uint64
		read int // in which step
	}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		id, c := 1+r.Uint64N(40), connectIDs{lates: latesAtFirst}
		equal(t, "the first", c.note(id), standing{})
		newest := id
		read := func(id uint64) {
			got, want := c.note(id), standing{late: id < newest, repeated: id == newest && c.lowest < newest}
			if got.sure = false; got != want {
				t.Fatalf("connect %d of client %d, after %d: got %+v, want %+v", id, seed, newest, got, want)
			}
			newest = max(newest, id)
		}
		var givenUp []sent
		for step := range 400 {
			givenUp = slices.DeleteFunc(givenUp, func(s sent) bool {
				if s.read > step {
					return false
				}
				read(s.id)
				return true
			})
			again := r.IntN(4) == 0 // as Faye's client does when it has given one up; the others go on
			if !again {
				id += 1 + r.Uint64N(3)
			}
			if len(givenUp) < latesAtFirst && r.IntN(3) == 0 {
				givenUp = append(givenUp, sent{id, step + r.IntN(200)})
			} else {
				read(id)
			}
		}
	}
}

// Whoever's ids mean nothing is not taken for late for ever.
func TestConnectIDs_of_a_client_that_does_not_count(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		c, lates, inARow := connectIDs{lates: latesAtFirst}, 0, 0
		const connects = 400
		pool := 1 + r.Uint64N([]uint64{1, 2, 3, 10, 1e6}[r.IntN(5)])
		for range connects {
			if !c.note(r.Uint64N(pool + 1)).late {
				inARow = 0
				continue
			}
			lates++
			if inARow++; inARow > mostLates {
				t.Fatalf("client %d: %d in a row were taken for late", seed, inARow)
			}
		}
		if pool == 1 && lates > 0 || lates > (connects+latesAtFirst)/2 {
			t.Fatalf("client %d, of %d ids: %d of %d connects were taken for late", seed, pool, lates, connects)
		}
	}
}

// A poll that was given up can be read behind the connects of the socket, or stream, that came in its place.
func TestReceipt_a_poll_that_is_read_late_takes_nothing_from_a_socket(t *testing.T) {
	late := map[string]func(id, number string) string{
		"a poll":             connect,
		"CometD's at once":   connectNow,
		"Faye's with others": func(id, number string) string { return connectNow(id, number) + "," + publish(id, `"d"`, "/b", "1") },
	}
	for name, late := range late {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
				c := s.socket()
				c.ask(connect(id, `"c4"`))
				c.send("[" + connect(id, `"c5"`) + "]")
				synctest.Wait()
				for _, number := range []string{`"c3"`, `"c5"`, `"c2"`} { // given up; one was sent again on the socket
					s.event("/a", number)
					heldFor(t, 0, func() { equal(t, "events of the late", len(s.post("["+late(id, number)+"]").events()), 0) })
					equal(t, "event", c.next().Get("data").Raw, number)
				}
				ok(t, c.next()) // the socket's connect was held all the time
				heldFor(t, holdTime, func() { ok(t, c.ask(connect(id, `"c6"`))) })
			})
		})
	}
	t.Run("a stream", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
			stream := s.stream(id)
			s.post(heartbeat(id, `"c4"`))
			for _, number := range []string{`"c3"`, `"c2"`} {
				heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(connect(id, number)).events()), 0) })
				s.event("/a", number)
				equal(t, "event", stream.event(), number)
			}
		})
	})
}

// While a client gets no answer it gives up one connect after the other; they may all be read behind the last, in any order.
func TestReceipt_several_connects_that_are_late_take_nothing(t *testing.T) {
	for _, c := range []struct {
		name string
		late []string
		how  func(id, number string) string
		want string // of the next
	}{
		{"in order", []string{`"c2"`, `"c3"`}, connect, "2"},
		{"in the other order", []string{`"c3"`, `"c2"`}, connect, "2"},
		{"as CometD has them", []string{`"c2"`, `"c3"`}, connectNow, "1,2"}, // they say that something was lost
		{"as CometD has them, in the other order", []string{`"c3"`, `"c2"`}, connectNow, "1,2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
				s.event("/a", "1")
				equal(t, "events", strings.Join(s.post(connectNow(id, `"c4"`)).events(), ","), "1")
				s.event("/a", "2")
				for _, number := range c.late {
					heldFor(t, 0, func() { equal(t, "events of the late", len(s.post(c.how(id, number)).events()), 0) })
				}
				equal(t, "events of the next", strings.Join(s.post(connect(id, `"c5"`)).events(), ","), c.want)
			})
		})
	}
}

// What is read late does not show that anything has arrived.
func TestReceipt_a_connect_that_is_late_confirms_nothing(t *testing.T) {
	for name, late := range map[string]func(t *testing.T, s *server, id string){
		"on a socket": func(t *testing.T, s *server, id string) {
			c := s.socket()
			c.send("[" + connect(id, `"c2"`) + "]")
			synctest.Wait()
			c.ws.NetConn().Close()
			synctest.Wait()
		},
		"of a poll": func(t *testing.T, s *server, id string) { s.post(connect(id, `"c2"`)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				heldFor(t, holdTime, func() { s.post(connect(id, `"c1"`)) })
				s.event("/a", "1")
				equal(t, "events", strings.Join(s.post(connect(id, `"c3"`)).events(), ","), "1") // which are lost
				late(t, s, id)
				got := s.post(connect(id, `"c3"`)).events()
				got = append(got, s.post(connect(id, `"c4"`)).events()...)
				equal(t, "events", strings.Join(got, ","), "1")
			})
		})
	}
}

// A client may count anew, as a page does that is loaded again, or number the connects of each connection by themselves. It gets some empty answers.
func TestReceipt_a_client_that_counts_anew_is_believed_in_the_end(t *testing.T) {
	for name, before := range map[string]func(s *server, id string, number func(int) string){
		"after polls": func(s *server, id string, number func(int) string) {
			for n := range 30 {
				s.post(connectNow(id, number(n)))
			}
		},
		"after a socket": func(s *server, id string, number func(int) string) {
			c := s.socket()
			for n := range 30 {
				c.ask(connectNow(id, number(n)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				number := func(n int) string { return strconv.Quote(strconv.FormatInt(0xd*36+int64(n), 36)) } // d0 and so on
				id := s.connected(`"/a"`)
				before(s, id, number)
				heldFor(t, 0, func() {
					for n := range mostDoubts {
						equal(t, "events", len(s.post(connect(id, number(n))).events()), 0)
					}
				})
				s.event("/a", "1")
				equal(t, "event", strings.Join(s.post(connect(id, number(mostDoubts))).events(), ","), "1")
				heldFor(t, holdTime, func() { s.post(connect(id, number(mostDoubts+1))) })
			})
		})
	}
	bubble(t, func(t *testing.T, s *server) { // at once, if it begins below where it began
		id := s.connected(`"/a"`)
		for _, number := range []string{`"d1"`, `"d2"`, `"d3"`} {
			s.post(connectNow(id, number))
		}
		s.event("/a", "1")
		equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1")
	})
}

// Who has one id for sockets and another for polls, or counts on one of the two only, gets what there is on whichever it uses: nothing waits for a
// socket that it has left.
func TestReceipt_ids_of_each_transport(t *testing.T) {
	for name, ids := range map[string]func(n int) (poll, socket string){
		"one of each, the socket's higher": func(int) (string, string) { return `"p"`, `"w"` },
		"one of each, the poll's higher":   func(int) (string, string) { return `"w"`, `"p"` },
		"counted on polls":                 func(n int) (string, string) { return strconv.Itoa(n), `"w"` },
		"counted on sockets":               func(n int) (string, string) { return `"w"`, strconv.Itoa(n) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				id := s.connected(`"/a"`)
				for n := range 100 {
					poll, socket := ids(n + 1)
					c := s.socket()
					c.send("[" + connect(id, socket) + "]")
					synctest.Wait() // it is known before the poll is
					s.event("/a", strconv.Itoa(n))
					for c.next().Get("data").Raw != strconv.Itoa(n) { // behind the reply, and what comes again
					}
					s.post(connectNow(id, poll))
					synctest.Wait()
					equal(t, "sockets", s.h.Stats().Sockets, 0)
				}
			})
		})
	}
}
