package bayeux

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"waft/broker"
	"waft/broker/outbox/park"
)

// A poll that is like the one before is answered to the byte as it is when all of it is made anew, and counts the same, whatever it comes to; and what
// is in front of the handler is not asked about it.
func TestAlike_it_is_answered_as_any_other(t *testing.T) {
	for name, c := range map[string]struct {
		fields string // of the requests
		others int    // polls that are held elsewhere in the end
		set    func(*Options, *broker.Options)
		then   func(s *server, id string, poll func(id, number string))
	}{
		"held, and an event": {then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.event("/a", "1")
		}},
		"an event that was there": {then: func(s *server, id string, poll func(id, number string)) {
			s.event("/a", "1")
			poll(id, "3")
		}},
		"a page's, held": {fields: "Origin: " + page, then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.event("/a", "1")
		}},
		"a page's, and an event that was there": {fields: "Origin: " + page, then: func(s *server, id string, poll func(id, number string)) {
			s.event("/a", "1")
			poll(id, "3")
		}},
		"with a secret, held": {fields: "Cookie: a=b", then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.event("/a", "1")
		}},
		"with a long head, held": {fields: "X: " + strings.Repeat("x", 3*maxHead), then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.event("/a", "1")
		}},
		"the same again": {then: func(s *server, id string, poll func(id, number string)) { poll(id, "2") }},
		"a session that is not": {then: func(s *server, id string, poll func(id, number string)) {
			poll(strings.Repeat("X", len(id)), "3")
		}},
		"another session": {then: func(s *server, id string, poll func(id, number string)) {
			poll(s.connected(`"/a"`), "3")
			s.heldNow(1)
			s.event("/a", "3")
		}},
		"a session that has ended": {then: func(s *server, id string, poll func(id, number string)) {
			s.h.session(id).queue.Close(broker.ErrCredentialExpired)
			poll(id, "3")
		}},
		"a session that ends": {then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.h.session(id).queue.Close(broker.Errorf(broker.Closed, "out"))
		}},
		"a newer one elsewhere": {others: 1, then: func(s *server, id string, poll func(id, number string)) {
			poll(id, "3")
			s.heldNow(1)
			s.wire().send(rawPost(connect(id, `"4"`)))
			s.heldNow(1)
		}},
		"too many messages of the session": {
			set: func(o *Options, _ *broker.Options) { o.Limits.SessionMessages = 1 },
			then: func(s *server, id string, poll func(id, number string)) {
				for s.h.session(id).messages.Take(s.h.limits.Load().session, s.h.now(), 1) == 0 { //nolint:revive // until there are none left
				}
				poll(id, "3")
			},
		},
		"too many connections of the address": {others: 1, then: func(s *server, id string, poll func(id, number string)) {
			other := s.wire()
			other.send(rawPost(connect(s.connected(), `"1"`)))
			s.polling(1, 1)
			if err := s.h.SetLimits(Limits{AddressConnections: 1}); err != nil {
				s.t.Fatal(err)
			}
			poll(id, "3")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onLinux(t)
			var text [2]string
			var stats [2]Stats
			for i, pure := range []bool{true, false} {
				s := newServer(t, handedBack, longLived, func(o *Options, bo *broker.Options) {
					o.PureFront = pure
					if c.set != nil {
						c.set(o, bo)
					}
				})
				var asked atomic.Int64
				w := s.wireTo(s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked.Add(1)
					s.h.ServeHTTP(w, r)
				})}))
				poll := func(id, number string) {
					request := rawPost(connect(id, `"`+number+`"`))
					if c.fields != "" {
						request = []byte(strings.Replace(string(request), "\r\n", "\r\n"+c.fields+"\r\n", 1))
					}
					w.send(request)
				}
				id := s.connected(`"/a"`)
				for _, number := range []string{"1", "2"} { // from net/http, then known by its head
					poll(id, number)
					s.heldNow(1)
					s.event("/a", "0")
					w.raw()
					s.idleNow(1)
				}
				before := asked.Load()
				equal(t, "asked before", before, 2)
				c.then(s, id, poll)
				text[i] = w.raw()
				s.oneRests(c.others)
				stats[i] = s.h.Stats()
				stats[i].Sessions, stats[i].Lapsed = 0, 0 // one may be about to end
				equal(t, "asked", asked.Load()-before > 0, !pure || strings.HasPrefix(text[i], "HTTP/1.1 429"))
			}
			if text[0] != text[1] {
				t.Errorf("%s\ninstead of\n%s", text[0], text[1])
			}
			if !reflect.DeepEqual(stats[0], stats[1]) {
				t.Errorf("%+v\ninstead of\n%+v", stats[0], stats[1])
			}
		})
	}
}

// oneRests waits until one connection waits for a next request and so many others are held, which are all that their addresses have open.
func (s *server) oneRests(others int) {
	s.t.Helper()
	s.polling(others, 1)
	eventually(s.t, func() bool { return s.openNow() == others })
}

var random = regexp.MustCompile(`[A-Z2-7]{32}|Date: .*|Retry-After: .*|Content-Length: .*|"interval":[0-9]+`)

// raw is the next response as it came and as long as it said, but for the order of its fields and what is not the same each time.
func (w *wire) raw() string {
	w.t.Helper()
	var b strings.Builder
	var fields []string
	length := 0
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = w.r.ReadString('\n'); err != nil {
			w.t.Fatal(err)
		}
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(n))
		}
		fields = append(fields, line)
	}
	slices.Sort(fields[1 : len(fields)-1])
	b.WriteString(strings.Join(fields, ""))
	if _, err := io.CopyN(&b, w.r, int64(length)); err != nil {
		w.t.Fatal(err)
	}
	return random.ReplaceAllString(b.String(), "…")
}

// Whose head is another, if only in one letter of a secret, is asked about; and so is each that carries a token.
func TestAlike_a_head_that_differs(t *testing.T) {
	onLinux(t)
	for name, heads := range map[string][3]string{
		"the same":              {"Cookie: a=b", "Cookie: a=b", "Cookie: a=b"},
		"another secret":        {"Cookie: a=b", "Cookie: a=b", "Cookie: a=c"},
		"with a token":          {"Authorization: Bearer admin", "Authorization: Bearer admin", "Authorization: Bearer admin"},
		"no longer with fields": {"Cookie: a=b", "Cookie: a=b", "X: y"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived)
			var asked atomic.Int64
			w := s.wireTo(s.newWeb(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				s.h.ServeHTTP(w, r)
			})}))
			id := s.connected(`"/a"`)
			for i, fields := range heads {
				w.send([]byte(strings.Replace(string(rawPost(connect(id, `"1"`))), "\r\n", "\r\n"+fields+"\r\n", 1)))
				s.heldNow(1)
				s.event("/a", fmt.Sprint(i))
				equal(t, "event", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
				s.idleNow(1)
			}
			equal(t, "one was not asked about", asked.Load() == 2, name == "the same")
			equal(t, "its form is known", s.h.forms.last.Load() == 1, name == "the same")
		})
	}
}

// A body of another length is no poll like the last, whatever its head says of it.
func TestMark(t *testing.T) {
	head, body := "POST / HTTP/1.1\r\n\r\n", "[1,2]"
	m := markOf([]byte(head), len(body))
	for text, want := range map[string]bool{
		head + body: true, head + "{1:2}": true, head + "[1,]": false, head + "[1,22]": false, head: false, "": false,
		"post / HTTP/1.1\r\n\r\n" + body: false, head[:len(head)-1] + " " + body: false,
	} {
		equal(t, text, m.marks([]byte(text)), want)
	}
	equal(t, "nothing is like nothing", mark{}.marks(nil), false)
}

// After any other request it goes on: what was kept of the poll is still its own.
func TestAlike_after_other_requests(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	w := s.wire()
	id := s.connected(`"/a"`)
	poll := func(i int, origin string) {
		request := rawPost("[" + connect(id, `"1"`) + "]")
		if origin != "" {
			request = []byte(strings.Replace(string(request), "\r\n", "\r\nOrigin: "+origin+"\r\n", 1))
		}
		w.send(request)
		s.heldNow(1)
		s.event("/a", fmt.Sprint(i))
		res, body := w.next()
		equal(t, "event", strings.Contains(body, fmt.Sprintf(`"data":%d`, i)), true)
		equal(t, "allowed", res.header.Get("Access-Control-Allow-Origin"), origin)
		s.idleNow(1)
	}
	for i := range 20 {
		switch i % 4 {
		case 0, 1:
			poll(i, "")
		case 2:
			poll(i, page)
		case 3:
			w.send(rawPost(msg("/a", id, `"p"`, `"data":0`)))
			ok(t, w.messages().with(t, `"p"`))
			w.send(rawPost(connectNow(id, `"1"`)))
			w.messages()
			s.idleNow(1)
		}
	}
}

// A panic while such a poll is served ends its connection and nothing else.
func TestAlike_a_panic(t *testing.T) {
	onLinux(t)
	logged := make(chan string, 10)
	s := newServer(t, handedBack, longLived)
	w := s.wireTo(s.newWeb(&http.Server{Handler: s.h, ErrorLog: log.New(lines(logged), "", 0)}))
	id := s.connected(`"/a"`)
	for i := range 2 {
		w.send(rawPost(connect(id, `"1"`)))
		s.heldNow(1)
		s.event("/a", fmt.Sprint(i))
		w.messages()
		s.idleNow(1)
	}
	s.h.session(id).who.Store(nil)
	w.send(rawPost(connect(id, `"1"`)))
	w.ended()
	if line := <-logged; !strings.Contains(line, "panic serving "+w.nc.LocalAddr().String()) {
		t.Error(line)
	}
	s.h.session(id).who.Store(&anonymous)
	eventually(t, func() bool { return s.connections() == 0 && s.h.Stats().Polls == 0 })
}

// So does one when the poll counts already, be it answered at once as a session's first is, or ready to be held: it counts no more then, and
// its session has nobody whom its events would wait for.
func TestAlike_a_panic_while_it_is_answered(t *testing.T) {
	onLinux(t)
	for name, after := range map[string]func(s *server) (id string){
		"a session's first": func(s *server) string { return s.handshake() },
		"one for which something waits": func(s *server) string {
			id := s.connected(`"/b"`)
			s.event("/b", "1")
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			logged := make(chan string, 10)
			s := newServer(t, handedBack, longLived)
			w := s.wireTo(s.newWeb(&http.Server{Handler: s.h, ErrorLog: log.New(lines(logged), "", 0)}))
			first := s.connected(`"/a"`)
			w.send(rawPost(connect(first, `"1"`)))
			s.heldNow(1)
			s.event("/a", "0")
			w.messages()
			c := s.resting(w)
			id := after(s)
			m, _ := plainConnect(connect(id, `"1"`))
			s.h.enter(&c.caller, s.h.now())
			c.begins()
			c.kind = nil // of which the response is made
			a, ok := c.serveAlike(new(park.Worker), s.h.now(), &m)
			equal(t, "ok", ok, false)
			c.done(new(park.Worker), a, ok)
			w.ended()
			if line := <-logged; !strings.Contains(line, "panic serving ") {
				t.Error(line)
			}
			equal(t, "polls", s.h.Stats().Polls, 0)
			eventually(t, func() bool { return s.connections() == 0 && s.openNow() == 0 }) // the handler of another request may be about to leave
			session := s.h.session(id)
			session.mu.Lock()
			defer session.mu.Unlock()
			equal(t, "endpoint", session.endpoint, nil)
		})
	}
}

type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}
