package sse

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"waft/broker"
	"waft/broker/outbox"
)

// A Fill that says that it gave all is not called again, so what it left behind would wait for the next event.
func TestFill_is_dry_when_nothing_is_left(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	o, err := s.handler.open(t.Context(), broker.Principal{}, ask{patterns: []broker.Pattern{"/a"}, form: single}, nil, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	st := o.st
	defer st.session.Close(nil)
	fill := func(want string, dry bool) {
		t.Helper()
		var sc outbox.Scratch
		if b := string(st.Fill(&sc)); !strings.Contains(b, want) || sc.Dry != dry {
			t.Errorf("got %.60q, dry: %v; want %q, dry: %v", b, sc.Dry, want, dry)
		}
	}
	s.publish("/a", `"one"`)
	fill(`"one"`, true)
	for range batch + 1 {
		s.publish("/a", `"many"`)
	}
	fill(`"many"`, false)
	fill(`"many"`, true)
	s.publish("/a", `"two"`)
	st.ping.Store(true)
	fill(`"two"`, false)
	fill(":\n", false)

	// One without a form is nothing, and what is due is not forgotten with it.
	m := &broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": []byte(`1`)}}
	if _, err := s.broker.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	st.ping.Store(true)
	fill(":\n", false)
}
