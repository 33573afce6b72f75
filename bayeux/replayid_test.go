package bayeux

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/tidwall/gjson"

	"waft/broker"
)

var somewhere = broker.Position{Epoch: 7, Offset: 18}

func TestReplayID_shapes(t *testing.T) {
	n := number(t, somewhere)
	for data, want := range map[string]string{
		`{}`:                                 `{"event":{"replayId":N}}`,
		`{"a":1.0}`:                          `{"a":1.0,"event":{"replayId":N}}`,
		`{"event":{}}`:                       `{"event":{"replayId":N}}`,
		`{"event":{"type":"x"},"b":[]}`:      `{"event":{"type":"x","replayId":N},"b":[]}`,
		`{"event":{"replayId":1,"type":2}}`:  `{"event":{"type":2,"replayId":N}}`,
		`{"event":{"r\u0065playId":1}}`:      `{"event":{"replayId":N}}`,
		`{"\u0065vent":{"a":1}}`:             `{"\u0065vent":{"a":1,"replayId":N}}`,
		`{"Event":{"a":1}}`:                  `{"Event":{"a":1},"event":{"replayId":N}}`,
		`{"event":"click"}`:                  `{"payload":{"event":"click"},"event":{"replayId":N}}`,
		`{"event":null}`:                     `{"payload":{"event":null},"event":{"replayId":N}}`,
		`{"event":{},"event":{}}`:            `{"payload":{"event":{},"event":{}},"event":{"replayId":N}}`,
		`{"payload":1}`:                      `{"payload":1,"event":{"replayId":N}}`,
		`"hi"`:                               `{"payload":"hi","event":{"replayId":N}}`,
		`[{"event":{}}]`:                     `{"payload":[{"event":{}}],"event":{"replayId":N}}`,
		`9007199254740993`:                   `{"payload":9007199254740993,"event":{"replayId":N}}`,
		`null`:                               `{"payload":null,"event":{"replayId":N}}`,
		`{"":{"event":{"replayId":"deep"}}}`: `{"":{"event":{"replayId":"deep"}},"event":{"replayId":N}}`,
	} {
		equal(t, data, string(withReplayID([]byte(data), somewhere)), string(bytes.ReplaceAll([]byte(want), []byte("N"), []byte(n))))
	}
	far := broker.Position{Epoch: 7, Offset: 1 << 32}
	equal(t, "without a number", string(withReplayID([]byte(`{"a":1}`), far)), `{"a":1}`)
}

// On a channel with replay ids all Bayeux sessions see one shape; the history, which other protocols read, has the publisher's
// text.
func TestReplayID_is_on_the_channels_of_its_rules(t *testing.T) {
	s := newServer(t, replaying, func(o *Options, _ *broker.Options) {
		o.ReplayID = func(c broker.Channel) bool { return c != "/kept/a" }
	})
	plain, placed := s.connected(`["/sf/a","/kept/a","/nothing/kept"]`), s.handshakeReplay()
	ok(t, s.post(subscribe(placed, `"s"`, `["/sf/a","/kept/a","/nothing/kept"]`)).with(t, `"s"`))
	for _, channel := range []string{"/sf/a", "/kept/a", "/nothing/kept"} {
		s.event(channel, `{"a":1}`)
	}
	page, err := s.b.History(context.Background(), broker.Principal{}, "/sf/a", broker.Range{})
	if err != nil || len(page.Messages) != 1 {
		t.Fatal(page, err)
	}
	equal(t, "kept", string(page.Messages[0].Data), `{"a":1}`)
	at := page.Messages[0].Position
	want := `{"a":1,"event":{"replayId":` + number(t, at) + `}} {"a":1} {"a":1}`
	equal(t, "plain", s.got(plain), want)
	events := s.post(connectNow(placed, `"c"`))
	for i, w := range []string{`{"a":1,"event":{"replayId":` + number(t, at) + `}}`, `{"a":1}`, `{"a":1}`} {
		equal(t, "placed", events[i].Get("data").Raw, w)
	}
	equal(t, "position", events[0].Get("ext.replay").Str, at.String())
}

func FuzzReplayID(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"event":{"a":1}}`, `{"event":{"replayId":1}}`, `{"event":[]}`, `[]`, `"x"`, `{"":{}}`, `{"event":{},"event":1}`, `{"\ud800":1}`, `{"event":{"replayId":1,"replayId":2}}`,
		`{"":{},"Event":1}`,
	} {
		f.Add([]byte(seed))
	}
	n, _ := somewhere.Number()
	f.Fuzz(func(t *testing.T, data []byte) {
		var compact bytes.Buffer
		if !validJSON(string(data)) || json.Compact(&compact, data) != nil {
			return
		}
		data = compact.Bytes()
		was := bytes.Clone(data)
		out := withReplayID(data, somewhere)
		// Into maps: a struct would also take a member named "Event" for the event.
		var shaped, event map[string]json.RawMessage
		err := json.Unmarshal(out, &shaped)
		if err == nil {
			err = json.Unmarshal(shaped["event"], &event)
		}
		if err != nil || gjson.GetBytes(out, "event.replayId").Int() != n {
			t.Fatalf("%s becomes %s: %v", was, out, err)
		}
		if !bytes.Equal(data, was) {
			t.Fatalf("%s was changed", was)
		}
		if bytes.HasPrefix(out, []byte(`{"payload":`+string(was))) {
			return // all of it
		}
		// Every member is there, as it was written.
		gjson.ParseBytes(was).ForEach(func(key, value gjson.Result) bool {
			if key.Str != "event" && !bytes.Contains(out, []byte(key.Raw+":"+value.Raw)) {
				t.Fatalf("%s has lost %s in %s", was, key.Raw, out)
			}
			return true
		})
	})
}
