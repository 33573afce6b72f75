package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
)

// Whatever a configuration file holds, it is taken or refused with an error for exit code 2.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"lisen = 1", "drain = 10", "realm = 1", "[[realm]]\nid = 'a'\n[realm.bayeux]\nx.y.z = 1", "'' = 1", "http.a.b = {}", "[[realm.key]]",
		"[[realm]]\nkey = [{}]", "secret = {}", "drain.Duration = 1", "[[realm]]\nrule = [{match = '/**', history = 1}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &settings{}
		err := s.parse([]byte(text))
		if err == nil {
			s.complete()
			err = s.validate(nil)
		}
		if err == nil {
			return
		}
		if _, ok := errors.AsType[*configError](err); !ok || err.Error() == "" {
			t.Errorf("%q: %T %v", text, err, err)
		}
	})
}

// Whatever a server sends, each line that is printed is one JSON object.
func FuzzSubscribe(f *testing.F) {
	f.Add(`[{"channel":"/a","data":{"x":1}}]`)
	f.Add(`[{"channel":"/a\n","data":"\n"},{"channel":"/meta/x","data":1},{"channel":1}]`)
	f.Add("[{\"channel\":\"/a\",\"data\":[\n1\r\n]}]")
	f.Add(`[{"channel":"/meta/subscribe","error":"403::x"},{"data":null}]`)
	f.Fuzz(func(t *testing.T, frame string) {
		term := newTerminal(nil)
		c := &bayeuxClient{
			patterns: []string{"/a"}, note: func(string, ...any) {},
			message: func(channel string, data json.RawMessage) (bool, error) {
				return true, term.printMessage(channel, data)
			},
		}
		var messages []incoming
		if json.Unmarshal([]byte(frame), &messages) != nil {
			return
		}
		for i := range messages {
			if m := &messages[i]; m.Channel != "/meta/handshake" && m.Channel != "/meta/connect" { // these are answered
				_ = c.handle(context.Background(), m)
			}
		}
		d := json.NewDecoder(&term.out.text)
		lines := 0
		for _, b := range []byte(term.out.String()) {
			if b == '\n' {
				lines++
			}
		}
		for range lines {
			var line struct{ Channel, Data json.RawMessage }
			if err := d.Decode(&line); err != nil {
				t.Fatalf("%q: %v", frame, err)
			}
		}
		if d.More() {
			t.Fatalf("%q: more values than lines", frame)
		}
	})
}
