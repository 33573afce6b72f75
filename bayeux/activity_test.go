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
		for range 3 {
			ok(t, s.post(connect(id, `"1"`)).with(t, `"1"`))
		}
		ok(t, s.post(publish(id, `"2"`, "/b", "1")).with(t, `"2"`)) // the time begins anew
		for range 4 {
			ok(t, s.post(connect(id, `"3"`)).with(t, `"3"`))
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
		var reconnect string
		for range 6 {
			m := c.ask(connect(id, `"1"`))
			reconnect = m.Get("advice.reconnect").Str
		}
		equal(t, "reconnect", reconnect, "none")
		equal(t, "for CometD", c.next().Raw, kickedMessage)
		equal(t, "close code", c.closeCode(), 1000)
	}, limit)
	bubble(t, func(t *testing.T, s *server) {
		id := s.connected()
		for range 100 {
			ok(t, s.post(connect(id, `"1"`)).with(t, `"1"`))
		}
	})
}
