package brokertest

import (
	"context"
	"testing"

	"waft/broker"
)

// AllowAll lets anybody do anything.
var AllowAll = AuthorizerFunc(func(context.Context, broker.Principal, broker.Action, broker.Pattern) error { return nil })

// AuthorizerFunc is a function as an Authorizer.
type AuthorizerFunc func(ctx context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error

// Authorize implements broker.Authorizer.
func (f AuthorizerFunc) Authorize(ctx context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	return f(ctx, who, act, p)
}

// New starts a broker that ends with the test. Without an Authorizer in o, everything is allowed; without a
// Retention, every channel keeps 100 messages.
func New(t testing.TB, o broker.Options) *broker.Broker {
	t.Helper()
	if o.Authorizer == nil {
		o.Authorizer = AllowAll
	}
	if o.Retention == nil {
		o.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 100} }
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatalf("start a broker: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Shutdown(context.Background()); err != nil {
			t.Errorf("shut the broker down: %v", err)
		}
	})
	return b
}

// Open opens a session, or fails the test.
func Open(t testing.TB, b *broker.Broker, o broker.SessionOptions) *broker.Session {
	t.Helper()
	s, err := b.Open(o)
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	return s
}

// Subscribe subscribes anonymously, or fails the test.
func Subscribe(t testing.TB, s *broker.Session, p string) {
	t.Helper()
	if _, err := s.Subscribe(context.Background(), broker.Principal{}, broker.Pattern(p), broker.SubscribeOptions{}); err != nil {
		t.Fatalf("subscribe to %s: %v", p, err)
	}
}

// Publish publishes JSON anonymously, or fails the test.
func Publish(t testing.TB, b *broker.Broker, channel, data string) broker.Receipt {
	t.Helper()
	m := &broker.Message{Channel: broker.Channel(channel), Data: []byte(data)}
	r, err := b.Publish(context.Background(), broker.Principal{}, m, broker.PublishOptions{})
	if err != nil {
		t.Fatalf("publish %s to %s: %v", data, channel, err)
	}
	return r
}

// Texts is the data of deliveries, in order.
func Texts(ds []broker.Delivery) []string {
	texts := make([]string, len(ds))
	for i, d := range ds {
		texts[i] = string(d.Message.Data)
	}
	return texts
}
