package broker_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestBroker_counts_subscribers_and_receivers(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var all []*broker.Session
	for _, patterns := range [][]string{{"/chat/42"}, {"/chat/42", "/chat/*"}, {"/chat/*", "/**"}, {"/chat/**"}, {"/chat/7"}, {"/chat/*"}} {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		for _, p := range patterns {
			brokertest.Subscribe(t, s, p)
		}
		all = append(all, s)
	}
	counts := func() string {
		var got []int
		for _, p := range []broker.Pattern{"/chat/42", "/chat/*", "/chat/**", "/**", "/chat/9"} {
			got = append(got, b.Subscribers(p))
		}
		return fmt.Sprint(got, b.Receivers("/chat/42"), b.Receivers("/chat/9"), b.Receivers("/other"), b.Receivers("/chat"))
	}
	if got, want := counts(), "[2 3 1 1 0] 5 4 1 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r := brokertest.Publish(t, b, "/chat/42", `1`); r.Receivers != b.Receivers("/chat/42") {
		t.Errorf("%d received it, and %d were counted", r.Receivers, b.Receivers("/chat/42"))
	}
	all[1].Unsubscribe("/chat/42")
	all[2].Close(nil)
	if got, want := counts(), "[1 2 1 0 0] 4 3 0 0"; got != want {
		t.Errorf("after two have left: got %s, want %s", got, want)
	}
}

func TestBroker_names_readers(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for _, who := range []broker.Principal{
		{}, {Subject: "nobody's word"}, {Subject: "alice", Issuer: "default"}, {Subject: "alice", Issuer: "default"}, {Issuer: "default"},
	} {
		s := brokertest.Open(t, b, broker.SessionOptions{})
		for _, again := range []broker.Principal{who, {Subject: "second", Issuer: "default"}} {
			if _, err := s.Subscribe(t.Context(), again, "/a", broker.SubscribeOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := brokertest.Open(t, b, broker.SessionOptions{Readers: func(p broker.Pattern) iter.Seq[string] {
		return slices.Values([]string{"bob@" + string(p[1:]), "carol"})
	}})
	brokertest.Subscribe(t, link, "/a")
	brokertest.Subscribe(t, link, "/*")
	got := slices.Sorted(b.Readers("/a"))
	if want := []string{"", "", "", "alice", "alice", "bob@a", "carol"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range b.Readers("/a") {
		break // and nothing panics
	}
}

// Whoever counts by events must be told of each subscription's end once, whatever ended it.
func TestBroker_tells_of_every_end_of_a_subscription(t *testing.T) {
	counts := map[broker.Pattern]int{}
	var reasons []error
	b := brokertest.New(t, broker.Options{OnEvent: func(e broker.Event) {
		switch e.Type {
		case broker.EventSubscribed:
			counts[e.Pattern]++
		case broker.EventUnsubscribed:
			counts[e.Pattern]--
			reasons = append(reasons, e.Reason)
		default:
		}
	}})
	s := brokertest.Open(t, b, broker.SessionOptions{})
	for _, p := range []string{"/a", "/b", "/c"} {
		brokertest.Subscribe(t, s, p)
	}
	s.Unsubscribe("/a")
	s.Close(broker.ErrShutdown)
	if counts["/a"] != 0 || counts["/b"] != 0 || counts["/c"] != 0 || len(reasons) != 3 {
		t.Errorf("%v, ended for %v", counts, reasons)
	}
	if reasons[0] != nil || !broker.IsShutdown(reasons[1]) || !broker.IsShutdown(reasons[2]) {
		t.Errorf("reasons %v", reasons)
	}
}
