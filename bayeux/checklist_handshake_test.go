package bayeux

import (
	"regexp"
	"strings"
	"testing"

	"waft/broker"
)

// 8.3 Handshake.
var handshakeRows = []row{
	{25, "handshake", func(t *testing.T) {
		m := newServer(t).post("["+handshakeMessage+"]").with(t, `"h"`)
		ok(t, m)
		equal(t, "version", m.Get("version").Str, "1.0")
		equal(t, "types", m.Get("supportedConnectionTypes").Raw, allTypes)
		equal(t, "advice", m.Get("advice").Raw, `{"reconnect":"retry","interval":0,"timeout":3000}`)
		if id := m.Get("clientId").Str; !regexp.MustCompile(`^[A-Za-z0-9]{27,}$`).MatchString(id) {
			t.Errorf("clientId %s", id)
		}
	}},
	{26, "ids_are_new_and_distinct", func(t *testing.T) {
		s := newServer(t)
		seen := map[string]bool{}
		for i := range 1000 {
			body := handshakeMessage
			if i%3 == 0 {
				for old := range seen {
					body = strings.Replace(body, "{", `{"clientId":"`+old+`",`, 1)
					break
				}
			}
			id := s.post(body).with(t, `"h"`).Get("clientId").Str
			if seen[id] || len(id) < 27 {
				t.Fatalf("id %d: %s", i, id)
			}
			seen[id] = true
		}
	}},
	{27, "incomplete_handshakes_fail_with_slow_advice", func(t *testing.T) {
		s := newServer(t)
		for _, c := range []struct{ members, want string }{
			{`"supportedConnectionTypes":["websocket"]`, "402:version:Missing required parameter"},
			{`"version":"1.0"`, "402:supportedConnectionTypes:Missing required parameter"},
			{`"version":"1.0","supportedConnectionTypes":[]`, "301::Connection types not supported"},
			{`"version":"1.0","supportedConnectionTypes":["iframe","flash"]`, "301:iframe,flash:Connection types not supported"},
		} {
			m := s.post("["+msg("/meta/handshake", "", `"1"`, c.members)+"]").with(t, `"1"`)
			fails(t, m, c.want)
			equal(t, "clientId", m.Get("clientId").Exists(), false)
			equal(t, "types", m.Get("supportedConnectionTypes").Raw, allTypes)
			if m.Get("advice.interval").Int() < 1000 {
				t.Error("advice", m.Get("advice").Raw)
			}
		}
	}},
	{28, "extras_are_ignored", func(t *testing.T) {
		ok(t, newServer(t).post(`[{"channel":"/meta/handshake","id":"h","version":"1.0","minimumVersion":"1.0","ext":{},`+
			`"supportedConnectionTypes":["in-process","long-polling","x"],"advice":{"timeout":60000,"interval":0}}]`).with(t, `"h"`))
	}},
	{29, "companions_of_a_handshake_are_ignored", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		ms := s.post("[" + publish("", `"1"`, "/a", "1") + "," + handshakeMessage + "," + publish("", `"2"`, "/a", "2") + "," + handshakeMessage + "]")
		equal(t, "replies", len(ms), 1)
		ok(t, ms.with(t, `"h"`))
		equal(t, "events", len(s.post(connectNow(id, `"c"`)).events()), 0)
		equal(t, "sessions", s.h.Stats().Sessions, 2)
	}},
	{30, "refused_credentials_stop_the_client", func(t *testing.T) {
		s := newServer(t)
		for _, r := range []request{
			{body: strings.Replace(handshakeMessage, "{", `{"ext":{"token":"bad"},`, 1)},
			{body: strings.Replace(handshakeMessage, "{", `{"ext":{"auth":{"token":"bad"}},`, 1)},
			{body: strings.Replace(handshakeMessage, "{", `{"ext":{"authToken":"bad"},`, 1)},
			{body: handshakeMessage, header: map[string]string{"Authorization": "Bearer bad"}},
		} {
			m := s.send(r).with(t, `"h"`)
			fails(t, m, "403::Handshake denied")
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "none")
			equal(t, "clientId", m.Get("clientId").Exists(), false)
		}
		equal(t, "refused", s.h.Stats().Refused[RefusedCredential], 4)
	}},
	{31, "overload_spreads_clients", func(t *testing.T) {
		s := newServer(t, func(_ *Options, b *broker.Options) { b.MaxSessions = 1 })
		s.handshake()
		intervals := map[int64]bool{}
		for range 20 {
			m := s.post(handshakeMessage).with(t, `"h"`)
			fails(t, m, "429")
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
			n := m.Get("advice.interval").Int()
			if n < 1000 {
				t.Error("interval", n)
			}
			intervals[n] = true
		}
		if len(intervals) < 5 {
			t.Errorf("20 clients come back at %d different times", len(intervals))
		}
	}},
	{32, "a_session_is_found_from_any_connection", func(t *testing.T) {
		s := newServer(t)
		id := s.handshake()
		c := s.socket()
		ok(t, c.ask(connect(id, `"1"`)))
		s.client.CloseIdleConnections()
		ok(t, s.post(subscribe(id, `"2"`, `"/a"`)).with(t, `"2"`))
		s.event("/a", "1")
		equal(t, "event", c.next().Get("data").Raw, "1")
	}},
}

const allTypes = `["websocket","eventsource","long-polling","cross-origin-long-polling","callback-polling"]`
