package bayeux

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"waft/broker"
)

func TestReplay_handshakes_that_ask_for_it(t *testing.T) {
	s := newServer(t, replaying)
	for ext, want := range map[string]string{
		`{"replay":true}`: `{"replay":true}`, `{"replay":{}}`: `{"replay":true}`, `{"replay":0}`: `{"replay":true}`, `{"replay":"no"}`: `{"replay":true}`,
		`{"replay":[]}`: `{"replay":true}`, `{"ack":true,"replay":true}`: `{"ack":true,"replay":true}`,
		`{"replay":false}`: "", `{"replay":null}`: "", `{}`: "", `"replay"`: "", `["replay"]`: "", `{"x":{"replay":true}}`: "",
	} {
		m := s.post(strings.TrimSuffix(handshakeMessage, "}")+`,"ext":`+ext+`}`).with(t, `"h"`)
		ok(t, m)
		equal(t, ext, m.Get("ext").Raw, want)
	}
}

// ways are how a session gets its events. Each takes one that has subscribed, and gives what to call for the next event.
var ways = map[string]func(s *server, id string) func() gjson.Result{
	"poll": func(s *server, id string) func() gjson.Result {
		n := 0
		return func() gjson.Result {
			n++
			return s.post(connect(id, strconv.Itoa(n)))[0]
		}
	},
	"websocket": func(s *server, id string) func() gjson.Result {
		c := s.socket()
		ok(s.t, c.ask(connect(id, `"c"`)))
		return c.next
	},
	"compressed websocket": func(s *server, id string) func() gjson.Result {
		c, _, err := s.upgrade("", nil, offering)
		if err != nil {
			s.t.Fatal(err)
		}
		ok(s.t, c.ask(connect(id, `"c"`)))
		return c.next
	},
	"event stream": func(s *server, id string) func() gjson.Result {
		c := s.stream(id)
		return func() gjson.Result {
			for {
				if line, found := strings.CutPrefix(c.line(), "data: "); found {
					return gjson.Get(line, "0")
				}
			}
		}
	},
}

func TestReplay_events_have_positions_for_those_who_asked(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, replaying, compressing, func(o *Options, _ *broker.Options) { o.AllowedExt, o.CompressFrom = []string{"binary", "replay"}, 1 })
			start := func(ext string) func() gjson.Result {
				id := s.post(strings.TrimSuffix(handshakeMessage, "}")+ext+"}").with(t, `"h"`).Get("clientId").Str
				s.post(connect(id, `"c0"`))
				ok(t, s.post(subscribe(id, `"s"`, `["/kept/*","/nothing/kept"]`)).with(t, `"s"`))
				return way(s, id)
			}
			with, without := start(`,"ext":{"replay":true}`), start("")
			at := s.numbers("/kept/a", 1, 1)[0]
			equal(t, "without", without().Raw, `{"channel":"/kept/a","data":1}`)
			equal(t, "with", with().Raw, `{"channel":"/kept/a","data":1,"ext":{"replay":"`+at.String()+`"}}`)

			// A publisher cannot make up a position.
			ok(t, s.post(strings.TrimSuffix(publish("", `"p"`, "/kept/a", `{"n":1.0}`), "}")+`,"ext":{"replay":"1-7","binary":{}}}`).with(t, `"p"`))
			at.Offset++
			equal(t, "without", without().Raw, `{"channel":"/kept/a","data":{"n":1.0},"ext":{"binary":{}}}`)
			equal(t, "with", with().Raw, `{"channel":"/kept/a","data":{"n":1.0},"ext":{"binary":{},"replay":"`+at.String()+`"}}`)

			s.event("/nothing/kept", "2")
			equal(t, "without", without().Raw, `{"channel":"/nothing/kept","data":2}`)
			equal(t, "with", with().Raw, `{"channel":"/nothing/kept","data":2}`)
		})
	}
}

// Two sessions on one socket, of which one has asked.
func TestReplay_is_a_sessions_and_not_a_sockets(t *testing.T) {
	s := newServer(t, replaying)
	c := s.socket()
	first := c.connected(`"/kept/a"`)
	second := c.ask(strings.TrimSuffix(handshakeMessage, "}") + `,"ext":{"replay":true}}`).Get("clientId").Str
	ok(t, c.ask(subscribe(second, `"s2"`, `"/kept/b"`)))
	s.event("/kept/a", "1")
	at := s.numbers("/kept/b", 2, 2)
	for range 2 {
		switch m := c.next(); m.Get("channel").Str {
		case "/kept/a":
			equal(t, "event of "+first, m.Get("ext").Raw, "")
		default:
			equal(t, "event of "+second, m.Get("ext.replay").Str, at[0].String())
		}
	}
}

func TestReplay_batches_with_the_acknowledge_extension_have_positions(t *testing.T) {
	s := newServer(t, replaying)
	c := s.socket()
	id := c.ask(strings.TrimSuffix(handshakeMessage, "}") + `,"ext":{"ack":true,"replay":true}}`).Get("clientId").Str
	ok(t, c.ask(connect(id, `"c"`)))
	ok(t, c.ask(subscribeFrom(id, `"s"`, `"/kept/a"`, `{"/kept/a":-2}`)))
	at := s.numbers("/kept/a", 1, 1)
	c.send("[" + connectNow(id, `"c2"`) + "]")
	equal(t, "position", c.next().Get("ext.replay").Str, at[0].String())
}

// What is sent again after a lost connection has its position again.
func TestReplay_positions_survive_a_lost_response(t *testing.T) {
	s := newServer(t, replaying)
	id := s.handshakeReplay()
	s.post(connect(id, `"c0"`))
	ok(t, s.post(subscribe(id, `"s"`, `"/kept/a"`)).with(t, `"s"`))
	at := s.numbers("/kept/a", 1, 1)
	for _, connectID := range []string{`"c1"`, `"c1"`} { // the same again: the response was lost
		events := s.post(connect(id, connectID))
		equal(t, "position "+connectID, events[0].Get("ext.replay").Str, at[0].String())
	}
}

func TestPlacedForm_is_made_once_and_only_where_there_is_something_to_resume(t *testing.T) {
	keeps := true
	f := &eventForm{keeps: func(broker.Channel) bool { return keeps }}
	placed := f.withPositions()
	m := &broker.Message{Channel: "/a", Data: json.RawMessage("1"), Position: somewhere}
	plain, _ := m.Encoded(f)
	one, _ := m.Encoded(placed)
	two, _ := m.Encoded(placed)
	equal(t, "plain", string(event(plain)), `{"channel":"/a","data":1}`)
	equal(t, "placed", string(event(one)), `{"channel":"/a","data":1,"ext":{"replay":"`+somewhere.String()+`"}}`)
	if &one[0] != &two[0] {
		t.Error("two sessions do not share the frame")
	}

	keeps = false
	m = &broker.Message{Channel: "/a", Data: json.RawMessage("1"), Position: somewhere}
	plain, _ = m.Encoded(f)
	if one, _ = m.Encoded(placed); &one[0] != &plain[0] {
		t.Error("without a history there is a second form")
	}
	if _, err := (&broker.Message{Channel: "/a", Retracted: true}).Encoded(placed); err != broker.ErrSkip {
		t.Errorf("a retraction: %v", err)
	}
}
