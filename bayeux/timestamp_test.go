package bayeux

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"

	"waft/broker"
)

// 3.13, the timestamp extension: beside 98.
var timestampRows = []row{
	{98, "timestamp", func(t *testing.T) {
		for _, compression := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *server) {
				stamped := func(what string, m gjson.Result, at time.Time) {
					t.Helper()
					equal(t, what, m.Get("timestamp").Str, at.UTC().Format("2006-01-02T15:04:05.00"))
				}
				time.Sleep(1234567 * time.Microsecond)
				m := s.post(handshakeMessage).with(t, `"h"`)
				stamped("handshake", m, time.Now())
				id := m.Get("clientId").Str
				stamped("connect", s.post(connect(id, `"1"`)).with(t, `"1"`), time.Now())
				stamped("subscribe", s.post(subscribe(id, `"2"`, `"/a"`)).with(t, `"2"`), time.Now())
				stamped("refusal", s.post(subscribe(id, `"3"`, `"/closed"`)).with(t, `"3"`), time.Now())

				at := time.Now()
				s.event("/a", `{"n":1}`)
				time.Sleep(1500 * time.Millisecond)
				ms := s.post(connect(id, `"4"`))
				stamped("event by poll", ms[0], at)
				stamped("connect", ms.with(t, `"4"`), time.Now())
				stamped("held connect", s.post(connect(id, `"5"`)).with(t, `"5"`), time.Now())

				c, _, err := s.upgrade("", nil, func(d *websocket.Dialer, _ *websocket.Conn) { d.EnableCompression = compression })
				equal(t, "error", err, nil)
				stamped("connect on a socket", c.ask(connect(id, `"6"`)), time.Now())
				s.event("/a", `"`+strings.Repeat("x", 1000)+`"`)
				stamped("event on a socket", c.next(), time.Now())
				at = time.Now()
				c.send(publish(id, `"7"`, "/a", "2"))
				stamped("event of its own", c.next(), at)
				stamped("publish", c.next(), at)
				c.send(msg("/meta/disconnect", id, `"8"`, ""))
				stamped("disconnect", c.next(), at)
				equal(t, "compressed", s.h.Stats().Compressed > 0, compression)
			}, func(o *Options, _ *broker.Options) { o.Timestamp, o.Compression = true, compression })
		}
	}},
	{98, "timestamp_in_a_batch", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			id := c.ask(strings.Replace(handshakeMessage, "{", `{"ext":{"ack":true},`, 1)).Get("clientId").Str
			c.ask(subscribe(id, `"s"`, `"/a"`))
			c.ask(connect(id, `"0"`))
			at := time.Now()
			s.event("/a", "1")
			time.Sleep(time.Minute)
			c.send(strings.Replace(connect(id, `"1"`), "{", `{"ext":{"ack":0},`, 1))
			equal(t, "event", c.next().Get("timestamp").Str, at.UTC().Format("2006-01-02T15:04:05.00"))
			equal(t, "connect", c.next().Get("timestamp").Str, time.Now().UTC().Format("2006-01-02T15:04:05.00"))
		}, func(o *Options, _ *broker.Options) { o.Timestamp = true; o.MaxInterval = time.Hour })
	}},
	{98, "timestamp_of_a_client_is_ignored", func(t *testing.T) {
		for _, on := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *server) {
				for _, theirs := range []string{`"Sat, 21 Nov 2026 05:00:00 GMT"`, `"2001-01-01T00:00:00.00"`, `7`, `{"a":[]}`, `null`} {
					with := func(message string) string { return strings.Replace(message, "{", `{"timestamp":`+theirs+`,`, 1) }
					m := s.post(with(handshakeMessage)).with(t, `"h"`)
					ok(t, m)
					id := m.Get("clientId").Str
					ms := messages{m, s.post(with(connect(id, `"1"`))).with(t, `"1"`), s.post(with(subscribe(id, `"2"`, `"/a"`))).with(t, `"2"`)}
					ms = append(ms, s.post(with(publish(id, `"3"`, "/a", "1")))...)
					ms = append(ms, s.post(with(connect(id, `"4"`)))...)
					equal(t, "messages", len(ms), 6)
					for _, m := range ms {
						want := ""
						if on {
							want = time.Now().UTC().Format("2006-01-02T15:04:05.00")
						}
						equal(t, "timestamp", m.Get("timestamp").Str, want)
						equal(t, "is there", m.Get("timestamp").Exists(), on)
					}
				}
			}, func(o *Options, _ *broker.Options) { o.Timestamp = on })
		}
	}},
}
