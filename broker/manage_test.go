package broker_test

import (
	"context"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

// managed lets alice manage and nobody else.
func managed(t *testing.T) *broker.Broker {
	return brokertest.New(t, broker.Options{Authorizer: brokertest.AuthorizerFunc(
		func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
			if act == broker.ActManage && who.Subject != "alice" {
				return broker.Errorf(broker.Forbidden, "%q may not %s %s", who.Subject, act, p)
			}
			return nil
		})})
}

var manager = broker.Principal{Subject: "alice", Issuer: "test"}

func TestBroker_ListSessions_pages_in_the_order_of_opening(t *testing.T) {
	b := managed(t)
	var labels []string
	for _, protocol := range []string{"b", "a", "b", "a", "c"} {
		s := brokertest.Open(t, b, broker.SessionOptions{Protocol: protocol})
		labels = append(labels, s.Label())
		brokertest.Subscribe(t, s, "/x")
	}
	brokertest.Publish(t, b, "/x", "1")
	s, _, err := b.ListSessions(ctx, manager, "", 2)
	if err != nil {
		t.Fatal(err)
	}
	if s[0].Label != labels[0] || s[0].Protocol != "b" || s[0].Subscriptions != 1 || s[0].Pending != 1 || s[0].Opened.IsZero() {
		t.Errorf("the first is %+v", s[0])
	}
	var got []string
	for after, left := "", 1; left > 0; {
		page, more, err := b.ListSessions(ctx, manager, after, 2)
		if err != nil || len(page) > 2 {
			t.Fatal(page, err)
		}
		for _, s := range page {
			got = append(got, s.Label)
		}
		after, left = page[len(page)-1].Label, more
		if after == labels[1] { // that its place ends does not end the walk
			if err := b.EndSession(ctx, manager, after); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantTexts(t, got, labels...)
	if _, _, err := b.ListSessions(ctx, manager, "x", 2); broker.KindOf(err) != broker.Invalid {
		t.Errorf("a label that is none: %v", err)
	}
}

func TestBroker_EndSession(t *testing.T) {
	b := managed(t)
	s := brokertest.Open(t, b, broker.SessionOptions{Protocol: "p"})
	door := brokertest.Open(t, b, broker.SessionOptions{Protocol: "p", Fixture: true})
	for _, c := range []struct {
		name, label string
		who         broker.Principal
		want        broker.Kind
	}{
		{"who does not manage", s.Label(), broker.Principal{Subject: "bob"}, broker.Forbidden},
		{"none of that label", "p-7", manager, broker.NotFound},
		{"the secret id is no label", s.ID(), manager, broker.NotFound},
		{"a part of the server", door.Label(), manager, broker.Conflict},
	} {
		if err := b.EndSession(ctx, c.who, c.label); broker.KindOf(err) != c.want || s.Err() != nil || door.Err() != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := b.EndSession(ctx, manager, s.Label()); err != nil || broker.KindOf(s.Err()) != broker.Closed {
		t.Errorf("ending answers %v, the session %v", err, s.Err())
	}
	if _, _, err := b.ListSessions(ctx, broker.Principal{}, "", 0); broker.KindOf(err) != broker.Forbidden {
		t.Errorf("listing by a stranger: %v", err)
	}
}
