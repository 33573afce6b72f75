package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publish(b *broker.Broker, who broker.Principal, m *broker.Message) (broker.Receipt, error) {
	return b.Publish(ctx, who, m, broker.PublishOptions{})
}

func TestNew_needs_an_authorizer(t *testing.T) {
	if _, err := broker.New(broker.Options{}); broker.KindOf(err) != broker.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestBroker_Publish_refuses(t *testing.T) {
	b := brokertest.New(t, broker.Options{MaxMessage: 1000})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/**")
	pad := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	for name, c := range map[string]struct {
		m    *broker.Message
		kind broker.Kind
	}{
		"no channel":            {&broker.Message{Data: []byte("1")}, broker.Invalid},
		"a meta channel":        {&broker.Message{Channel: "/meta/connect", Data: []byte("1")}, broker.Forbidden},
		"a service channel":     {&broker.Message{Channel: "/service", Data: []byte("1")}, broker.Forbidden},
		"no data":               {&broker.Message{Channel: "/a"}, broker.Invalid},
		"data that is not JSON": {&broker.Message{Channel: "/a", Data: []byte("{")}, broker.Invalid},
		"empty data":            {&broker.Message{Channel: "/a", Data: []byte{}}, broker.Invalid},
		"a bad format":          {&broker.Message{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": []byte("{")}}, broker.Invalid},
		"too much":              {&broker.Message{Channel: "/a", Data: pad(999)}, broker.TooLarge},
		"a long id":             {&broker.Message{Channel: "/a", Data: []byte("1"), ID: strings.Repeat("x", 513)}, broker.TooLarge},
		"a control character":   {&broker.Message{Channel: "/a", Data: []byte("1"), ID: "a\x01"}, broker.Invalid},
		"an id that is no text": {&broker.Message{Channel: "/a", Data: []byte("1"), ID: "a\xff"}, broker.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := publish(b, broker.Principal{}, c.m); err == nil || broker.KindOf(err) != c.kind {
				t.Errorf("got %v, want kind %v", err, c.kind)
			}
		})
	}
	if _, err := publish(b, broker.Principal{}, &broker.Message{Channel: "/a", Data: pad(998)}); err != nil {
		t.Errorf("at the size limit: %v", err)
	}
	if n := len(s.Drain(nil)); n != 1 {
		t.Errorf("%d messages were delivered, want the good one", n)
	}
}

func TestBroker_Publish_stamps(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a")
	r, err := publish(b, broker.Principal{Subject: "alice", Issuer: "default"}, &broker.Message{Channel: "/a", Data: []byte(` {"a" : 1.0} `)})
	if err != nil {
		t.Fatal(err)
	}
	m := s.Drain(nil)[0].Message
	if m.ID == "" || m.ID != r.ID || m.Publisher != "alice" || m.Time.IsZero() || m.Position != r.Position || string(m.Data) != `{"a":1.0}` {
		t.Errorf("delivered %+v, receipt %+v", m, r)
	}
}

func TestBroker_PublishAll_is_all_or_nothing(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
		func(_ context.Context, _ broker.Principal, act broker.Action, p broker.Pattern) error {
			if act == broker.ActPublish && p == "/closed" {
				return broker.Errorf(broker.Forbidden, "no")
			}
			return nil
		})})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/**")
	batch := func(third string) []broker.Publication {
		var ps []broker.Publication
		for _, c := range []string{"/a", "/b", third} {
			ps = append(ps, broker.Publication{Message: &broker.Message{Channel: broker.Channel(c), Data: []byte("1")}})
		}
		return ps
	}
	_, err := b.PublishAll(ctx, broker.Principal{}, batch("/closed"))
	at, ok := errors.AsType[*broker.BatchError](err)
	if !ok || at.Index != 2 || broker.KindOf(err) != broker.Forbidden {
		t.Errorf("got %v", err)
	}
	if n := s.Pending(); n != 0 {
		t.Errorf("%d messages of a refused batch were delivered", n)
	}
	if receipts, err := b.PublishAll(ctx, broker.Principal{}, batch("/c")); err != nil || len(receipts) != 3 {
		t.Errorf("a good batch: %v, %v", receipts, err)
	}
	if n := s.Pending(); n != 3 {
		t.Errorf("%d messages of a good batch were delivered", n)
	}
}

// question is one call of an Authorizer.
type question struct {
	act broker.Action
	p   broker.Pattern
}

func TestBroker_asks_once_for_each_right(t *testing.T) {
	var mu sync.Mutex
	var asked []question
	b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
		func(_ context.Context, _ broker.Principal, act broker.Action, p broker.Pattern) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, question{act, p})
			return nil
		})})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	subscribe := func(p broker.Pattern, o broker.SubscribeOptions) func() error {
		return func() error {
			_, err := s.Subscribe(ctx, broker.Principal{}, p, o)
			return err
		}
	}
	for _, c := range []struct {
		name string
		do   func() error
		want []question
	}{
		{"publish", func() error {
			_, err := publish(b, broker.Principal{}, &broker.Message{ID: "x", Channel: "/a/b", Data: []byte("1")})
			return err
		}, []question{{broker.ActPublish, "/a/b"}}},
		{"subscribe", subscribe("/a/**", broker.SubscribeOptions{}), []question{{broker.ActSubscribe, "/a/**"}}},
		{"subscribe with history", subscribe("/a/b", broker.SubscribeOptions{Last: 1}), []question{{broker.ActSubscribe, "/a/b"}, {broker.ActRead, "/a/b"}}},
		{"resume", subscribe("/a/b", broker.SubscribeOptions{Since: broker.Position{Epoch: 1, Offset: 1}, BestEffort: true}), []question{{broker.ActSubscribe, "/a/b"}, {broker.ActRead, "/a/b"}}},
		{"replay a wildcard", subscribe("/a/*", broker.SubscribeOptions{Last: -1}), []question{{broker.ActSubscribe, "/a/*"}, {broker.ActRead, "/a/*"}}},
		{"history", func() error { _, err := b.History(ctx, broker.Principal{}, "/a/b", broker.Range{}); return err }, []question{{broker.ActRead, "/a/b"}}},
		{"remove", func() error { return b.Remove(ctx, broker.Principal{}, "/a/b", "x", true) }, []question{{broker.ActPublish, "/a/b"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked = nil
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(asked) != fmt.Sprint(c.want) {
				t.Errorf("asked %v, want %v", asked, c.want)
			}
		})
	}
}

func TestBroker_a_refused_operation_changes_nothing(t *testing.T) {
	closed := true
	b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
		func(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
			if closed {
				return broker.Errorf(broker.Forbidden, "closed")
			}
			return nil
		})})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	_, err1 := s.Subscribe(ctx, broker.Principal{}, "/a", broker.SubscribeOptions{})
	_, err2 := publish(b, broker.Principal{}, &broker.Message{Channel: "/a", Data: []byte("1")})
	_, err3 := b.History(ctx, broker.Principal{}, "/a", broker.Range{})
	for _, err := range []error{err1, err2, err3, b.Remove(ctx, broker.Principal{}, "/a", "x", false)} {
		if broker.KindOf(err) != broker.Forbidden || err == nil {
			t.Errorf("got %v", err)
		}
	}
	closed = false
	if len(s.Subscriptions()) != 0 || b.Stats().Engine.Channels != 0 {
		t.Error("a refused operation left something behind")
	}
	if _, err := s.Subscribe(ctx, broker.Principal{}, "/meta/**", broker.SubscribeOptions{}); broker.KindOf(err) != broker.Forbidden {
		t.Errorf("subscribing to a reserved space: %v", err)
	}
}

func TestBroker_Remove_tells_subscribers_in_order(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	brokertest.Subscribe(t, s, "/a")
	r := brokertest.Publish(t, b, "/a", "1")
	if err := b.Remove(ctx, broker.Principal{}, "/a", r.ID, true); err != nil {
		t.Fatal(err)
	}
	brokertest.Publish(t, b, "/a", "2")
	ds := s.Drain(nil)
	if len(ds) != 3 || !ds[1].Message.Retracted || ds[1].Message.ID != r.ID {
		t.Errorf("got %d deliveries, %+v", len(ds), ds)
	}
}

func TestBroker_Channels_shows_only_what_may_be_subscribed(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
		func(_ context.Context, _ broker.Principal, act broker.Action, p broker.Pattern) error {
			if act == broker.ActSubscribe && broker.Pattern("/secret/**").Overlaps(p) {
				return broker.Errorf(broker.Forbidden, "hidden")
			}
			return nil
		})})
	for _, c := range []string{"/secret/x", "/b", "/a", "/c"} {
		brokertest.Publish(t, b, c, "1")
	}
	list, err := b.Channels(ctx, broker.Principal{}, "/**", "", 2)
	if err != nil || len(list) != 2 || list[0].Channel != "/a" || list[1].Channel != "/b" {
		t.Errorf("first page: %v, %v", list, err)
	}
	list, err = b.Channels(ctx, broker.Principal{}, "/**", "/b", 2)
	if err != nil || len(list) != 1 || list[0].Channel != "/c" {
		t.Errorf("second page: %v, %v", list, err)
	}
}

// countingEncoder counts how often it runs, per message.
type countingEncoder struct {
	form string
	runs *atomic.Int32
}

func (e countingEncoder) EncodeMessage(m *broker.Message) ([]byte, error) {
	e.runs.Add(1)
	if e.form == "skip" {
		return nil, broker.ErrSkip
	}
	return []byte(e.form + string(m.Data)), nil
}

func TestMessage_each_encoder_runs_once(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	encoders := []countingEncoder{{"a", new(atomic.Int32)}, {"b", new(atomic.Int32)}, {"skip", new(atomic.Int32)}}
	var readers sync.WaitGroup
	for range 16 {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		brokertest.Subscribe(t, s, "/x")
		readers.Go(func() {
			ds, err := s.Receive(ctx, 1)
			if err != nil {
				t.Error(err)
				return
			}
			for _, e := range encoders {
				got, err := ds[0].Message.Encoded(e)
				if e.form == "skip" && !errors.Is(err, broker.ErrSkip) || e.form != "skip" && string(got) != e.form+"1" {
					t.Errorf("form %s: %q, %v", e.form, got, err)
				}
			}
		})
	}
	brokertest.Publish(t, b, "/x", "1")
	readers.Wait()
	for _, e := range encoders {
		if n := e.runs.Load(); n != 1 {
			t.Errorf("encoder %s ran %d times", e.form, n)
		}
	}
}

func TestBroker_Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.Options{Authorizer: brokertest.AllowAll})
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 1)
		s := brokertest.Open(t, b, broker.SessionOptions{IdleTTL: time.Hour, Ended: func(_ *broker.Session, err error) {
			time.Sleep(time.Second) // an adapter that has to say goodbye first
			told <- err
		}})
		brokertest.Subscribe(t, s, "/a")
		brokertest.Publish(t, b, "/a", "1")
		hurried, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := b.Shutdown(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a shutdown that could not wait: %v", err)
		}
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-told; !broker.IsShutdown(err) {
			t.Errorf("the session was told %v", err)
		}
		if _, err := b.Open(broker.SessionOptions{}); broker.KindOf(err) != broker.Closed {
			t.Errorf("open afterwards: %v", err)
		}
		if _, err := publish(b, broker.Principal{}, &broker.Message{Channel: "/a", Data: []byte("1")}); broker.KindOf(err) != broker.Closed {
			t.Errorf("publish afterwards: %v", err)
		}
		if st := b.Stats(); st.Lost[broker.LostShutdown] != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestBroker_tells_of_events(t *testing.T) {
	var got []string
	b := brokertest.New(t, broker.Options{OnEvent: func(e broker.Event) {
		got = append(got, fmt.Sprint(e.Type, e.Session.Label(), e.Pattern, e.Reason))
	}})
	s := brokertest.Open(t, b, broker.SessionOptions{Protocol: "test"})
	brokertest.Subscribe(t, s, "/a")
	brokertest.Subscribe(t, s, "/a")
	s.Unsubscribe("/a")
	s.Close(nil)
	want := fmt.Sprint([]string{
		fmt.Sprint(broker.EventOpened, "test-1", "", nil), fmt.Sprint(broker.EventSubscribed, "test-1", "/a", nil),
		fmt.Sprint(broker.EventUnsubscribed, "test-1", "/a", nil), fmt.Sprint(broker.EventEnded, "test-1", "", "the session was closed"),
	})
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk on fire")
	for _, c := range []struct {
		err  error
		kind broker.Kind
		text string
	}{
		{broker.Errorf(broker.Forbidden, "not you"), broker.Forbidden, "not you"},
		{fmt.Errorf("publish: %w", broker.Errorf(broker.TooLarge, "big")), broker.TooLarge, "big"},
		{broker.Errorf(broker.Internal, "secret: %w", cause), broker.Internal, "internal error"},
		{cause, broker.Internal, "internal error"},
		{context.Canceled, broker.Unavailable, "the request ended before it was done"},
	} {
		if broker.KindOf(c.err) != c.kind || broker.TextOf(c.err) != c.text {
			t.Errorf("%v: kind %v, text %q", c.err, broker.KindOf(c.err), broker.TextOf(c.err))
		}
	}
	if !errors.Is(broker.Errorf(broker.Internal, "x: %w", cause), cause) {
		t.Error("the cause is not unwrapped")
	}
}
