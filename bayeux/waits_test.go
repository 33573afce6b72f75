package bayeux

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/outbox/park"
)

// isHeld tells whether the session's poll has given up its request.
func (s *server) isHeld(id string) bool {
	session := s.h.session(id)
	session.mu.Lock()
	defer session.mu.Unlock()
	p, ok := session.endpoint.(*poll)
	return ok && p.held != nil
}

// What waits for a session may be nothing that a poll can be answered with. Then it is held like any other, and keeps neither its request nor a
// worker of its loop.
func TestHold_polls_for_which_nothing_waits_that_they_can_have(t *testing.T) {
	const full = `,"ext":{"ack":true}`
	for name, wait := range map[string]struct {
		ext   string
		queue func(s *server, i int)
	}{
		"a message without a form here": {queue: func(s *server, _ int) {
			m := &broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"xmpp": json.RawMessage(`"<a/>"`)}}
			if _, err := s.b.Publish(context.Background(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
				s.t.Fatal(err)
			}
		}},
		"more than may be unacknowledged": {ext: full, queue: func(s *server, i int) { s.event("/a", fmt.Sprint(i)) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handedBack, longLived, func(o *Options, _ *broker.Options) { o.MaxUnconfirmed = 2 })
			m := s.post(msg("/meta/handshake", "", `"h"`, `"version":"1.0","supportedConnectionTypes":["long-polling"]`+wait.ext)).with(t, `"h"`)
			id := m.Get("clientId").Str
			s.post(connect(id, `"0"`))
			ok(t, s.post(subscribe(id, `"s"`, `"/a"`)).with(t, `"s"`))
			w := s.wire()
			for i := range 2 {
				w.send(rawPost(connect(id, `"1"`)))
				eventually(t, func() bool { return s.isHeld(id) })
				s.event("/a", fmt.Sprint(i))
				equal(t, "event", strings.Join(w.messages().events(), ","), fmt.Sprint(i))
			}
			s.idleNow(1)
			for i := range 3 {
				wait.queue(s, i)
				w.send(rawPost(connect(id, `"1"`)))
				eventually(t, func() bool { return s.isHeld(id) })
				s.heldNow(1)
				other := s.wire()
				other.send(rawPost(connectNow(id, `"1"`)))
				other.next()
				w.messages() // it was superseded
				other.nc.Close()
				s.idleNow(1)
			}
		})
	}
}

// A poll that comes at the moment at which the handler stops is answered at once: the worker that serves it has others to serve.
func TestAlike_a_poll_that_comes_as_the_handler_stops_does_not_wait(t *testing.T) {
	onLinux(t)
	s := newServer(t, handedBack, longLived)
	id := s.connected(`"/a"`)
	w := s.wire()
	w.send(rawPost(connect(id, `"1"`)))
	s.heldNow(1)
	s.event("/a", "1")
	w.messages()
	c := s.resting(w)
	s.h.draining.Store(true)
	defer s.h.draining.Store(false)
	answers := make(chan *answer, 1)
	go func() {
		m, _ := plainConnect(connect(id, `"1"`))
		a, _ := c.serveAlike(new(park.Worker), s.h.now(), &m)
		answers <- a
	}()
	var a *answer
	eventually(t, func() bool {
		select {
		case a = <-answers:
			return true
		default:
			return false
		}
	})
	ok(t, parseReply(t, string(a.body)).with(t, `"1"`))
	equal(t, "polls", s.h.Stats().Polls, 0)
}

// A newer endpoint may take a poll's place just before that is held, and something may come for it: nobody rings for that.
func TestHold_a_poll_that_has_something_to_say_before_it_is_held(t *testing.T) {
	s := newServer(t, longLived)
	id := s.connected(`"/a"`)
	session := s.h.session(id)
	p := &poll{s: session}
	c := &heldPoll{back: &handback{h: s.h}, asked: asked{s: session, poll: p, hold: time.Hour}}
	c.timer = s.h.wheel.AfterFunc(time.Hour, func() {})
	defer c.timer.Stop()
	equal(t, "quiet", c.keeps(s.h.now()), true)
	p.superseded = true
	equal(t, "quiet when superseded", c.keeps(s.h.now()), false)
	p.superseded = false
	s.event("/a", "1")
	equal(t, "quiet when something waits", c.keeps(s.h.now()), false)
	session.queue.Drain(nil)
	equal(t, "quiet", c.keeps(s.h.now()), true)
	session.queue.Close(nil)
	equal(t, "quiet when the session has ended", c.keeps(s.h.now()), false)
}
