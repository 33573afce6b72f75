package bayeux

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// 8.8, CometD's acknowledge extension.
var ackRows = []row{
	{96, "ack_is_agreed_on_and_counted", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			m := s.post(ackHandshake).with(t, `"h"`)
			equal(t, "ext of the handshake", m.Get("ext").Raw, `{"ack":true}`)
			id := m.Get("clientId").Str
			for i, c := range []string{connectNow(id, `"1"`), connectNow(id, `"2"`), connect(id, `"3"`)} {
				m := s.post(acking(c, strconv.Itoa(i))).with(t, fmt.Sprintf(`"%d"`, i+1))
				ok(t, m)
				equal(t, "ext of a connect", m.Get("ext").Raw, fmt.Sprintf(`{"ack":%d}`, i+1))
			}
			equal(t, "ext of another reply", s.post(subscribe(id, `"4"`, `"/a"`)).with(t, `"4"`).Get("ext").Exists(), false)
		})
	}},
	{96, "ack_on_a_socket_is_counted", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			m := c.ask(ackHandshake)
			equal(t, "ext of the handshake", m.Get("ext").Raw, `{"ack":true}`)
			id := m.Get("clientId").Str
			equal(t, "first", c.ask(acking(connectNow(id, `"1"`), "0")).Get("ext").Raw, `{"ack":1}`)
			for n := 2; n < 5; n++ { // empty ones count too
				heldFor(t, holdTime, func() {
					equal(t, "connect", c.ask(acking(connect(id, strconv.Itoa(n)), strconv.Itoa(n-1))).Get("ext.ack").Int(), int64(n))
				})
			}
		})
	}},
	{96, "ack_is_not_forced_on_anybody", func(t *testing.T) {
		for _, c := range []struct {
			ext  string
			want bool
		}{
			{`{"ack":true}`, true},
			{`{"ack":{"enabled":true}}`, true},
			{`{"ack":{"enabled":true,"batch":7}}`, true},
			{`{"ack":false}`, false},
			{`{"ack":{"enabled":false}}`, false},
			{`{"ack":{}}`, false},
			{`{"ack":1}`, false},
			{`{"ack":"true"}`, false},
			{`{"ack":null}`, false},
			{`{"ack":[true]}`, false},
			{`{"x":{"ack":true}}`, false},
			{`{"ack.enabled":true}`, false},
			{`["ack",true]`, false},
			{`{}`, false},
		} {
			s := newServer(t)
			m := s.post(strings.Replace(handshakeMessage, "{", `{"ext":`+c.ext+`,`, 1)).with(t, `"h"`)
			equal(t, c.ext, m.Get("ext").Exists(), c.want)
			reply := s.post(acking(connect(m.Get("clientId").Str, `"1"`), "0")).with(t, `"1"`)
			equal(t, "counted with "+c.ext, reply.Get("ext").Exists(), c.want)
		}
		for name, off := range map[string]func(*Options, *broker.Options){
			"switched off":    func(o *Options, _ *broker.Options) { o.NoAck = true },
			"nothing is kept": func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = -1 },
		} {
			equal(t, name, newServer(t, off).post(ackHandshake).with(t, `"h"`).Get("ext").Exists(), false)
		}
	}},
	{97, "lost_batch_comes_again_at_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.acknowledging(`"/a"`) // has had batch 1
			s.event("/a", "1")
			s.event("/a", "2")
			equal(t, "events", strings.Join(s.post(acking(connect(id, `"2"`), "1")).events(), ","), "1,2")
			s.event("/a", "3")
			heldFor(t, 0, func() { // and not only with advice.timeout 0
				ms := s.post(acking(connect(id, `"3"`), "1"))
				equal(t, "events again, and what came since", strings.Join(ms.events(), ","), "1,2,3")
				equal(t, "batch", ms.with(t, `"3"`).Get("ext.ack").Int(), 3)
				equal(t, "last", ms[len(ms)-1].Get("channel").Str, "/meta/connect")
			})
			heldFor(t, holdTime, func() {
				equal(t, "events", len(s.post(acking(connect(id, `"4"`), "3")).events()), 0)
			})
		})
	}},
	{97, "ack_takes_what_it_names_and_no_more", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.acknowledging(`"/a"`)
			for n := 1; n < 4; n++ {
				s.event("/a", strconv.Itoa(n))
				// The number of the request before: nothing is said of the batch in between.
				s.post(connect(id, strconv.Itoa(n)))
			}
			equal(t, "events after batch 2", strings.Join(s.post(acking(connect(id, `"5"`), "2")).events(), ","), "2,3")
			// An old number does not bring back what was acknowledged.
			equal(t, "events", strings.Join(s.post(acking(connect(id, `"6"`), "0")).events(), ","), "2,3")
			equal(t, "kept", s.h.session(id).sent.len(), 2)
			s.post(acking(connectNow(id, `"7"`), "6"))
			equal(t, "kept", s.h.session(id).sent.len(), 0)
		})
	}},
	{97, "numbers_that_make_no_sense_say_nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.acknowledging(`"/a"`)
			s.event("/a", "1")
			s.post(acking(connect(id, `"2"`), "1"))
			for i, n := range []string{"3", "99999999999999999999999", "-1", "1.5", `"1"`, "true", "null", "{}", "[2]", "1e400", "-0.5"} {
				heldFor(t, holdTime, func() {
					ms := s.post(acking(connect(id, strconv.Itoa(10+i)), n))
					equal(t, n, len(ms.events()), 0)
				})
				equal(t, "kept after "+n, s.h.session(id).sent.len(), 1)
				if n == "3" {
					// It is the number of the next batch, and then of one.
					equal(t, "batch", s.h.session(id).ack.batch, 3)
				}
			}
			equal(t, "events", strings.Join(s.post(acking(connect(id, `"3"`), "1.0")).events(), ","), "1")
		})
	}},
	{97, "on_a_socket_an_event_releases_the_connect_that_closes_its_batch", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.acknowledging(`"/a"`) // and connect c2 is held
			heldFor(t, 0, func() {
				c.send("[" + publish(id, `"p"`, "/a", "1") + "]")
				equal(t, "event", c.next().Get("data").Raw, "1")
				m := c.next()
				equal(t, "connect", m.Get("id").Str, "c2")
				equal(t, "batch", m.Get("ext.ack").Int(), 2)
				equal(t, "publish", c.next().Get("id").Str, "p")
			})
			// Until the next connect there is nothing.
			s.event("/a", "2")
			s.event("/a", "3")
			c.silent()
			heldFor(t, 0, func() {
				c.send(acking(connect(id, `"c3"`), "2"))
				frame := <-c.frames
				// In one frame: who has the events has the number.
				ms := parseReply(t, frame)
				equal(t, "events", strings.Join(ms.events(), ","), "2,3")
				equal(t, "batch", ms.with(t, `"c3"`).Get("ext.ack").Int(), 3)
			})
			// A number that is behind brings them again, at once.
			heldFor(t, 0, func() {
				c.send(acking(connect(id, `"c4"`), "2"))
				ms := parseReply(t, <-c.frames)
				equal(t, "events", strings.Join(ms.events(), ","), "2,3")
				equal(t, "batch", ms.with(t, `"c4"`).Get("ext.ack").Int(), 4)
			})
			c.send(acking(connect(id, `"c5"`), "4"))
			c.silent()
			equal(t, "kept", s.h.session(id).sent.len(), 0)
		})
	}},
	{97, "ack_goes_on_over_another_connection_and_transport", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.acknowledging(`"/a"`)
			s.event("/a", "1")
			equal(t, "event", c.next().Get("data").Raw, "1")
			c.next()
			c.ws.NetConn().Close()
			s.event("/a", "2")
			// A page that is loaded anew begins to count from 0, with the clientId that it kept.
			again := s.socket()
			again.send(acking(connectNow(id, `"1"`), "0"))
			ms := parseReply(t, <-again.frames)
			equal(t, "events", strings.Join(ms.events(), ","), "1,2")
			equal(t, "batch", ms.with(t, `"1"`).Get("ext.ack").Int(), 3)
			again.send(acking(connect(id, `"2"`), "3"))
			again.silent()
			// By poll: the held connect of the socket gives way, and its reply counts.
			answer := s.poll(acking(connect(id, `"3"`), "3"))
			equal(t, "released", again.next().Get("ext.ack").Int(), 4)
			synctest.Wait()
			s.event("/a", "3")
			ms = <-answer
			equal(t, "events", strings.Join(ms.events(), ","), "3")
			equal(t, "batch", ms.with(t, `"3"`).Get("ext.ack").Int(), 5)
			// And back.
			back := s.socket()
			equal(t, "event", back.then(acking(connect(id, `"4"`), "4")).Get("data").Raw, "3")
		})
	}},
	{97, "two_connects_at_a_time", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.acknowledging(`"/a"`)
			older := s.poll(acking(connect(id, `"2"`), "1"))
			synctest.Wait()
			newer := s.poll(acking(connect(id, `"3"`), "1"))
			equal(t, "older", (<-older).with(t, `"2"`).Get("ext.ack").Int(), 2)
			synctest.Wait()
			s.event("/a", "1")
			ms := <-newer
			equal(t, "events", strings.Join(ms.events(), ","), "1")
			equal(t, "newer", ms.with(t, `"3"`).Get("ext.ack").Int(), 3)
			equal(t, "events again", strings.Join(s.post(acking(connect(id, `"4"`), "2")).events(), ","), "1")
			// On a socket.
			c := s.socket()
			id = c.acknowledging(`"/b"`)
			c.send(acking(connect(id, `"c3"`), "1"))
			equal(t, "older", c.next().Get("ext.ack").Int(), 2)
			s.event("/b", "1")
			equal(t, "event", c.next().Get("data").Raw, "1")
			equal(t, "newer", c.next().Get("ext.ack").Int(), 3)
		})
	}},
	{97, "what_is_not_acknowledged_is_bounded", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.acknowledging(`"/a"`)
			for n := range 10 {
				s.event("/a", strconv.Itoa(n))
			}
			equal(t, "first", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "0,1,2,3")
			heldFor(t, holdTime, func() { equal(t, "without a word", len(s.post(connect(id, `"3"`)).events()), 0) })
			equal(t, "next", strings.Join(s.post(acking(connect(id, `"4"`), "3")).events(), ","), "4,5,6,7")
			for range 9 { // 2 wait already
				s.event("/a", "1")
			}
			synctest.Wait()
			equal(t, "the queue's policy", s.b.Stats().Ended[broker.SlowConsumer], 1)
		}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed, o.MaxMessages = 4, 10 })
		// In bytes: one always passes.
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.acknowledging(`"/a"`)
			for n := range 3 {
				s.event("/a", strconv.Quote(strings.Repeat(strconv.Itoa(n), 1000)))
			}
			for n := range 3 {
				equal(t, "event", c.next().Get("data").Str[:1], strconv.Itoa(n))
				m := c.next()
				ok(t, m)
				c.send(connect(id, `"x"`))
				c.silent()
				c.send(acking(connect(id, `"y"`), m.Get("ext.ack").Raw))
				equal(t, "released", c.next().Get("id").Str, "x")
			}
		}, func(o *Options, _ *broker.Options) { o.MaxUnconfirmedBytes = 900 })
	}},
	{97, "a_disconnect_takes_the_last_batch_along", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.acknowledging(`"/a"`)
			c.send("[" + publish(id, `"p"`, "/a", "1") + "," + msg("/meta/disconnect", id, `"d"`, "") + "]")
			var got []string
			for range 4 {
				m := c.next()
				got = append(got, m.Get("id").Str+m.Get("data").Raw)
			}
			equal(t, "order", strings.Join(got, " "), "1 c2 p d")
			id = c.acknowledging()
			c.send(msg("/meta/disconnect", id, `"d"`, ""))
			m := c.next()
			equal(t, "batch", m.Get("ext.ack").Int(), 2)
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
		})
	}},
}

var ackHandshake = strings.Replace(handshakeMessage, "{", `{"ext":{"ack":true},`, 1)

// acking is a connect that acknowledges a batch, as JSON.
func acking(connect, batch string) string {
	return strings.Replace(connect, "{", `{"ext":{"ack":`+batch+`},`, 1)
}

// acknowledging gives a session with the extension that has had its first connect, and so batch 1.
func (s *server) acknowledging(subscriptions ...string) string {
	s.t.Helper()
	id := s.post(ackHandshake).with(s.t, `"h"`).Get("clientId").Str
	s.post(acking(connectNow(id, `"1"`), "0"))
	for _, sub := range subscriptions {
		ok(s.t, s.post(subscribe(id, `"s"`, sub)).with(s.t, `"s"`))
	}
	return id
}

// acknowledging is the same on the socket; a second connect, c2, is held.
func (c *wsClient) acknowledging(subscriptions ...string) string {
	c.t.Helper()
	id := c.ask(ackHandshake).Get("clientId").Str
	c.ask(acking(connectNow(id, `"c1"`), "0"))
	for _, sub := range subscriptions {
		ok(c.t, c.ask(subscribe(id, `"s"`, sub)))
	}
	c.send(acking(connect(id, `"c2"`), "1"))
	synctest.Wait()
	return id
}

// then sends and gives the next message.
func (c *wsClient) then(text string) gjson.Result {
	c.t.Helper()
	c.send(text)
	return c.next()
}

// A stranger's ext is read without harm, and what is taken for a number is one.
func FuzzAck(f *testing.F) {
	for _, ext := range []string{`{"ack":1}`, `{"ack":{"enabled":true}}`, `{"ack":-1,"ack":2}`, `{"ack":1e309}`, `{"ack":9007199254740993}`, `[]`, `{"":{}}`} {
		f.Add(ext)
	}
	f.Fuzz(func(t *testing.T, ext string) {
		if !validJSON(ext) {
			return
		}
		m := &message{ext: gjson.Parse(ext)}
		m.wantsAck()
		n, ok := m.acked()
		if ok && n > 1<<53 {
			t.Error(n)
		}
		s := &session{h: &Handler{}, ack: &ackState{batch: 3}}
		s.acknowledge(m)
	})
}
