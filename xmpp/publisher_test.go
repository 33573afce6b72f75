package xmpp

import (
	"fmt"
	"strings"
	"testing"

	"waft/broker"
)

// Checklist 32, 33, 73: with an id, without one, and what a subscriber sees of it.
func TestPublish(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/chat/1", "bob@localhost")
		w.send(iq(alice, "set", publishing("chat/1", item("7", `{"n": 1}`))))
		w.gets(published(alice, "chat/1", "7"), eventText("bob@localhost", "E", "/chat/1", item("7", `{"n":1}`)))
		w.answers(alice, "get", pubsubOf("<items node='/chat/1'/>"), result(alice, pubsubOf("<items node='/chat/1'>"+item("7", `{"n":1}`)+"</items>")))

		w.send(iq(alice, "set", publishing("/chat/1", item("", "2"))))
		w.gets(published(alice, "/chat/1", "NEW"), eventText("bob@localhost", "E", "/chat/1", item("NEW", "2")))
		w.send(iq(alice, "set", pubsubOf("<publish node='/chat/1'><item id=''><json xmlns='urn:xmpp:json:0'>3</json></item></publish>")))
		w.gets(published(alice, "/chat/1", "NEW"), eventText("bob@localhost", "E", "/chat/1", item("NEW", "3")))
		w.silent()
	})
}

// Checklist 34.
func TestPublish_with_the_same_id_overwrites_and_notifies_again(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/chat/1", "bob@localhost")
		for _, n := range []string{"1", "2"} {
			w.send(iq(alice, "set", publishing("/chat/1", item("7", n))))
			w.gets(published(alice, "/chat/1", "7"), eventText("bob@localhost", "E", "/chat/1", item("7", n)))
		}
		w.answers(alice, "get", pubsubOf("<items node='/chat/1'/>"), result(alice, pubsubOf("<items node='/chat/1'>"+item("7", "2")+"</items>")))
	})
}

func TestPublish_reaches_its_own_publisher_as_any_subscriber(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(alice, "/chat/1", alice)
		w.send(iq(alice, "set", publishing("/chat/1", item("7", "1"))))
		w.gets(published(alice, "/chat/1", "7"), eventText(alice, "E", "/chat/1", item("7", "1")))
	})
}

// Checklist 35.
func TestPublish_ignores_a_forged_publisher(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/chat/1", "bob@localhost")
		w.send(iq(alice, "set", publishing("/chat/1", "<item id='7' publisher='carol@localhost'><json xmlns='urn:xmpp:json:0'>1</json></item>")))
		w.gets(published(alice, "/chat/1", "7"), eventText("bob@localhost", "E", "/chat/1", item("7", "1")))
	})
}

// Checklist 36, 37, 38, 39, 40, 43, 44, and 42 in that nothing of any of them is stored.
func TestPublish_refuses(t *testing.T) {
	const exactly = "an item has one payload, &lt;json xmlns='urn:xmpp:json:0'&gt;, with nothing but JSON in it"
	one := item("7", "1")
	for _, c := range []struct{ name, payload, shape, text string }{
		{"36 forbidden", publishing("/news/1", one), "auth: forbidden", "bob@localhost may not publish /news/1"},
		{"36 hidden", publishing("/secret/1", one), "auth: forbidden", "bob@localhost may not publish /secret/1"},
		{"37 not a channel", publishing("/chat/*", one), "cancel: item-not-found", `channel "/chat/*" has "*" at byte 6, which no channel may have`},
		{"37 reserved", publishing("/meta/handshake", one), "cancel: item-not-found", "there is no such node"},
		{"38 no item", publishing("/chat/1"), "modify: bad-request + item-required", "there is no item to publish"},
		{"38 no item but something else", publishing("/chat/1", "<thing/>"), "modify: bad-request + item-required", "there is no item to publish"},
		{
			"39 no payload", publishing("/chat/1", "<item id='7'/>"),
			"modify: bad-request + payload-required", "an item needs a payload: &lt;json xmlns='urn:xmpp:json:0'&gt;",
		},
		{
			"39 text for a payload", publishing("/chat/1", "<item>1</item>"),
			"modify: bad-request + payload-required", "an item needs a payload: &lt;json xmlns='urn:xmpp:json:0'&gt;",
		},
		{"40 two payloads", publishing("/chat/1", "<item><json xmlns='urn:xmpp:json:0'>1</json><json xmlns='urn:xmpp:json:0'>2</json></item>"), "modify: bad-request + invalid-payload", exactly},
		{"40 a payload and text", publishing("/chat/1", "<item>x<json xmlns='urn:xmpp:json:0'>1</json></item>"), "modify: bad-request + invalid-payload", exactly},
		{
			"42 second item is bad", publishing("/chat/1", item("7", "1"), item("8", "x")),
			"modify: bad-request + invalid-payload", "item 2: the JSON is wrong at byte 1: invalid character 'x' looking for beginning of value",
		},
		{
			"42 second item is of another kind", publishing("/chat/1", item("7", "1"), "<item/>"),
			"modify: bad-request + payload-required", "item 2: an item needs a payload: &lt;json xmlns='urn:xmpp:json:0'&gt;",
		},
		{"42 too many items", publishing("/chat/1", one, one, one, one), "cancel: not-allowed + max-items-exceeded", "there are too many items in one publish"},
		{"43 no node", pubsubOf("<publish>" + one + "</publish>"), "modify: bad-request + nodeid-required", "the node is missing"},
		{"43 empty node", publishing("", one), "modify: bad-request + nodeid-required", "the node is missing"},
		{
			"44 options", pubsubOf("<publish node='/chat/1'>" + one + "</publish><publish-options><x xmlns='jabber:x:data' type='submit'>" +
				"<field var='FORM_TYPE'><value>f</value></field><field var='pubsub#access_model'><value>open</value></field></x></publish-options>"),
			"modify: bad-request", `the form is of the type "f"; it must be http://jabber.org/protocol/pubsub#publish-options`,
		},
		{
			"44 options before the verb", pubsubOf("<publish-options><x xmlns='jabber:x:data'><field var='a'/></x></publish-options><publish node='/chat/1'>" + one + "</publish>"),
			"cancel: feature-not-implemented", "the service does not know this part of publish-subscribe",
		},
		{"long id", publishing("/chat/1", item(strings.Repeat("x", 513), "1")), "modify: not-acceptable", "the id of the item is too long"},
		{
			"id that not every protocol can carry", publishing("/chat/1", item("a&#10;b", "1")),
			"modify: bad-request", `the id "a\nb" has a character at byte 1 that not every protocol can carry`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, func(o *setup) { o.service.MaxItems = 3 }, func(w *world) {
				w.subscribed(alice, "/**", "alice@localhost")
				w.answers(bob, "set", c.payload, refused(bob, c.shape, c.text))
				w.silent()
				w.answers(bob, "get", discoItems("", ""), result(bob, discoItems("", "")))
			})
		})
	}
}

// Checklist 44: an empty form asks for nothing.
func TestPublish_lets_empty_options_pass(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		for _, options := range []string{
			"<publish-options/>",
			"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>f</value></field></x></publish-options>",
		} {
			w.answers(bob, "set", pubsubOf("<publish node='/a'>"+item("7", "1")+"</publish>"+options), published(bob, "/a", "7"))
		}
	})
}

// Checklist 42: several items are published in order.
func TestPublish_a_batch(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/chat/1", "bob@localhost")
		w.send(iq(alice, "set", publishing("/chat/1", item("1", "1"), item("2", "2"), item("3", "3"))))
		w.gets(published(alice, "/chat/1", "1", "2", "3"),
			eventText("bob@localhost", "E", "/chat/1", item("1", "1")),
			eventText("bob@localhost", "E", "/chat/1", item("2", "2")),
			eventText("bob@localhost", "E", "/chat/1", item("3", "3")))
	})
}

// Checklist 57.
func TestPublish_limits_the_payload(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxPayload = 10; o.broker.MaxMessage = 64 }, func(w *world) {
		w.answers(bob, "set", publishing("/a", item("7", `"12345678"`)), published(bob, "/a", "7"))
		w.answers(bob, "set", publishing("/a", item("7", `[ 1, 2,   3, 4  ]`)), published(bob, "/a", "7")) // 9 when compact
		w.answers(bob, "set", publishing("/a", item("7", `"123456789"`)),
			refused(bob, "modify: not-acceptable + payload-too-big", "the payload has 11 bytes, more than the limit of 10"))
		// The broker's own limit, which counts names too, is the same to a publisher.
		long := strings.Repeat("x", 63)
		w.answers(bob, "set", publishing("/a", item(long, "1")),
			refused(bob, "modify: not-acceptable + payload-too-big", "the message for /a has 66 bytes, more than the limit of 64"))
	})
}

// A failing engine may have stored a part.
func TestPublish_says_what_of_a_batch_was_stored_when_the_engine_failed(t *testing.T) {
	dialogue(t, func(o *setup) {
		o.broker.Engine = &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: 1}
	}, func(w *world) {
		w.answers(bob, "set", publishing("/a", item("1", "1"), item("2", "2")),
			refused(bob, "wait: recipient-unavailable", "item 2: the disk is full (the 1 before it were published)"))
		w.answers(bob, "set", publishing("/a", item("1", "1")), refused(bob, "wait: recipient-unavailable", "the disk is full"))
	})
}

// Checklist 105.
func TestPublish_answers_each_of_several_requests_with_one_id(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		var want []string
		for i := range 50 {
			w.send(iq(alice, "set", publishing("/a", item(fmt.Sprint(i), "1"))))
			want = append(want, published(alice, "/a", fmt.Sprint(i)))
		}
		for _, answer := range want { // and in order
			w.want(answer)
		}
		w.silent()
	})
}
