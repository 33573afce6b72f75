package bayeux

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"

	"waft/broker"
)

// Beside these there are FuzzEnvelope, for bodies, FuzzQuery, for callback-polling, and FuzzAck and FuzzTimesync, for these members of ext.

// directly posts to the handler itself, without a connection in between.
func (s *server) directly(t testing.TB, message string) messages {
	t.Helper()
	r := httptest.NewRequest("POST", "/bayeux", strings.NewReader("["+message+"]"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return parseReply(t, w.Body.String())
}

// FuzzFrame writes a frame to a socket that has a session, whose id is CID in the frame. Whatever it is, every frame that comes back
// keeps to the rules, and the socket goes on or is closed with a reason; it is closed as malformed if and only if the
// frame is no JSON that could hold messages.
func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		"", "[]", " [ ] ", "null", "[null]", "42", `"x"`, "{bad", "[[[", `[[{"channel":"/a"}]]`, handshakeMessage, "[" + handshakeMessage + "]",
		`[{"channel":"/meta/connect","clientId":"CID","connectionType":"websocket","id":"1"},{"channel":"/meta/connect","clientId":"CID","connectionType":"websocket"}]`,
		`{"channel":"/a/b","clientId":"CID","data":{"x":[1,2.0,"é"]},"id":0,"ext":{"binary":{}}}`,
		`[{"channel":"/meta/subscribe","clientId":"CID","subscription":["/a/*","/b"],"id":7},{"channel":"/b","clientId":"CID","data":null}]`,
		`[{"channel":"/meta/unsubscribe","clientId":"CID","subscription":"/a/**"}]`, `[{"channel":"/meta/disconnect","clientId":"CID","id":"d"}]`,
	} {
		f.Add(seed)
	}
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := startServer(f, l, l.dial, func(o *Options, _ *broker.Options) { o.Timeout = time.Nanosecond })
	f.Fuzz(func(t *testing.T, frame string) {
		mine := *s
		mine.t = t
		c := mine.socket()
		id := c.handshake()
		ok(t, c.ask(subscribe(id, `"s"`, `"/a/**"`)))
		frame = strings.ReplaceAll(frame, "CID", id)
		_, malformed := parseJSON(nil, frame, 1000)
		blank := strings.Trim(frame, " \t\r\n") == ""
		for _, text := range []string{frame, `{"channel":"/meta/last","id":"last"}`} {
			_ = c.ws.WriteMessage(websocket.TextMessage, []byte(text)) // it may be closed before the second
		}
		for {
			got, open := <-c.frames
			if !open {
				code := websocket.CloseNoStatusReceived
				if e, isClose := errors.AsType[*websocket.CloseError](c.closed); isClose {
					code = e.Code
				}
				switch {
				case malformed != nil && !blank && code == websocket.CloseInvalidFramePayloadData:
				case malformed == nil && code == websocket.CloseNormalClosure && strings.Contains(frame, id): // disconnected
				default:
					t.Fatalf("closed: %v", c.closed)
				}
				return
			}
			ms := parseReply(t, got)
			if slices.ContainsFunc(ms, func(m gjson.Result) bool { return m.Get("id").Raw == `"last"` }) {
				break
			}
		}
		if malformed != nil && !blank {
			t.Fatal("the socket is still open")
		}
	})
}

// FuzzExt sends an ext with everything that a client sends in its life. Nothing of it reaches a subscriber but what is allowed, as it was
// written; and a publish is delivered if it is acknowledged.
func FuzzExt(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `7`, `"x"`, `[{"token":"good"}]`, `{"token":"good"}`, `{"token":"bad"}`, `{"authToken":"bad","token":""}`, `{"auth":{"token":"good"},"binary":{"a":[1.0]}}`,
		`{"ack":true}`, `{"ack":{"enabled":true,"batch":-1}}`, `{"ack":18446744073709551616}`, `{"ack":1.5e300}`, `{"replay":true}`, `{"replay":{"/a/x":-2,"/**":-1}}`,
		`{"replay":{"/a":1e400}}`, `{"timesync":{"tc":1,"l":2,"o":-3}}`, `{"timesync":{"tc":"x"}}`, `{"bin\u0061ry":1,"binary":2}`, "{\"binary\":{\"a\":[1.0\r]}}", `{"auth":[{"token":1}],"":{}}`,
	} {
		f.Add(seed)
	}
	s := hurried(f)
	f.Fuzz(func(t *testing.T, ext string) {
		if len(ext) > 10_000 || !validJSON(ext) || gjson.Parse(ext).Type == gjson.JSON && !broker.IsJSON(ext, 60) {
			return
		}
		with := `"ext":` + ext
		hello := s.directly(t, strings.TrimSuffix(handshakeMessage, "}")+","+with+"}").with(t, `"h"`)
		if !hello.Get("successful").Bool() {
			return // a token that is not good
		}
		id := hello.Get("clientId").Str
		s.directly(t, strings.TrimSuffix(connectNow(id, `"c"`), "}")+","+with+"}").with(t, `"c"`)
		if m := s.directly(t, strings.TrimSuffix(subscribe(id, `"s"`, `"/ext/x"`), "}")+","+with+"}").with(t, `"s"`); !m.Get("successful").Bool() {
			ok(t, s.directly(t, subscribe(id, `"s2"`, `"/ext/x"`)).with(t, `"s2"`))
		}
		published := s.directly(t, strings.TrimSuffix(publish(id, `"p"`, "/ext/x", "1"), "}")+","+with+"}").with(t, `"p"`).Get("successful").Bool()
		events := s.directly(t, connectNow(id, `"c2"`))
		defer s.directly(t, msg("/meta/disconnect", id, `"d"`, ""))
		events = slices.DeleteFunc(events, func(m gjson.Result) bool { return m.Get("channel").Str != "/ext/x" })
		if (len(events) == 1) != published {
			t.Fatalf("acknowledged: %v, delivered: %v", published, events)
		}
		for _, e := range events {
			for key := range e.Get("ext").Map() {
				if !slices.Contains(s.h.opts.AllowedExt, key) {
					t.Fatalf("subscribers are given %s", e.Raw)
				}
			}
			var was map[string]json.RawMessage // and no struct, whose members may be written in any case
			if err := json.Unmarshal([]byte(ext), &was); err != nil || was["binary"] == nil {
				continue
			}
			var want bytes.Buffer // white space is the broker's to leave out
			if err := json.Compact(&want, was["binary"]); err != nil || !strings.Contains(e.Raw, want.String()) {
				t.Fatalf("%s became %s (%v)", ext, e.Raw, err)
			}
		}
	})
}

// FuzzNames subscribes to what may be a pattern and publishes to what may be a channel. Names of the grammar are let in and others are not,
// the subscription is repeated as it was written, and what was published is delivered if the pattern matches.
func FuzzNames(f *testing.F) {
	for _, names := range [][2]string{
		{`"/a"`, `"/a"`},
		{`"/a/*"`, `"/a/b"`},
		{`["/b","/a/**"]`, `"/a/b/c"`},
		{`["/service/x","/b"]`, `"/b"`},
		{`"/**"`, `"/service/x"`},
		{`"/meta/*"`, `"/meta"`},
		{`[]`, `7`},
		{`null`, `""`},
		{`["/a",["/b"]]`, `"/a b"`},
		{`"\/\u0061"`, `"\/\u0061"`},
		{`{"/a":1}`, `["/a"]`},
		{`"/-_!~()$@"`, `"/-_!~()$@"`},
		{`"/a/*/b"`, `"/a//b"`},
		{`"/ä"`, `"/a\n"`},
	} {
		f.Add(names[0], names[1])
	}
	s := hurried(f)
	f.Fuzz(func(t *testing.T, subscription, channel string) {
		if len(subscription)+len(channel) > 10_000 || !validJSON(subscription) || !validJSON(channel) || !broker.IsJSON(subscription, 60) || !broker.IsJSON(channel, 60) {
			return
		}
		id := s.directly(t, handshakeMessage).with(t, `"h"`).Get("clientId").Str
		defer s.directly(t, msg("/meta/disconnect", id, `"d"`, ""))

		patterns, known := patternsOf(subscription)
		answer := s.directly(t, subscribe(id, `"s"`, subscription)).with(t, `"s"`)
		if answer.Get("successful").Bool() != known {
			t.Fatalf("%s: %s", subscription, answer.Raw)
		}
		if got := answer.Get("subscription").Raw; known && got != subscription && got != strings.Trim(subscription, " \t\r\n") {
			t.Fatalf("%s was repeated as %s", subscription, got)
		}

		var name string
		err := json.Unmarshal([]byte(channel), &name)
		parsed, wrong := broker.ParseChannel(name)
		published := s.directly(t, `{"channel":`+channel+`,"clientId":"`+id+`","id":"p","data":{"d":1}}`).with(t, `"p"`)
		if strings.HasPrefix(name, "/meta/") {
			return // may be any word of the protocol
		}
		good := err == nil && wrong == nil && !parsed.Reserved() && !strings.HasPrefix(name, "/closed") && !strings.HasPrefix(name, "/token") || wrong == nil && broker.Pattern("/service/**").Matches(parsed) || name == "/service"
		if published.Get("successful").Bool() != good {
			t.Fatalf("%s: %s", channel, published.Raw)
		}
		match := good && !parsed.Reserved() && slices.ContainsFunc(patterns, func(p broker.Pattern) bool { return p.Matches(parsed) })
		if events := s.directly(t, connectNow(id, `"c"`)).events(); (len(events) == 1) != match {
			t.Fatalf("subscribed to %s, published to %s: events %v", subscription, channel, events)
		}
	})
}

// patternsOf are the patterns of a subscription, and whether it can be one.
func patternsOf(subscription string) (patterns []broker.Pattern, known bool) {
	var names []string
	var one *string
	if json.Unmarshal([]byte(subscription), &one) == nil {
		if one == nil || *one == "" {
			return nil, false
		}
		names = []string{*one}
	} else {
		var some []*string
		if json.Unmarshal([]byte(subscription), &some) != nil || some == nil || slices.Contains(some, nil) {
			return nil, false
		}
		for _, name := range some {
			names = append(names, *name)
		}
	}
	for _, name := range names {
		p, err := broker.ParsePattern(name)
		switch {
		case err != nil:
			return nil, false
		case p == "/service" || broker.Pattern("/service/**").Covers(p):
		case p.Reserved():
			return nil, false
		case p.Overlaps("/closed/**") && !p.Covers("/**"), broker.Pattern("/token/**").Covers(p):
			return nil, false
		default:
			patterns = append(patterns, p)
		}
	}
	return patterns, true
}

// FuzzLastEventID tells a session which event a browser had last. A whole number of one that was sent confirms it and those before
// it, and everything else nothing.
func FuzzLastEventID(f *testing.F) {
	for _, id := range []string{"", "0", "3", "003", "6", "7", "-1", "+3", " 3", "3 ", "3_0", "0x3", "3e0", "1.0", "18446744073709551615", "18446744073709551616", "\u0663", "3,4"} {
		f.Add(id, uint8(6), uint8(2))
	}
	f.Fuzz(func(t *testing.T, id string, sent, confirmed uint8) {
		s := &session{}
		for range sent {
			s.sent.push([]broker.Delivery{{Message: &broker.Message{Channel: "/a"}}}, nil)
		}
		s.sent.popTo(uint64(confirmed))
		first := min(uint64(confirmed), uint64(sent))
		equal(t, "confirmed before", s.sent.first, first)
		if n, ok := new(big.Int).SetString(id, 10); ok && strings.Trim(id, "0123456789") == "" && n.Cmp(big.NewInt(int64(sent))) <= 0 {
			first = max(first, n.Uint64())
		}
		s.arrived(id)
		equal(t, "confirmed", s.sent.first, first)
		equal(t, "kept", s.sent.len(), int(sent)-int(first))
	})
}

// FuzzPong answers a ping with anything. Only the number that the latest question has, as it was written, confirms something.
func FuzzPong(f *testing.F) {
	for _, payload := range []string{"", "0", "1", "41", "42", "042", "+42", "43", "4294967338", "x", strings.Repeat("4", 125)} {
		f.Add(payload, uint32(42), true)
		f.Add(payload, uint32(42), false)
	}
	f.Fuzz(func(t *testing.T, payload string, number uint32, open bool) {
		h := &Handler{}
		sock := &socket{h: h, asked: number}
		if open {
			sock.askedAt = 1
		}
		s := &session{h: h, endpoint: sock}
		sock.sessions = []*session{s}
		s.sent.push([]broker.Delivery{{Message: &broker.Message{Channel: "/a"}}}, nil)
		s.asked = s.sent.next()
		sock.answeredPing(payload)
		answer := open && payload == fmt.Sprint(number)
		equal(t, "confirmed", s.sent.len() == 0, answer)
		equal(t, "an answer is due", sock.askedAt != 0, open && !answer)
	})
}
