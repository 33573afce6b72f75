package xmpp

import (
	"fmt"
	"testing"
)

func subscribing(node, jid string) string {
	return pubsubOf("<subscribe node='" + node + "' jid='" + jid + "'/>")
}

func unsubscribing(node, jid string) string {
	return pubsubOf("<unsubscribe node='" + node + "' jid='" + jid + "'/>")
}

// Checklist 60, 61, 74: once however often, to the address that was subscribed.
func TestSubscribe_gives_one_event_to_each_subscribed_address(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "/a", "bob@localhost")
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")))
		w.subscribed(bob, "/a", bob)
		w.publish("/a", "2")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "2")), eventText(bob, "E", "/a", item("NEW", "2")))
		w.silent()
	})
}

// The spelling of a node is the subscriber's, the last one he used.
func TestSubscribe_events_spell_the_node_as_the_subscriber_did(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "a/b", "bob@localhost")
		w.subscribed(alice, "/a/b", "alice@localhost")
		w.publish("/a/b", "1")
		w.gets(eventText("bob@localhost", "E", "a/b", item("NEW", "1")), eventText("alice@localhost", "E", "/a/b", item("NEW", "1")))
		w.subscribed(bob, "/a/b", "bob@localhost")
		w.publish("/a/b", "2")
		w.gets(eventText("bob@localhost", "E", "/a/b", item("NEW", "2")), eventText("alice@localhost", "E", "/a/b", item("NEW", "2")))
	})
}

// Checklist 67: patterns.
func TestSubscribe_to_a_pattern(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "chat/*", "bob@localhost")
		w.subscribed(carol, "/chat/**", "carol@localhost")
		w.publish("/chat/1", "1")
		w.gets(eventText("bob@localhost", "E", "chat/1", item("NEW", "1")), eventText("carol@localhost", "E", "/chat/1", item("NEW", "1")))
		w.publish("/chat/1/2", "2")
		w.gets(eventText("carol@localhost", "E", "/chat/1/2", item("NEW", "2")))
		w.publish("/chat", "3")
		w.silent()
		w.answers(bob, "set", unsubscribing("/chat/*", "bob@localhost"), result(bob, ""))
		w.publish("/chat/1", "4")
		w.gets(eventText("carol@localhost", "E", "/chat/1", item("NEW", "4")))
	})
}

func TestSubscribe_several_patterns_that_match_give_one_event(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a/**", "bob@localhost")
		w.subscribed(bob, "a/b/c", "bob@localhost")
		w.subscribed(bob, "/a/b/*", "bob@localhost")
		w.subscribed(carol, "a/b/*", "carol@localhost")
		w.subscribed(carol, "/a/b/**", "carol@localhost")
		w.publish("/a/b/c", "1")
		w.gets(eventText("bob@localhost", "E", "a/b/c", item("NEW", "1")), eventText("carol@localhost", "E", "a/b/c", item("NEW", "1")))
		w.silent()
	})
}

// Checklist 62, 63, 64 by rules, 67.
func TestSubscribe_refuses(t *testing.T) {
	const notYours = "the jid must be your own: bare, or the one you ask from"
	for _, c := range []struct{ name, payload, shape, text string }{
		{"62 another user", subscribing("/a", "carol@localhost"), "modify: bad-request + invalid-jid", notYours},
		{"62 another resource", subscribing("/a", "bob@localhost/other"), "modify: bad-request + invalid-jid", notYours},
		{"62 the domain", subscribing("/a", "localhost"), "modify: bad-request + invalid-jid", notYours},
		{"63 no jid", pubsubOf("<subscribe node='/a'/>"), "modify: bad-request + jid-required", "the jid is missing"},
		{"63 empty jid", subscribing("/a", ""), "modify: bad-request + jid-required", "the jid is missing"},
		{"63 no such jid", subscribing("/a", "@@/"), "modify: bad-request + invalid-jid", notYours},
		{"63 a snowman", subscribing("/a", "☃@localhost"), "modify: bad-request + invalid-jid", notYours},
		{"63 no node", pubsubOf("<subscribe jid='bob@localhost'/>"), "modify: bad-request + nodeid-required", "the node is missing"},
		{"64 closed channel", subscribing("/inbox/1", "bob@localhost"), "cancel: not-allowed + closed-node", "the node is not open to you"},
		{"64 hidden channel", subscribing("/secret/1", "bob@localhost"), "cancel: not-allowed + closed-node", "the node is not open to you"},
		{"64 a pattern with a closed channel", subscribing("/**", "bob@localhost"), "cancel: not-allowed + closed-node", "the node is not open to you"},
		{"67 reserved", subscribing("/meta/*", "bob@localhost"), "cancel: item-not-found", "there is no such node"},
		{"67 not a channel", subscribing("/a b", "bob@localhost"), "cancel: item-not-found", `channel "/a b" has " " at byte 2, which no channel may have`},
		{"67 wildcard within", subscribing("/a/*/b", "bob@localhost"), "cancel: item-not-found", `channel "/a/*/b" has "*" at byte 3, which no channel may have`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.answers(bob, "set", c.payload, refused(bob, c.shape, c.text))
				if n, _, _ := w.svc.audience.size(); n != 0 {
					t.Errorf("there are %d subscriptions", n)
				}
			})
		})
	}
}

// Checklist 68.
func TestSubscribe_limits(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxSubscriptions, o.service.MaxTotalSubscriptions = 2, 3 }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		w.answers(bob, "set", subscribing("/b", bob),
			refused(bob, "wait: policy-violation + too-many-subscriptions", "you have as many subscriptions as anybody may have"))
		w.subscribed(bob, "/a", bob) // again is not more
		w.subscribed(carol, "/a", "carol@localhost")
		w.answers(carol, "set", subscribing("/b", "carol@localhost"),
			refused(carol, "wait: resource-constraint + too-many-subscriptions", "the service has as many subscriptions as it can have"))
		w.answers(bob, "set", unsubscribing("/a", bob), result(bob, ""))
		w.subscribed(carol, "/b", "carol@localhost")
	})
}

// Checklist 71.
func TestUnsubscribe(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		w.subscribed(carol, "/a", "carol@localhost")
		w.answers(bob, "set", unsubscribing("/a", "carol@localhost"), refused(bob, "auth: forbidden", "only your own subscription is yours to end"))
		w.answers(bob, "set", pubsubOf("<unsubscribe node='/a' jid='bob@localhost' subid='x'/>"),
			refused(bob, "modify: not-acceptable + invalid-subid", "subscriptions have no subid here"))
		w.answers(bob, "set", unsubscribing("a", "bob@localhost"), result(bob, ""))
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"),
			refused(bob, "cancel: unexpected-request + not-subscribed", "there is no such subscription"))
		w.publish("/a", "1")
		w.gets(eventText(bob, "E", "/a", item("NEW", "1")), eventText("carol@localhost", "E", "/a", item("NEW", "1")))

		// From another resource of the same user.
		w.answers("bob@localhost/else", "set", unsubscribing("/a", bob), result("bob@localhost/else", ""))
		w.answers(bob, "set", unsubscribing("/secret/1", "bob@localhost"), refused(bob, "cancel: item-not-found", "there is no such node"))
		w.answers(bob, "set", unsubscribing("/a b", "bob@localhost"),
			refused(bob, "cancel: item-not-found", `channel "/a b" has " " at byte 2, which no channel may have`))
		w.answers(bob, "set", pubsubOf("<unsubscribe jid='bob@localhost'/>"), refused(bob, "modify: bad-request + nodeid-required", "the node is missing"))
		w.answers(bob, "set", pubsubOf("<unsubscribe node='/a'/>"), refused(bob, "modify: bad-request + jid-required", "the jid is missing"))
	})
}

// The broker carries one subscription for all users of a pattern: from the first to the last.
func TestSubscribe_the_session_has_each_pattern_once(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		patterns := func(want ...string) {
			t.Helper()
			if got := fmt.Sprint(w.svc.session.Subscriptions()); got != fmt.Sprint(want) {
				t.Errorf("the session has %v, want %v", got, want)
			}
		}
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(carol, "/a", "carol@localhost")
		patterns("/a")
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		patterns("/a")
		w.answers(carol, "set", unsubscribing("/a", "carol@localhost"), result(carol, ""))
		patterns()
	})
}

// A sender whose name RFC 7622 does not allow is answered, and has the rights of anybody.
func TestSubscribe_is_refused_to_a_snowman_who_may_publish(t *testing.T) {
	const snowman = "☃@localhost/hat"
	dialogue(t, nil, func(w *world) {
		w.answers(snowman, "set", subscribing("/a", "☃@localhost"),
			refused(snowman, "modify: bad-request + invalid-jid", "the jid must be your own: bare, or the one you ask from"))
		w.answers(snowman, "set", publishing("/a", item("7", "1")), published(snowman, "/a", "7"))
		w.answers(snowman, "set", unsubscribing("/a", "bob@localhost"), refused(snowman, "auth: forbidden", "only your own subscription is yours to end"))
	})
}
