package bayeux

import (
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

func TestActivity_a_client_that_only_connects_is_sent_away(t *testing.T) {
	limit := func(o *Options, _ *broker.Options) { o.MaxInactivity = 10 * time.Second }
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected(`"/a"`)
		for _, n := range []string{`"a1"`, `"a2"`, `"a3"`} {
			ok(t, s.post(connect(id, n)).with(t, n))
		}
		ok(t, s.post(publish(id, `"2"`, "/b", "1")).with(t, `"2"`)) // the time begins anew
		for _, n := range []string{`"a4"`, `"a5"`, `"a6"`, `"a7"`} {
			ok(t, s.post(connect(id, n)).with(t, n))
		}
		ms := s.post(connect(id, `"4"`))
		equal(t, "for CometD", ms[0].Raw, kickedMessage)
		m := ms.with(t, `"4"`)
		fails(t, m, "403")
		equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
		fails(t, s.post(connect(id, `"5"`)).with(t, `"5"`), "401")
		equal(t, "refused", s.h.Stats().Refused[RefusedInactive], 1)
		synctest.Wait()
		equal(t, "sessions", s.h.Stats().Sessions, 0)
	}, limit)
	bubble(t, func(t *testing.T, s *server) {
		c := s.socket()
		id := c.handshake()
		for range 5 {
			ok(t, c.ask(connect(id, `"1"`)))
		}
		c.send("[" + connect(id, `"1"`) + "]")
		reply, kicked := c.next(), c.next()
		if reply.Raw == kickedMessage { // the socket is told by itself
			reply, kicked = kicked, reply
		}
		equal(t, "reconnect", reply.Get("advice.reconnect").Str, "none")
		equal(t, "for CometD", kicked.Raw, kickedMessage)
		equal(t, "close code", c.closeCode(), 1000)
	}, limit)
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected()
		for range 100 {
			ok(t, s.post(connect(id, `"1"`)).with(t, `"1"`))
		}
	})
}
