package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

func TestBroker_ListChannels_has_what_keeps_messages_and_what_is_subscribed_to(t *testing.T) {
	b := managed(t)
	brokertest.Publish(t, b, "/chat/2", "1")
	last := brokertest.Publish(t, b, "/chat/2", "2").Position
	brokertest.Publish(t, b, "/chat/1", "1")
	brokertest.Publish(t, b, "/news", "1")
	for _, protocol := range []string{"p", "p", "q"} {
		s := brokertest.Open(t, b, broker.SessionOptions{Protocol: protocol})
		brokertest.Subscribe(t, s, "/chat/2")
		brokertest.Subscribe(t, s, "/chat/silent")
		brokertest.Subscribe(t, s, "/chat/*")
	}
	list := func(prefix string, after broker.Channel, limit int) string {
		t.Helper()
		page, more, err := b.ListChannels(ctx, manager, prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, c := range page {
			text += fmt.Sprint(c.Channel, " ", c.Messages, " ", c.Subscriptions, "; ")
		}
		return text + fmt.Sprint(more)
	}
	for _, c := range []struct {
		prefix string
		after  broker.Channel
		limit  int
		want   string
	}{
		{"", "", 0, "/chat/1 1 map[]; /chat/2 2 map[p:2 q:1]; /chat/silent 0 map[p:2 q:1]; /news 1 map[]; false"},
		{"", "", 2, "/chat/1 1 map[]; /chat/2 2 map[p:2 q:1]; true"},
		{"", "/chat/2", 2, "/chat/silent 0 map[p:2 q:1]; /news 1 map[]; false"},
		{"/chat/s", "", 2, "/chat/silent 0 map[p:2 q:1]; false"},
		{"/chat/", "/chat/1", 1, "/chat/2 2 map[p:2 q:1]; true"},
		{"/nothing", "", 1, "false"},
	} {
		if got := list(c.prefix, c.after, c.limit); got != c.want {
			t.Errorf("%q after %q, %d: %s", c.prefix, c.after, c.limit, got)
		}
	}
	page, _, err := b.ListChannels(ctx, manager, "/chat/2", "", 1)
	if err != nil || page[0].Last != last {
		t.Errorf("the last position is %v, want %v (%v)", page[0].Last, last, err)
	}
	if by, receivers, err := b.Subscriptions(ctx, manager, "/chat/1"); err != nil || len(by) != 0 || receivers != 3 {
		t.Errorf("/chat/1 has %v, %d receivers (%v)", by, receivers, err)
	}
}

func TestBroker_channels_are_listed_to_those_who_manage(t *testing.T) {
	b := managed(t)
	if _, _, err := b.ListChannels(ctx, broker.Principal{}, "", "", 0); broker.KindOf(err) != broker.Forbidden {
		t.Errorf("listing by a stranger: %v", err)
	}
	if _, _, err := b.Subscriptions(ctx, broker.Principal{}, "/x"); broker.KindOf(err) != broker.Forbidden {
		t.Errorf("counting by a stranger: %v", err)
	}
}

func TestBroker_Stats_measures_traffic_and_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		for range 2 {
			brokertest.Subscribe(t, brokertest.Open(t, b, broker.SessionOptions{Protocol: "p"}), "/x")
		}
		time.Sleep(time.Minute)
		ended := brokertest.Open(t, b, broker.SessionOptions{Protocol: "p"})
		time.Sleep(time.Minute)
		ended.Close(nil)
		time.Sleep(time.Minute)
		m := &broker.Message{Channel: "/x", ID: "12", Data: []byte("12345")}
		if _, err := b.Publish(ctx, broker.Principal{}, m, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		s := b.Stats()
		if s.PublishedBytes != 9 || s.DeliveredBytes != 18 || s.SessionTime["p"] != 7*time.Minute {
			t.Errorf("%d bytes in, %d out, sessions lived %v", s.PublishedBytes, s.DeliveredBytes, s.SessionTime)
		}
	})
}
