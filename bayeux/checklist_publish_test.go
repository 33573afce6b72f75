package bayeux

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// 8.7 Subscribe, publish, delivery.
var publishRows = []row{
	{69, "subscription_is_echoed_as_it_came", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		for _, sub := range []string{`"/a"`, `["/b","/c/*"]`, `["/d"]`} {
			m := s.post(subscribe(id, `"1"`, sub)).with(t, `"1"`)
			ok(t, m)
			equal(t, "subscription", m.Get("subscription").Raw, sub)
			equal(t, "clientId", m.Get("clientId").Str, id)
		}
		for _, c := range []string{"/a", "/b", "/c/x", "/d"} {
			s.event(c, "1")
		}
		equal(t, "events", len(s.post(connect(id, `"c"`)).events()), 4)
	}},
	{70, "array_is_all_or_nothing", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxSubscriptions = 3 })
		id := s.connected(`"/kept"`)
		for sub, want := range map[string]string{
			`["/a","bad","/b"]`:        "405:bad:Invalid channel",
			`["/a","/meta/x","/b"]`:    "403:/meta/x:Forbidden channel",
			`["/a","/closed/x","/b"]`:  "403:/closed/x:Forbidden channel",
			`["/a",7]`:                 "405:7:Invalid channel",
			`["/a","/b","/c"]`:         "429:/c:Limit reached", // together with /kept
			`["/kept","/a","/b","/c"]`: "429:/c:Limit reached",
		} {
			m := s.post(subscribe(id, `"1"`, sub)).with(t, `"1"`)
			fails(t, m, want)
			equal(t, "subscription", m.Get("subscription").Raw, sub)
		}
		s.event("/a", "1")
		s.event("/kept", "2")
		equal(t, "events", strings.Join(s.post(connect(id, `"c"`)).events(), ","), "2")
	}},
	{71, "odd_subscriptions", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		fails(t, s.post(msg("/meta/subscribe", id, `"1"`, "")).with(t, `"1"`), "402:subscription:Missing required parameter")
		fails(t, s.post(subscribe(id, `"1"`, `""`)).with(t, `"1"`), "402:subscription:Missing required parameter")
		fails(t, s.post(subscribe(id, `"1"`, `null`)).with(t, `"1"`), "402")
		fails(t, s.post(subscribe(id, `"1"`, `5`)).with(t, `"1"`), "405:5:Invalid channel")
		fails(t, s.post(subscribe(id, `"1"`, `{"a":1}`)).with(t, `"1"`), "405")
		ok(t, s.post(subscribe(id, `"1"`, `[]`)).with(t, `"1"`))
	}},
	{72, "channel_grammar", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		for _, good := range []string{"/a/b", "/-_!~()$@", "/a/*", "/a/**", "/*", "/**"} {
			ok(t, s.post(subscribe(id, `"1"`, strconv.Quote(good))).with(t, `"1"`))
		}
		for _, bad := range []string{"/", "a", "/a/", "/a//b", "/a/*/b", "/a/b*", "/a/***", "/a b", "/a.b", "/ä", "/a%20", "/a\n/b"} {
			fails(t, s.post(subscribe(id, `"1"`, strconv.Quote(bad))).with(t, `"1"`), "405")
			fails(t, s.post(`{"id":"1","clientId":"`+id+`","data":1,"channel":`+strconv.Quote(bad)+`}`).with(t, `"1"`), "405")
		}
	}},
	{73, "meta_channels_cannot_be_subscribed_to", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		for _, name := range []string{"/meta/connect", "/meta/*", "/meta/**", "/meta"} {
			fails(t, s.post(subscribe(id, `"1"`, `"`+name+`"`)).with(t, `"1"`), "403:"+name+":Forbidden channel")
		}
	}},
	{74, "service_subscription_is_a_no_op", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		for _, name := range []string{"/service/x", "/service/*", "/service/**"} {
			ok(t, s.post(subscribe(id, `"1"`, `"`+name+`"`)).with(t, `"1"`))
		}
		ok(t, s.post(publish(id, `"2"`, "/service/x", "1")).with(t, `"2"`))
		equal(t, "events", len(s.post(connectNow(id, `"3"`)).events()), 0)
		equal(t, "subscriptions", s.b.Stats().Subscriptions, 0)
	}},
	{75, "subscribe_without_a_session", func(t *testing.T) {
		s := newServer(t)
		for _, channel := range []string{"/meta/subscribe", "/meta/unsubscribe"} {
			fails(t, s.post(msg(channel, "nosuch", `"1"`, `"subscription":"/a"`)).with(t, `"1"`), "401:nosuch:Unknown client")
			fails(t, s.post(msg(channel, "", `"1"`, `"subscription":"/a"`)).with(t, `"1"`), "402:clientId:Missing required parameter")
		}
	}},
	{76, "one_event_however_often_subscribed", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a/*"`, `"/a/*"`, `"/a/b"`, `"/a/**"`, `"/**"`)
		s.event("/a/b", "1")
		equal(t, "events", len(s.post(connect(id, `"1"`)).events()), 1)
		ok(t, s.post(msg("/meta/unsubscribe", id, `"2"`, `"subscription":["/a/*","/a/**","/**"]`)).with(t, `"2"`))
		s.event("/a/c", "2")
		s.event("/a/b", "3")
		equal(t, "events after", strings.Join(s.post(connect(id, `"3"`)).events(), ","), "3")
	}},
	{77, "patterns", func(t *testing.T) {
		s := newServer(t)
		for pattern, want := range map[string]string{`"/a/*"`: "/a/b", `"/a/**"`: "/a/b,/a/b/c", `"/**"`: "/a,/a/b,/a/b/c"} {
			id := s.connected(pattern)
			for _, c := range []string{"/a", "/a/b", "/a/b/c", "/service/x"} {
				ok(t, s.post(publish(id, "", c, `"`+c+`"`))[0])
			}
			got := strings.ReplaceAll(strings.Join(s.post(connectNow(id, `"1"`)).events(), ","), `"`, "")
			equal(t, pattern, got, want)
		}
	}},
	{78, "unsubscribe", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a/*"`, `"/a/b"`)
		ok(t, s.post(msg("/meta/unsubscribe", id, `"1"`, `"subscription":"/a/*"`)).with(t, `"1"`))
		m := s.post(msg("/meta/unsubscribe", id, `"1"`, `"subscription":"/never"`)).with(t, `"1"`)
		ok(t, m)
		equal(t, "subscription", m.Get("subscription").Raw, `"/never"`)
		s.event("/a/b", "1")
		equal(t, "events", len(s.post(connect(id, `"2"`)).events()), 1)
	}},
	{79, "publish_after_subscribe_in_a_batch", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		s.post("[" + subscribe(id, `"1"`, `"/b"`) + "," + publish(id, `"2"`, "/b", "1") + "]")
		equal(t, "events", len(s.post(connect(id, `"3"`)).events()), 1)
	}},
	{80, "publish_is_acknowledged", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		m := s.post(publish(id, `"1"`, "/a", `{"x":1}`)).with(t, `"1"`)
		equal(t, "ack", m.Raw, `{"id":"1","clientId":"`+id+`","channel":"/a","successful":true}`)
	}},
	{81, "publish_without_a_session", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/**"`)
		ok(t, s.post(publish("", `"1"`, "/a", "1")).with(t, `"1"`))
		fails(t, s.post(publish("", `"1"`, "/token/a", "2")).with(t, `"1"`), "403:/token/a:Authentication required")
		fails(t, s.post(publish("expired", `"1"`, "/a", "3")).with(t, `"1"`), "401:expired:Unknown client")
		ok(t, s.send(request{body: publish("", `"1"`, "/token/a", "4"), header: map[string]string{"Authorization": "bearer good"}}).with(t, `"1"`))
		ok(t, s.post(msg("/token/a", "", `"1"`, `"data":5,"ext":{"auth":{"token":"good"}}`)).with(t, `"1"`))
		fails(t, s.post(msg("/a", "", `"1"`, `"data":6,"ext":{"token":"bad"}`)).with(t, `"1"`), "403")
		equal(t, "delivered", strings.Join(s.post(connect(id, `"2"`)).events(), ","), "1,4,5")
	}},
	{82, "publish_without_data", func(t *testing.T) {
		s := newServer(t)
		fails(t, s.post(msg("/a", s.connected(), `"1"`, "")).with(t, `"1"`), "402:data:Missing required parameter")
	}},
	{83, "data_keeps_its_text", func(t *testing.T) {
		s := newServer(t)
		c := s.socket()
		wsID, id := c.connected(`"/a"`), s.connected(`"/a"`)
		for i, data := range []string{
			"null", "false", "0", `""`, `"s"`, "[]", "{}", "9007199254740993", "1.0", `{"b":1,"a":2}`, "-0", "1e400",
			`"\u2028\ud83d\ude00 é <&> \/"`, `{"a":1,"a":2}`, strings.Repeat("[", 100) + strings.Repeat("]", 100),
		} {
			ok(t, s.post(publish(wsID, "", "/a", data))[0])
			equal(t, "over the socket", c.next().Get("data").Raw, data)
			equal(t, "over a poll", strings.Join(s.post(connect(id, strconv.Itoa(i))).events(), "|"), data)
		}
	}},
	{84, "unpublishable_channels", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/**"`)
		for channel, want := range map[string]string{
			"/a/*": "405:/a/*:Invalid channel", "/a/**": "405", "/meta": "403:/meta:Forbidden channel", "/meta/x": "403:/meta/x:Forbidden channel",
			"/closed/a": "403:/closed/a:Forbidden channel",
		} {
			fails(t, s.post(publish(id, `"1"`, channel, "1")).with(t, `"1"`), want)
		}
		equal(t, "events", len(s.post(connectNow(id, `"2"`)).events()), 0)
	}},
	{85, "service_publish_is_acknowledged_and_goes_nowhere", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/service/**"`, `"/**"`)
		ok(t, s.post(publish(id, `"1"`, "/service/x", "1")).with(t, `"1"`))
		equal(t, "events", len(s.post(connectNow(id, `"2"`)).events()), 0)
	}},
	{86, "nothing_but_channel_and_data_is_delivered", func(t *testing.T) {
		s := newServer(t)
		id, c := s.connected(`"/a"`), s.socket()
		c.connected(`"/a"`)
		ok(t, s.post(msg("/a", "", `"x1"`, `"data":1,"advice":{"reconnect":"none"},"successful":false,"error":"400::x","subscription":"/b","foo":1`)).with(t, `"x1"`))
		equal(t, "over the socket", c.next().Raw, `{"channel":"/a","data":1}`)
		equal(t, "over a poll", s.post(connect(id, `"1"`))[0].Raw, `{"channel":"/a","data":1}`)
		s.event("/a", "2") // and the subscriber goes on
		equal(t, "next poll", len(s.post(connect(id, `"2"`)).events()), 1)
	}},
	{87, "only_allowed_ext_is_delivered", func(t *testing.T) {
		s := newServer(t, func(_ *Options, o *broker.Options) {
			o.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 1} }
		})
		id := s.connected(`"/a"`)
		ok(t, s.post(msg("/a", id, `"1"`, `"data":1,"ext":{"token":"good","binary":{"x":[1]},"secret":"s"}`)).with(t, `"1"`))
		equal(t, "event", s.post(connect(id, `"2"`))[0].Raw, `{"channel":"/a","data":1,"ext":{"binary":{"x":[1]}}}`)
		page, err := s.b.History(t.Context(), broker.Principal{}, "/a", broker.Range{})
		if err != nil || len(page.Messages) != 1 {
			t.Fatal(err, page)
		}
		equal(t, "what is kept of it", string(page.Messages[0].Formats[extFormat]), `{"binary":{"x":[1]}}`)
		// Not even from another door.
		other := &broker.Message{
			Channel: "/a", Data: []byte("1"),
			Formats: map[string]json.RawMessage{extFormat: json.RawMessage(`{"advice":{},"binary":{}}`)},
		}
		if _, err := s.b.Publish(t.Context(), broker.Principal{}, other, broker.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		equal(t, "event", s.post(connect(id, `"3"`))[0].Raw, `{"channel":"/a","data":1,"ext":{"binary":{}}}`)
	}},
	{88, "repeated_publish_is_delivered_once", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			c := s.socket()
			one, two := c.connected(`"/a"`), s.connected()
			for range 3 {
				ok(t, s.post(publish(one, `"7"`, "/a", `"same"`)).with(t, `"7"`))
				time.Sleep(time.Second) // within the grace of the sessions
				s.post(connectNow(two, `"0"`))
			}
			equal(t, "once", c.next().Get("data").Raw, `"same"`)
			for c.queue = nil; ; {
				if m := c.next(); m.Get("channel").Str == "/meta/connect" {
					break
				} else {
					t.Errorf("again: %s", m.Raw)
				}
			}
			for _, p := range []string{publish(two, `"7"`, "/a", `"same"`), publish(s.connected(), `"7"`, "/a", `"same"`), publish(one, `"7"`, "/a", `"other"`)} {
				ok(t, s.post(p).with(t, `"7"`))
				equal(t, "event", c.next().Get("channel").Str, "/a")
			}
			equal(t, "duplicates", s.h.Stats().Duplicates, 2)
			ok(t, c.ask(subscribe(one, `"s"`, `"/b"`)))
			for range 70 { // the window passes
				time.Sleep(time.Second)
				ok(t, c.ask(connectNow(one, `"k"`)))
			}
			ok(t, s.post(publish(one, `"7"`, "/a", `"same"`)).with(t, `"7"`))
			equal(t, "event", c.next().Get("channel").Str, "/a")
		})
	}},
	{89, "a_thousand_messages_complete_and_in_order", func(t *testing.T) {
		s := newServer(t)
		c := s.socket()
		c.connected(`"/a"`)
		poller, publisher := s.connected(`"/a"`), s.socket()
		caller, listener := s.connected(`"/a"`), s.connected(`"/a"`)
		stream := s.stream(listener)
		from := publisher.connected()
		const n = 1000
		go func() {
			for i := range n {
				publisher.send("[" + publish(from, strconv.Itoa(i), "/a", strconv.Itoa(i/2)) + "]") // pairs with the same content
			}
		}()
		var want []string
		for i := range n {
			want = append(want, strconv.Itoa(i/2))
		}
		var socket, poll, streamed, called []string
		for len(socket) < n {
			if m := c.next(); m.Get("channel").Str == "/a" {
				socket = append(socket, m.Get("data").Raw)
			}
		}
		for i := 0; len(poll) < n; i++ {
			poll = append(poll, s.post(connect(poller, strconv.Itoa(i))).events()...)
		}
		for i := 0; len(called) < n; i++ {
			called = append(called, s.call(connect(caller, strconv.Itoa(i))).events()...)
		}
		for len(streamed) < n {
			streamed = append(streamed, stream.event())
		}
		equal(t, "over callbacks", fmt.Sprint(called), fmt.Sprint(want))
		equal(t, "over a stream", fmt.Sprint(streamed), fmt.Sprint(want))
		equal(t, "over the socket", fmt.Sprint(socket), fmt.Sprint(want))
		equal(t, "over polls", fmt.Sprint(poll), fmt.Sprint(want))
	}},
}
