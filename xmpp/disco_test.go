package xmpp

import (
	"fmt"
	"strings"
	"testing"
)

const (
	infoNS  = "http://jabber.org/protocol/disco#info"
	itemsNS = "http://jabber.org/protocol/disco#items"
)

func info(node string) string {
	if node == "" {
		return "<query xmlns='" + infoNS + "'/>"
	}
	return "<query xmlns='" + infoNS + "' node='" + node + "'/>"
}

func discoItems(node, more string) string {
	if node != "" {
		node = " node='" + node + "'"
	}
	if more == "" {
		return "<query xmlns='" + itemsNS + "'" + node + "></query>"
	}
	return "<query xmlns='" + itemsNS + "'" + node + ">" + more + "</query>"
}

const leafInfo = "<identity category='pubsub' type='leaf'/>" +
	"<feature var='" + infoNS + "'/><feature var='" + itemsNS + "'/><feature var='http://jabber.org/protocol/pubsub'/>" +
	"<feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:mam:2#extended'/>"

// Checklist 1, 2: what is announced is exactly this. Each pubsub feature is used by some other test.
func TestDisco_info_of_the_service(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(bob, "get", info(""), result(bob, "<query xmlns='"+infoNS+"'><identity category='pubsub' type='service' name='waft'/>"+
			"<feature var='http://jabber.org/protocol/disco#info'/>"+
			"<feature var='http://jabber.org/protocol/disco#items'/>"+
			"<feature var='http://jabber.org/protocol/commands'/>"+
			"<feature var='jabber:x:data'/>"+
			"<feature var='http://jabber.org/protocol/rsm'/>"+
			"<feature var='urn:xmpp:ping'/>"+
			"<feature var='jabber:iq:version'/>"+
			"<feature var='urn:xmpp:time'/>"+
			"<feature var='urn:xmpp:json:0'/>"+
			"<feature var='http://jabber.org/protocol/pubsub'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#rsm'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#multi-items'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#config-node-max'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retrieve-default-sub'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#access-authorize'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#access-open'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#access-whitelist'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#auto-create'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#config-node'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#create-and-configure'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#create-nodes'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#delete-items'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#delete-nodes'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#get-pending'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#instant-nodes'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#item-ids'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#leased-subscription'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#manage-subscriptions'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#member-affiliation'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#meta-data'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#modify-affiliations'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#outcast-affiliation'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#persistent-items'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#presence-notifications'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#publish'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#publish-only-affiliation'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#publish-options'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#publisher-affiliation'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#purge-nodes'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retract-items'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retrieve-affiliations'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retrieve-default'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retrieve-items'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#retrieve-subscriptions'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#subscribe'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#subscription-notifications'/>"+
			"<feature var='http://jabber.org/protocol/pubsub#subscription-options'/>"+
			"</query>"))
	})
}

// Checklist 3, 5, 10.
func TestDisco_info_of_a_node(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		described := func(who, node string) {
			t.Helper()
			w.answers(who, "get", info(node), result(who, "<query xmlns='"+infoNS+"' node='"+node+"'>"+leafInfo+"</query>"))
		}
		described(bob, "/chat/1")  // never published to
		described(bob, "chat/1")   // spelt as it was asked
		described(bob, "/inbox/1") // may be published to only
		described(bob, "/news/1")  // may be subscribed to only
		described(alice, "/secret/1")
		missing := func(node, text string) {
			t.Helper()
			w.answers(bob, "get", info(node), refused(bob, "cancel: item-not-found", text))
		}
		w.publish("/secret/1", "1")
		missing("/secret/1", "there is no such node")
		missing("/secret/2", "there is no such node")
		missing("/meta/connect", "there is no such node")
		missing("/chat/*", `channel "/chat/*" has "*" at byte 6, which no channel may have`)
		missing("a b", `channel "/a b" has " " at byte 2, which no channel may have`)
		missing("http://jabber.org/protocol/muc", `channel "/http://jabber.org/protocol/muc" has ":" at byte 5, which no channel may have`)
	})
}

// Checklist 19: whatever a name is made of, it is mirrored as it was.
func TestDisco_mirrors_names(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(bob, "get", info("/a!~()$@-_/B"), result(bob, "<query xmlns='"+infoNS+"' node='/a!~()$@-_/B'>"+leafInfo+"</query>"))
		w.answers(bob, "get", info("&lt;&amp;&apos;&quot;"),
			refused(bob, "cancel: item-not-found", `channel "/&lt;&amp;'\"" has "&lt;" at byte 1, which no channel may have`))
	})
}

// Checklist 6, 9, 10.
func TestDisco_items_lists_the_nodes_that_the_requester_may_see(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(bob, "get", discoItems("", ""), result(bob, discoItems("", "")))
		for _, c := range []string{"/b", "/secret/1", "/a/1"} {
			w.publish(c, "1")
		}
		a, b := "<item jid='waft.localhost' node='/a/1'/>", "<item jid='waft.localhost' node='/b'/>"
		w.answers(bob, "get", discoItems("", ""), result(bob, discoItems("", a+b)))
		w.answers(alice, "get", discoItems("", ""), result(alice, discoItems("", a+b+"<item jid='waft.localhost' node='/secret/1'/>")))
	})
}

// Checklist 7.
func TestDisco_items_in_pages(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxPage = 4 }, func(w *world) {
		for i := range 5 {
			w.publish(fmt.Sprintf("/n/%d", i), "1")
		}
		page := func(limits string, index int, nodes ...int) {
			t.Helper()
			var list strings.Builder
			for _, n := range nodes {
				fmt.Fprintf(&list, "<item jid='waft.localhost' node='/n/%d'/>", n)
			}
			list.WriteString("<set xmlns='http://jabber.org/protocol/rsm'>")
			if len(nodes) > 0 {
				fmt.Fprintf(&list, "<first index='%d'>/n/%d</first><last>/n/%d</last>", index, nodes[0], nodes[len(nodes)-1])
			}
			list.WriteString("<count>5</count></set>")
			w.answers(bob, "get", discoItems("", limits), result(bob, discoItems("", list.String())))
		}
		page("", 0, 0, 1, 2, 3) // more than are listed at once
		page(rsm("<max>2</max>"), 0, 0, 1)
		page(rsm("<max>100</max>"), 0, 0, 1, 2, 3)
		page(rsm("<max>2</max><after>/n/1</after>"), 2, 2, 3)
		page(rsm("<after>/n/4</after>"), 0)
		page(rsm("<max>2</max><before/>"), 3, 3, 4)
		page(rsm("<max>2</max><before>/n/3</before>"), 1, 1, 2)
		page(rsm("<max>0</max>"), 0)
	})
}

func rsm(limits string) string {
	return "<set xmlns='http://jabber.org/protocol/rsm'>" + limits + "</set>"
}

// Checklist 8, 9, 87 by rules.
func TestDisco_items_of_a_node_are_its_items(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(alice, "set", publishing("/chat/1", item("a", "1"), item("b", "2")), published(alice, "/chat/1", "a", "b"))
		w.answers(bob, "get", discoItems("chat/1", ""), result(bob, discoItems("chat/1",
			"<item jid='waft.localhost' name='a'/><item jid='waft.localhost' name='b'/>")))
		w.answers(bob, "get", discoItems("/chat/2", ""), result(bob, discoItems("/chat/2", "")))
		w.answers(bob, "get", discoItems("/secret/1", ""), refused(bob, "cancel: item-not-found", "there is no such node"))
		w.answers(bob, "get", discoItems("/inbox/1", ""), refused(bob, "cancel: not-allowed + closed-node", "the node is not open to you"))
	})
}

// Checklist 11.
func TestDisco_nobody_lives_at_the_service(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		for _, to := range []string{"user@waft.localhost", "waft.localhost/resource", "☃@waft.localhost", "waft.localhost/ "} {
			for _, payload := range []string{info(""), discoItems("", ""), "<ping xmlns='urn:xmpp:ping'/>", publishing("/a", item("", "1"))} {
				w.send("<iq type='get' id='q1' from='" + bob + "' to='" + to + "'>" + payload + "</iq>")
				w.want("<iq type='error' id='q1' from='" + to + "' to='" + bob + "'>" +
					errorElement("cancel: service-unavailable", "nobody is at this address; ask the service itself") + "</iq>")
			}
		}
	})
}
