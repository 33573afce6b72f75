package bayeux

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// 8.4 Connect over long-polling.
var connectRows = []row{
	{33, "first_connect_answered_at_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.handshake()
			start := time.Now()
			m := s.post("["+connect(id, `"1"`)+"]").with(t, `"1"`)
			ok(t, m)
			equal(t, "advice", m.Get("advice").Raw, `{"reconnect":"retry","interval":0,"timeout":3000}`)
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{34, "second_connect_held_for_the_timeout", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			heldFor(t, holdTime, func() { ok(t, s.post("["+connect(id, `"1"`)+"]").with(t, `"1"`)) })
		})
	}},
	{35, "client_timeout_zero", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			start := time.Now()
			ok(t, s.post("["+connectNow(id, `"1"`)+"]").with(t, `"1"`))
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{36, "client_timeout_is_honoured", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			heldFor(t, 700*time.Millisecond, func() {
				s.post(msg("/meta/connect", id, `"1"`, `"connectionType":"long-polling","advice":{"timeout":700}`))
			})
		})
	}},
	{37, "client_timeout_is_capped_and_the_session_lives", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			for _, timeout := range []string{"600000", "1e300"} {
				heldFor(t, holdTime, func() {
					s.post(msg("/meta/connect", id, `"1"`, `"connectionType":"long-polling","advice":{"timeout":`+timeout+`}`))
				})
				time.Sleep(grace - 100*time.Millisecond)
				ok(t, s.post(subscribe(id, `"2"`, `"/a"`)).with(t, `"2"`))
			}
		})
	}},
	{38, "event_releases_a_held_connect", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			start := time.Now()
			answer := s.poll("[" + connect(id, `"1"`) + "]")
			synctest.Wait()
			s.event("/a", `"x"`)
			ms := <-answer
			equal(t, "events", strings.Join(ms.events(), ","), `"x"`)
			ok(t, ms.with(t, `"1"`))
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{39, "events_first_connect_reply_last", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		ms := s.post("[" + connect(id, `"1"`) + "," + publish(id, `"2"`, "/a", `"x"`) + "]")
		equal(t, "first", ms[0].Get("data").Raw, `"x"`)
		equal(t, "last", ms[len(ms)-1].Get("channel").Str, "/meta/connect")
	}},
	{40, "events_between_polls_come_at_once_and_in_order", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			for i := range 3 {
				s.event("/a", fmt.Sprint(i))
			}
			start := time.Now()
			equal(t, "events", strings.Join(s.post(connect(id, `"1"`)).events(), ","), "0,1,2")
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{41, "connect_in_a_batch_is_never_held", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			start := time.Now()
			for _, batch := range []string{
				connectNow(id, `"1"`) + "," + subscribe(id, `"2"`, `"/a"`), subscribe(id, `"2"`, `"/b"`) + "," + connectNow(id, `"1"`),
				connect(id, `"1"`) + "," + publish(id, `"2"`, "/c", "1"), connect(id, `"1"`) + "," + connect(id, `"2"`),
			} {
				ms := s.post("[" + batch + "]")
				ok(t, ms.with(t, `"1"`))
				ok(t, ms.with(t, `"2"`))
			}
			equal(t, "time", time.Since(start), 0)
		})
	}},
	{42, "second_connect_releases_the_first", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			start := time.Now()
			older := s.poll("[" + connect(id, `"1"`) + "]")
			synctest.Wait()
			newer := s.poll("[" + connect(id, `"2"`) + "]")
			ms := <-older
			ok(t, ms.with(t, `"1"`))
			equal(t, "advice, for two who would push each other out", ms.with(t, `"1"`).Get("advice.interval").Int(), 1000)
			equal(t, "events to the older", len(ms.events()), 0)
			equal(t, "time", time.Since(start), 0)
			synctest.Wait()
			s.event("/a", "1")
			s.event("/a", "2")
			got := (<-newer).events()
			got = append(got, s.post("["+connect(id, `"3"`)+","+publish(id, `"4"`, "/b", "1")+"]").events()...)
			equal(t, "events", strings.Join(got, ","), "1,2")
		})
	}},
	{43, "aborted_connect_loses_nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			ctx, abort := context.WithCancel(context.Background())
			gone := make(chan error)
			go func() {
				_, err := s.do(request{body: connect(id, `"1"`), ctx: ctx})
				gone <- err
			}()
			synctest.Wait()
			equal(t, "held", s.h.Stats().Polls, 1)
			abort()
			if err := <-gone; err == nil {
				t.Fatal("the poll was answered")
			}
			synctest.Wait()
			s.event("/a", "1")
			equal(t, "events", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1")
		})
	}},
	{44, "unknown_client", func(t *testing.T) {
		m := newServer(t).post("["+connect("nosuch", `"1"`)+"]").with(t, `"1"`)
		fails(t, m, "401:nosuch:Unknown client")
		equal(t, "clientId", m.Get("clientId").Exists(), false)
		equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
	}},
	{45, "missing_and_unknown_members", func(t *testing.T) {
		s := newServer(t)
		id := s.handshake()
		fails(t, s.post(connect("", `"1"`)).with(t, `"1"`), "402:clientId:Missing required parameter")
		fails(t, s.post(msg("/meta/connect", id, `"1"`, "")).with(t, `"1"`), "402:connectionType:Missing required parameter")
		fails(t, s.post(msg("/meta/connect", id, `"1"`, `"connectionType":"iframe"`)).with(t, `"1"`), "301:iframe:Connection types not supported")
	}},
	{46, "connection_type_need_not_be_the_real_one", func(t *testing.T) {
		s := newServer(t)
		ok(t, s.post(msg("/meta/connect", s.handshake(), `"1"`, `"connectionType":"websocket"`)).with(t, `"1"`))
		c := s.socket()
		ok(t, c.ask(connect(c.handshake(), `"1"`)))
	}},
	{47, "storms_of_handshakes_are_slowed_down", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			// A client that does as it is told, and loses each session.
			storm := func(addresses string) (refusals int) {
				for end := time.Now().Add(time.Minute); time.Now().Before(end); refusals++ {
					m := s.post(connect("lost", `"1"`)).with(t, `"1"`)
					s.handshake()
					time.Sleep(time.Duration(m.Get("advice.interval").Int()) * time.Millisecond)
				}
				return refusals
			}
			if n := storm(""); n > 60 {
				t.Errorf("%d handshakes in a minute", n)
			}
			// It is forgiven.
			time.Sleep(5 * time.Minute)
			if n := s.post(connect("lost", `"1"`)).with(t, `"1"`).Get("advice.interval").Int(); n > 1000 {
				t.Errorf("an interval of %d ms, long after", n)
			}
		})
	}},
}

// heldFor checks that f took d, give or take a tick of the wheel.
func heldFor(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took < d || took > d+100*time.Millisecond {
		t.Errorf("took %v, want %v", took, d)
	}
}
