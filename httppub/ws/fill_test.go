package ws

import (
	"slices"
	"strings"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/broker/outbox"
	"waft/httppub/place"
)

// A Fill that says that it gave all is not called again, so what it left behind would wait for the next message.
func TestFill_is_dry_when_nothing_is_left(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	open := func(window int32) *socket {
		s := &socket{window: window, session: brokertest.Open(t, b, broker.SessionOptions{})}
		s.feed.begin(0)
		for _, p := range []string{"/a", "/left"} {
			brokertest.Subscribe(t, s.session, p)
		}
		s.feed.groups["/a"] = &group{patterns: []broker.Pattern{"/a"}, cursor: new(place.Cursor)}
		return s
	}
	fill := func(s *socket, want string, dry bool) {
		t.Helper()
		var sc outbox.Scratch
		if b := string(s.Fill(&sc)); !strings.Contains(b, want) || sc.Dry != dry {
			t.Errorf("got %.60q, dry: %v; want %q, dry: %v", b, sc.Dry, want, dry)
		}
	}
	publish := func(channel, data string, n int) {
		for range n {
			brokertest.Publish(t, b, channel, data)
		}
	}

	s := open(0)
	publish("/a", `"one"`, 1)
	fill(s, `"one"`, true)
	publish("/a", `"many"`, batch+1)
	fill(s, `"many"`, false)
	fill(s, `"many"`, true)

	// What was queued before its subscription ended is taken, and is not sent.
	publish("/left", `"not"`, 10)
	publish("/a", `"more"`, batch)
	fill(s, `"more"`, false)
	fill(s, `"more"`, true)

	publish("/a", `"before"`, 1)
	s.feed.placeDue = true
	fill(s, `"before"`, false)

	// With pages of a replay, which take turns with what is queued.
	s.feed.placeDue = false
	publish("/a", `"live"`, 1)
	old := &broker.Message{Channel: "/a", Data: []byte(`"old"`)}
	s.feed.taken, s.feed.paging = make(chan struct{}), true
	s.feed.pages, s.feed.pagesOf = slices.Repeat([]*broker.Message{old}, batch+1), new(place.Cursor)
	for range 3 {
		fill(s, `"`, false)
	}
	if len(s.feed.pages) > 0 || s.session.Pending() > 0 {
		t.Error("something is left")
	}

	// An acknowledgement makes the connection ready, so a window that is full is an end too; but for what it has room for.
	s = open(3)
	publish("/a", `"one"`, 2)
	fill(s, `"one"`, true)
	publish("/a", `"two"`, 2)
	fill(s, `"two"`, false)
	fill(s, ``, false)
}
