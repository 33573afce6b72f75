package xmpp

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"testing"

	"mellium.im/xmpp/jid"

	"waft/broker"
	"waft/broker/brokertest"
)

func newTestAudience(t *testing.T) *audience {
	b := brokertest.New(t, broker.Options{})
	s := brokertest.Open(t, b, broker.SessionOptions{MaxSubscriptions: -1})
	return newAudience(s, maphash.MakeSeed(), 1000, 100_000)
}

// One comes while the last other goes: whoever is first, the one who came is subscribed, in the broker too.
func TestAudience_a_subscription_made_while_the_last_one_ends_is_not_lost(t *testing.T) {
	a := newTestAudience(t)
	one, other := jid.MustParse("one@localhost"), jid.MustParse("other@localhost")
	for range 2000 {
		if _, _, err := a.subscribe(t.Context(), broker.Principal{}, one, "/a", wish{slash: true}); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { a.unsubscribe(one.String(), "/a") })
		both.Go(func() {
			if _, _, err := a.subscribe(context.Background(), broker.Principal{}, other, "/a", wish{slash: true}); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if len(a.listeners("/a")) == 0 || len(a.session.Subscriptions()) != 1 {
			t.Fatal("the subscription is lost")
		}
		a.unsubscribe(other.String(), "/a")
		if n := len(a.session.Subscriptions()); n != 0 {
			t.Fatalf("the session has %d subscriptions, want none", n)
		}
	}
}

// Who comes and goes leaves nothing behind, though others stay.
func TestAudience_forgets_who_has_gone(t *testing.T) {
	a := newTestAudience(t)
	for i := range 1000 {
		if _, _, err := a.subscribe(t.Context(), broker.Principal{}, jid.MustParse(fmt.Sprintf("user%d@localhost/x", i)), "/a", wish{slash: true}); err != nil {
			t.Fatal(err)
		}
		if i >= 10 {
			a.drop(fmt.Sprintf("user%d@localhost/x", i-10))
		}
		if n := len(a.listeners("/a")); n > 25 {
			t.Fatalf("10 subscriptions keep a list of %d", n)
		}
	}
	if subs, users, patterns := a.size(); subs != 10 || users != 10 || patterns != 1 {
		t.Errorf("%d subscriptions, %d users, %d patterns; want 10, 10, 1", subs, users, patterns)
	}
}
