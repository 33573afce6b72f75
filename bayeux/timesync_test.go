package bayeux

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// 8.8, CometD's timesync extension.
var timesyncRows = []row{
	{98, "timesync", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			now := time.Now().UnixMilli()
			m := s.post(asking(handshakeMessage, `{"tc":1.5e3,"l":0,"o":0}`)).with(t, `"h"`)
			got := m.Get("ext.timesync")
			equal(t, "tc as it was written", got.Get("tc").Raw, "1.5e3")
			equal(t, "ts", got.Get("ts").Int(), now)
			equal(t, "p", got.Get("p").Raw, "0")
			equal(t, "a", got.Get("a").Int(), 1500-now)
			id := m.Get("clientId").Str
			s.post(connect(id, `"0"`))

			// A reply that was held says for how long.
			begin := time.Now()
			m = s.post(asking(connect(id, `"1"`), `{"tc":1,"l":3,"o":-7}`)).with(t, `"1"`)
			held := time.Since(begin).Milliseconds()
			equal(t, "p", m.Get("ext.timesync.p").Int(), held)
			if m.Get("ext.timesync.ts").Int() != begin.UnixMilli() || held < holdTime.Milliseconds() {
				t.Errorf("%s after %v", m.Raw, held)
			}
			c := s.socket()
			c.ask(asking(connectNow(id, `"2"`), `{"tc":2}`))
			begin = time.Now()
			m = c.ask(asking(connect(id, `"3"`), `{"tc":3}`))
			equal(t, "tc", m.Get("ext.timesync.tc").Raw, "3")
			equal(t, "p", m.Get("ext.timesync.p").Int(), time.Since(begin).Milliseconds())
			equal(t, "ts", m.Get("ext.timesync.ts").Int(), begin.UnixMilli())
		})
	}},
	{98, "timesync_beside_ack", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			m := c.ask(strings.Replace(handshakeMessage, "{", `{"ext":{"ack":true,"timesync":{"tc":1}},`, 1))
			equal(t, "ack", m.Get("ext.ack").Raw, "true")
			equal(t, "tc", m.Get("ext.timesync.tc").Raw, "1")
			id := m.Get("clientId").Str
			m = c.ask(strings.Replace(connectNow(id, `"1"`), "{", `{"ext":{"ack":0,"timesync":{"tc":2}},`, 1))
			equal(t, "ack", m.Get("ext.ack").Raw, "1")
			equal(t, "tc", m.Get("ext.timesync.tc").Raw, "2")
			c.send(strings.Replace(connect(id, `"2"`), "{", `{"ext":{"ack":1,"timesync":{"tc":3}},`, 1))
			synctest.Wait()
			c.send(connect(id, `"3"`))
			equal(t, "of one that gives way", c.next().Get("ext.timesync.tc").Raw, "3")
		})
	}},
	{98, "timesync_is_left_out", func(t *testing.T) {
		for _, off := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *server) {
				for _, ask := range []string{
					`{}`, `{"tc":"1"}`, `{"tc":null}`, `1`, `[1]`, `null`, `{"tc":1234567890123456789012345}`,
					// The client's estimate is close enough: bubbles begin in 2000.
					`{"tc":946684800000,"l":10,"o":10}`, `{"tc":946684799000,"l":10,"o":1000}`,
				} {
					m := s.post(asking(handshakeMessage, ask)).with(t, `"h"`)
					ok(t, m)
					equal(t, ask, m.Get("ext").Exists(), false)
				}
				m := s.post(asking(handshakeMessage, `{"tc":1,"l":1e308,"o":-1e308}`)).with(t, `"h"`)
				equal(t, "numbers that come to something", m.Get("ext.timesync.a").Exists(), !off)
			}, func(o *Options, _ *broker.Options) { o.NoTimesync = off })
		}
	}},
}

// asking is a message that asks for the time.
func asking(message, timesync string) string {
	return strings.Replace(message, "{", `{"ext":{"timesync":`+timesync+`},`, 1)
}

// Whatever a stranger asks, the answer is JSON.
func FuzzTimesync(f *testing.F) {
	for _, ext := range []string{`{"timesync":{"tc":1,"l":2,"o":3}}`, `{"timesync":{"tc":1e400,"l":-1e400,"o":1e309}}`, `{"timesync":{"tc":-0,"tc":01}}`} {
		f.Add(ext)
	}
	h := &Handler{}
	f.Fuzz(func(t *testing.T, ext string) {
		if !validJSON(ext) {
			return
		}
		r := reply{channel: jsonConnect}
		r.addTime(h, h.timeAsked(&message{ext: gjson.Parse(ext)}))
		if text := string(r.appendTo(nil)); !gjson.Valid(text) || len(text) > 300 {
			t.Error(text)
		}
	})
}
