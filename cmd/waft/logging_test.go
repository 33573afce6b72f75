package main

import (
	"io"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

// stuck is a log that takes nothing until it is released.
type stuck struct {
	io.Writer
	release chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.Writer.Write(p)
}

func TestEventLog_a_log_that_takes_nothing_stops_no_session(t *testing.T) {
	var text buffer
	out := &stuck{&text, make(chan struct{})}
	events := newEventLog(newLogger(out, "text", "debug"))
	b := newBroker(t, events)
	for range 2 * eventQueue {
		s, err := b.Open(broker.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close(nil)
	}
	close(out.release)
	events.close()
	if !strings.Contains(text.String(), "lines about sessions were left out") {
		t.Error("nothing tells of the lines left out")
	}
}

func TestEventLog_slow_readers_are_named_with_their_label_and_not_all_of_them(t *testing.T) {
	var text buffer
	events := newEventLog(newLogger(&text, "text", "info"))
	b := newBroker(t, events)
	var ids []string
	for range 100 {
		s, err := b.Open(broker.SessionOptions{Protocol: "test", MaxMessages: 1})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID())
		if _, err := s.Subscribe(t.Context(), broker.Principal{}, "/x", broker.SubscribeOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	token := broker.Principal{Issuer: "a", Grants: auth.Everything().Grants()}
	for range 2 {
		if _, err := b.Publish(t.Context(), token, &broker.Message{Channel: "/x", Data: []byte("1")}, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.close()
	log := text.String()
	if n := strings.Count(log, "its reader is too slow"); n == 0 || n > 10 {
		t.Errorf("%d lines about 100 slow readers", n)
	}
	if !strings.Contains(log, "realm=a session=test-") {
		t.Errorf("the realm and the session's label are missing in:\n%s", log)
	}
	for _, id := range ids {
		if strings.Contains(log, id) {
			t.Fatal("a session's id is in the log")
		}
	}
}

func TestEventLog_a_session_that_loses_its_oldest_is_named_now_and_then(t *testing.T) {
	var text buffer
	events := newEventLog(newLogger(&text, "text", "info"))
	b := newBroker(t, events)
	s, err := b.Open(broker.SessionOptions{Protocol: "test", MaxMessages: 1, Overflow: broker.DropOldest})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Subscribe(t.Context(), broker.Principal{}, "/x", broker.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	token := broker.Principal{Issuer: "a", Grants: auth.Everything().Grants()}
	for range 1000 {
		if _, err := b.Publish(t.Context(), token, &broker.Message{Channel: "/x", Data: []byte("1")}, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	events.close()
	log := text.String()
	if n := strings.Count(log, "gave way"); n == 0 || n > 10 || !strings.Contains(log, "session=test-1 messages_so_far=") {
		t.Errorf("%d lines:\n%s", n, log)
	}
	if n := b.Stats().Lost[broker.LostOldest]; n != 999 {
		t.Errorf("%d counted", n)
	}
}

func newBroker(t *testing.T, events *eventLog) *broker.Broker {
	t.Helper()
	rules, err := auth.NewRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{Authorizer: rules, OnEvent: events.of("a")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Shutdown(t.Context()) })
	return b
}
