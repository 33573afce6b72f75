package xmpp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"waft/broker"
)

func retracting(node, attrs, inside string) string {
	return pubsubOf("<retract node='" + node + "'" + attrs + ">" + inside + "</retract>")
}

// Checklist 47: the request decides who is told, and where it says nothing, the node.
func TestRetract_notifies(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/on")
		w.creates(alice, "/off", "notify_retract=0")
		for _, c := range []struct {
			node, attrs string
			told        bool
		}{
			{"/on", "", true},
			{"/on", " notify='0'", false},
			{"/on", " notify='false'", false},
			{"/off", "", false},
			{"/off", " notify='1'", true},
			{"/off", " notify='true'", true},
			{"/free", "", false},
			{"/free", " notify='1'", true},
		} {
			w.answers(alice, "set", publishing(c.node, item("7", "1")), published(alice, c.node, "7"))
			w.subscribed(bob, c.node, "bob@localhost")
			w.send(iq(alice, "set", retracting(c.node, c.attrs, "<item id='7'/>")))
			if c.told {
				w.gets(result(alice, ""), eventText("bob@localhost", "E", c.node, "<retract id='7'/>"))
			} else {
				w.gets(result(alice, ""))
			}
			w.silent()
			w.answers(bob, "set", unsubscribing(c.node, "bob@localhost"), result(bob, ""))
			w.answers(bob, "get", wanting("node='"+c.node+"'", "", ""), result(bob, retrieved(c.node, "", "")))
		}
	})
}

// Checklist 48.
func TestRetract_refuses(t *testing.T) {
	const one = "an item is removed by its id, and one at a time"
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "publish_model=open")
		w.affiliates(alice, "/a", "only@localhost publish-only", "pub@localhost publisher")
		w.creates(alice, "/gone", "persist_items=0")
		w.answers(alice, "set", publishing("/a", item("7", "1")), published(alice, "/a", "7"))
		for _, c := range []struct{ from, payload, shape, text string }{
			{alice, retracting("/a", "", ""), "modify: bad-request + item-required", one},
			{alice, retracting("/a", "", "<item/>"), "modify: bad-request + item-required", one},
			{alice, retracting("/a", "", "<item id='7'/><item id='8'/>"), "modify: bad-request + item-required", one},
			{alice, retracting("/a", "", "<thing id='7'/>"), "modify: bad-request + item-required", one},
			{alice, retracting("/a", "", "<item id='8'/>"), "cancel: item-not-found", "the node has no such item"},
			{alice, retracting("/b", "", "<item id='7'/>"), "cancel: item-not-found", "the node has no such item"},
			{bob, retracting("/a", "", "<item id='8'/>"), "cancel: item-not-found", "the node has no such item"},
			{alice, retracting("/a", " notify='yes'", "<item id='7'/>"), "modify: bad-request", "notify is a boolean: 0, 1, false or true"},
			{alice, pubsubOf("<retract><item id='7'/></retract>"), "modify: bad-request + nodeid-required", "the node is missing"},
			{alice, retracting("/a b", "", "<item id='7'/>"), "cancel: item-not-found", `channel "/a b" has " " at byte 2, which no channel may have`},
			{bob, retracting("/a", "", "<item id='7'/>"), "auth: forbidden", "only what you have published is yours to remove"},
			{"only@localhost/x", retracting("/a", "", "<item id='7'/>"), "auth: forbidden", "only what you have published is yours to remove"},
			{bob, retracting("/news/1", "", "<item id='7'/>"), "auth: forbidden", "bob@localhost may not publish /news/1"},
			{alice, retracting("/gone", "", "<item id='7'/>"), "cancel: feature-not-implemented + unsupported persistent-items", "the service does not offer this part of publish-subscribe"},
		} {
			w.answers(c.from, "set", c.payload, refused(c.from, c.shape, c.text))
		}
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", item("7", "1"), "")))
		for _, who := range []string{bob, "only@localhost/x"} { // their own
			w.answers(who, "set", publishing("/a", item("8", "1")), published(who, "/a", "8"))
			w.answers(who, "set", retracting("/a", "", "<item id='8'/>"), result(who, ""))
		}
		w.answers("pub@localhost/x", "set", retracting("/a", "", "<item id='7'/>"), result("pub@localhost/x", ""))
	})
}

func optioned(node, items string, fields ...string) string {
	return pubsubOf("<publish node='" + node + "'>" + items + "</publish><publish-options>" +
		submitting("http://jabber.org/protocol/pubsub#publish-options", fields...) + "</publish-options>")
}

// Checklist 44: each option is a precondition.
func TestPublish_options_are_preconditions(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=whitelist", "max_items=3")
		one := item("7", "1")
		for _, fields := range [][]string{
			{"access_model=whitelist"},
			{"access_model=whitelist", "max_items=3", "persist_items=true", "type=urn:xmpp:json:0", "title="},
			{"persist_items=1", "item_expire=max", "max_payload_size=131072"},
		} {
			w.answers(alice, "set", optioned("/a", one, fields...), published(alice, "/a", "7"))
		}
		w.answers(alice, "set", retracting("/a", "", "<item id='7'/>"), result(alice, ""))
		for _, c := range []struct{ field, text string }{
			{"access_model=open", `access_model is "whitelist"`},
			{"max_items=max", `max_items is "3"`},
			{"max_items=x", `max_items is "3"`},
			{"persist_items=0", `persist_items is "1"`},
			{"type=x", `type is "urn:xmpp:json:0"`},
			{"dance=1", `the service does not know the option "pubsub#dance"`},
		} {
			w.answers(alice, "set", optioned("/a", one, "item_expire=max", c.field), refused(alice, "cancel: conflict + precondition-not-met", c.text))
		}
		// A channel that nobody claimed meets what it is anyway, and no more when others use it.
		w.subscribed(carol, "/b", "carol@localhost")
		w.send(iq(bob, "set", optioned("/b", one, "access_model=open", "publish_model=open")))
		w.gets(published(bob, "/b", "7"), eventText("carol@localhost", "E", "/b", one))
		w.answers(alice, "get", wanting("node='/a'", "", ""), result(alice, retrieved("/a", "", "")))
		if w.svc.nodes.get("/b") != nil {
			t.Error("the channel has been claimed")
		}
	})
	dialogue(t, func(o *setup) { o.broker.Authorizer = aliceManages }, func(w *world) {
		w.subscribed(carol, "/b", "carol@localhost")
		w.answers(bob, "set", optioned("/b", item("7", "1"), "access_model=whitelist"), refused(bob, "cancel: conflict + precondition-not-met", `access_model is "open"`))
		w.silent()
	})
}

// Checklist 37, 45.
func TestPublish_options_configure_a_new_node(t *testing.T) {
	dialogue(t, func(o *setup) {
		o.service.MaxNodes = 2
		o.broker.Engine = &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: 1}
	}, func(w *world) {
		one := item("7", "1")
		for _, c := range []struct{ payload, shape, text string }{
			{optioned("/b", one, "access_model=whitelist", "dance=1"), "cancel: conflict + precondition-not-met", `the service does not know the option "pubsub#dance"`},
			{optioned("/b", one, "access_model=roster"), "cancel: conflict + precondition-not-met", `access_model cannot be "roster"; it is one of ["open" "whitelist" "authorize"]`},
			{optioned("/b", item("7", "x"), "access_model=whitelist"), "modify: bad-request + invalid-payload", "the JSON is wrong at byte 1: invalid character 'x' looking for beginning of value"},
			{optioned("/news/1", one, "access_model=whitelist"), "auth: forbidden", "bob@localhost may not publish /news/1"},
		} {
			w.answers(bob, "set", c.payload, refused(bob, c.shape, c.text))
		}
		w.answers(bob, "set", optioned("/a", one, "access_model=whitelist", "max_items=3"), published(bob, "/a", "7"))
		w.settings(bob, "/a", "access_model=whitelist", "max_items=3", "publish_model=publishers")
		w.answers(bob, "set", optioned("/b", one, "access_model=whitelist"), refused(bob, "wait: recipient-unavailable", "the disk is full"))
		if n := w.svc.nodes.size(); n != 1 {
			t.Errorf("there are %d nodes, want 1", n)
		}
		w.restart()
		if n := w.svc.nodes.size(); n != 1 {
			t.Errorf("there are %d nodes after a restart, want 1", n)
		}
	})
}

// Checklist 35.
func TestPublish_names_the_publisher_where_the_node_says_so(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "itemreply=publisher", "publish_model=open")
		w.subscribed(bob, "/a", "bob@localhost")
		w.send(iq(carol, "set", publishing("/a", "<item id='7' publisher='alice@localhost'><json xmlns='urn:xmpp:json:0'>1</json></item>")))
		named := "<item id='7' publisher='carol@localhost'><json xmlns='urn:xmpp:json:0'>1</json></item>"
		w.gets(published(carol, "/a", "7"), eventText("bob@localhost", "E", "/a", named))
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", named, "")))
		w.configures(alice, "/a", "deliver_payloads=0")
		for _, subject := range []string{"", "token-7", "a@b/c", "☃@localhost"} { // whose name is no address of anybody
			m := &broker.Message{ID: "8", Channel: "/a", Data: []byte("1")}
			if _, err := w.broker.Publish(t.Context(), broker.Principal{Subject: subject}, m, broker.PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			w.gets(eventText("bob@localhost", "E", "/a", "<item id='8'/>"))
		}
	})
}

// Checklist 41, 88.
func TestPublish_to_a_node_that_only_notifies(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "persist_items=0", "deliver_payloads=0")
		w.subscribed(bob, "/a", "bob@localhost")
		w.answers(alice, "set", publishing("/a", item("7", "1")), refused(alice, "modify: bad-request + item-forbidden", "the node takes no items: it only notifies"))
		w.answers(alice, "set", publishing("/a", "<item/>"), refused(alice, "modify: bad-request + item-forbidden", "the node takes no items: it only notifies"))
		w.silent()
		w.send(iq(alice, "set", publishing("/a")))
		w.gets(published(alice, "/a"), eventText("bob@localhost", "E", "/a", ""))
		w.publish("/a", "1") // through another door, which knows nothing of nodes
		w.gets(eventText("bob@localhost", "E", "/a", ""))
		const no = "the service does not offer this part of publish-subscribe"
		w.answers(bob, "get", wanting("node='/a'", "", ""), refused(bob, "cancel: feature-not-implemented + unsupported persistent-items", no))
		w.answers(bob, "get", discoItems("/a", ""), result(bob, discoItems("/a", "")))
		w.configures(alice, "/a", "deliver_payloads=1")
		w.answers(alice, "set", publishing("/a"), refused(alice, "modify: bad-request + item-required", "there is no item to publish"))
	})
}

// Checklist 75, and the type of the message.
func TestEvent_is_as_the_node_says(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "deliver_payloads=0")
		w.creates(alice, "/b", "deliver_notifications=0")
		w.creates(alice, "/c", "notification_type=normal")
		for _, node := range []string{"/a", "/b", "/c"} {
			w.subscribed(bob, node, "bob@localhost")
		}
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", "<item id='NEW'/>"))
		w.publish("/b", "1")
		w.silent()
		w.publish("/c", "1")
		w.gets(strings.Replace(eventText("bob@localhost", "E", "/c", item("NEW", "1")), "headline", "normal", 1))
		w.answers(alice, "set", ownerOf("<delete node='/c'/>"), result(alice, ""))
		w.gets(strings.Replace(told("bob@localhost", "<delete node='/c'/>"), "headline", "normal", 1))
		w.publish("/d", "1") // the next one is again like any other
		w.subscribed(bob, "/d", "bob@localhost")
		w.publish("/d", "1")
		w.gets(eventText("bob@localhost", "E", "/d", item("NEW", "1")))
		w.answers(bob, "get", wanting("node='/a' max_items='1'", "<item id='x'/>", ""), result(bob, retrieved("/a", "", "")))
	})
}

// Checklist 57 by node.
func TestPublish_limits_the_payload_of_a_node(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "max_payload_size=10")
		w.answers(alice, "set", publishing("/a", item("7", `"12345678"`)), published(alice, "/a", "7"))
		w.answers(alice, "set", publishing("/a", item("7", `"123456789"`)),
			refused(alice, "modify: not-acceptable + payload-too-big", "the payload has 11 bytes, more than the limit of 10"))
	})
}

// Checklist 46, 90: a node shows the newest max_items, none older than item_expire, and counts what it shows.
func TestItems_of_a_node_that_shows_less_than_is_kept(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "max_items=3")
		var at []string
		for i := range 6 {
			m := &broker.Message{ID: fmt.Sprint(i), Channel: "/a", Data: []byte("1")}
			r, err := w.broker.Publish(t.Context(), principal("alice@localhost"), m, broker.PublishOptions{})
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, r.Position.String())
			time.Sleep(time.Minute)
		}
		total, first := 3, 3
		page := func(attrs, inside, limits string, items ...int) {
			t.Helper()
			var list, set strings.Builder
			for _, i := range items {
				list.WriteString(item(fmt.Sprint(i), "1"))
			}
			if limits != "" {
				if len(items) > 0 {
					fmt.Fprintf(&set, "<first index='%d'>%s</first><last>%s</last>", items[0]-first, at[items[0]], at[items[len(items)-1]])
				}
				fmt.Fprintf(&set, "<count>%d</count>", total)
				w.answers(bob, "get", wanting("node='/a'"+attrs, inside, rsm(limits)), result(bob, retrieved("/a", list.String(), rsm(set.String()))))
				return
			}
			w.answers(bob, "get", wanting("node='/a'"+attrs, inside, ""), result(bob, retrieved("/a", list.String(), "")))
		}
		page("", "", "", 3, 4, 5)
		page(" max_items='2'", "", "", 4, 5)
		page(" max_items='9'", "", "", 3, 4, 5)
		page("", "<item id='4'/><item id='1'/>", "", 4)
		page("", "", "<max>2</max>", 3, 4)
		page("", "", "<max>2</max><after>"+at[4]+"</after>", 5)
		page("", "", "<max>2</max><after>"+at[2]+"</after>", 3, 4)
		page("", "", "<max>2</max><after>"+at[5]+"</after>")
		page("", "", "<max>2</max><before/>", 4, 5)
		page("", "", "<max>2</max><before>"+at[5]+"</before>", 3, 4)
		page("", "", "<max>2</max><before>"+at[3]+"</before>")
		page("", "", "<max>0</max>")
		w.answers(bob, "get", wanting("node='/a'", "", rsm("<after>"+at[0]+"</after>")), refused(bob, "cancel: item-not-found", "the item to continue from is gone"))
		w.answers(bob, "get", wanting("node='/a'", "", rsm("<after>a-1</after>")), refused(bob, "cancel: item-not-found", "the item to continue from is gone"))
		w.answers(bob, "get", discoItems("/a", ""), result(bob, discoItems("/a",
			"<item jid='waft.localhost' name='3'/><item jid='waft.localhost' name='4'/><item jid='waft.localhost' name='5'/>")))

		w.configures(alice, "/a", "max_items=max", "item_expire=130")
		total, first = 2, 4
		page("", "", "", 4, 5) // a minute and two minutes old
		page("", "", "<max>5</max>", 4, 5)
		page("", "<item id='3'/>", "")
		time.Sleep(2 * time.Minute)
		total = 0
		page("", "", "")
		page("", "", "<max>5</max>")
		w.configures(alice, "/a", "item_expire=max")
		page("", "", "", 0, 1, 2, 3, 4, 5) // the channel has kept them
	})
}

// What a node shows may still be more than one answer holds; then the answer says so, though no page was asked for.
func TestItems_of_a_node_that_shows_more_than_a_page(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxPage = 2 }, func(w *world) {
		w.creates(alice, "/a", "max_items=3")
		w.answers(alice, "set", publishing("/a", item("0", "1"), item("1", "1"), item("2", "1"), item("3", "1")), published(alice, "/a", "0", "1", "2", "3"))
		page, err := w.broker.History(t.Context(), principal("alice@localhost"), "/a", broker.Range{})
		if err != nil {
			t.Fatal(err)
		}
		at := func(i int) string { return page.Messages[i].Position.String() }
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", item("2", "1")+item("3", "1"),
			rsm("<first index='1'>"+at(2)+"</first><last>"+at(3)+"</last><count>3</count>"))))
		w.answers(bob, "get", discoItems("/a", ""), result(bob, discoItems("/a", "<item jid='waft.localhost' name='2'/><item jid='waft.localhost' name='3'/>"+
			rsm("<first index='1'>"+at(2)+"</first><last>"+at(3)+"</last><count>3</count>"))))
	})
}

// Checklist 70: once, stamped, and only where the node says so.
func TestSubscribe_is_sent_the_last_item(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		last := func(to, node, item string, at time.Time) string {
			return strings.Replace(eventText(to, "E", node, item), "</message>",
				"<delay xmlns='urn:xmpp:delay' from='waft.localhost' stamp='"+at.UTC().Format("2006-01-02T15:04:05.000Z")+"'/></message>", 1)
		}
		w.creates(alice, "/a", "send_last_published_item=on_sub")
		w.subscribed(bob, "/a", "bob@localhost")
		w.silent() // there is none
		then := time.Now()
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		w.answers(alice, "set", publishing("/a", item("1", "1"), item("2", "2")), published(alice, "/a", "1", "2"))
		time.Sleep(time.Hour)
		w.subscribed(bob, "a", "bob@localhost") // which checks that the result comes first
		w.gets(last("bob@localhost", "a", item("2", "2"), then))
		w.subscribed(bob, "a", "bob@localhost")
		w.silent()
		w.publish("/a", "3")
		w.gets(eventText("bob@localhost", "E", "a", item("NEW", "3")))
		then = time.Now()
		w.subscribed(bob, "/a", bob)
		w.gets(last(bob, "/a", item("NEW", "3"), then))
		w.configures(alice, "/a", "item_expire=60", "deliver_payloads=0")
		w.subscribed(carol, "/a", carol)
		w.gets(last(carol, "/a", "<item id='NEW'/>", then))
		w.answers(carol, "set", unsubscribing("/a", carol), result(carol, ""))
		time.Sleep(time.Hour)
		w.subscribed(carol, "/a", carol) // what the node does not show it does not send
		w.subscribed(carol, "/*", carol)
		w.silent()
		w.answers(carol, "set", unsubscribing("/*", carol), result(carol, ""))
		w.creates(alice, "/b")
		w.answers(alice, "set", publishing("/b", item("1", "1")), published(alice, "/b", "1"))
		w.subscribed(bob, "/b", "bob@localhost")
		w.silent()
		for node, not := range map[string]string{"/c": "persist_items=0", "/d": "deliver_notifications=0"} { // it shows nothing old, or tells nobody
			w.creates(alice, node, "send_last_published_item=on_sub", not)
			w.answers(alice, "set", publishing(node, item("1", "1")), published(alice, node, "1"))
			w.subscribed(bob, node, "bob@localhost")
			w.silent()
		}
	})
}

// A message that is published while somebody subscribes comes once: as the last item or as an event.
func TestSubscribe_the_last_item_does_not_come_twice(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "send_last_published_item=on_sub")
		l := w.svc.nodes.get("/a")
		sub, err := w.svc.enlist(t.Context(), principal("bob@localhost"), jid.MustParse("bob@localhost"), "/a", wish{slash: true})
		if err != nil {
			t.Fatal(err)
		}
		free := w.stick() // the notifier is held up where it can be: at the link
		w.publish("/a", "1")
		synctest.Wait()
		m := w.svc.lastItem(t.Context(), principal("bob@localhost"), "/a", l, sub)
		free()
		if m == nil {
			w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")))
			w.silent()
			return
		}
		t.Error("an item that has been an event is to be sent again")
	})
	// The other way round: what was read as the last item is no event any more.
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/c", "send_last_published_item=on_sub")
		w.publish("/c", "1")
		late, err := w.svc.enlist(t.Context(), principal("carol@localhost"), jid.MustParse("carol@localhost"), "/c", wish{slash: true})
		if err != nil {
			t.Fatal(err)
		}
		if m := w.svc.lastItem(t.Context(), principal("carol@localhost"), "/c", w.svc.nodes.get("/c"), late); m == nil || late.floor != m.Position {
			t.Errorf("the last item is %v, events begin after %v", m, late.floor)
		}
		sub, err := w.svc.enlist(t.Context(), principal("bob@localhost"), jid.MustParse("bob@localhost"), "/a", wish{slash: true})
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.broker.Publish(t.Context(), principal("x"), &broker.Message{Channel: "/b", Data: []byte("1")}, broker.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sub.floor = r.Position
		for offset, want := range map[uint64]bool{r.Position.Offset: false, r.Position.Offset + 1: true} {
			m := &broker.Message{ID: "1", Channel: "/a", Data: []byte("1"), Position: broker.Position{Epoch: r.Position.Epoch, Offset: offset}}
			ev := newEvent(service)
			ev.about("/a", nil, false)
			if sent, err := w.svc.notifyOne(t.Context(), ev, nil, sub, m); sent != want || err != nil {
				t.Errorf("offset %d: sent is %v, %v", offset, sent, err)
			}
		}
		// What has come in the meantime is newer than the last item.
		m := &broker.Message{ID: "1", Channel: "/a", Data: []byte("1"), Position: r.Position}
		w.stanza()
		w.svc.sendLast(t.Context(), nil, sub, m)
		w.silent()
		sub.seen = broker.Position{}
		w.svc.sendLast(t.Context(), nil, sub, m)
		w.event("bob@localhost")
		if covers(broker.Position{}, broker.Position{}) {
			t.Error("no position covers something")
		}
	})
}

// Checklist 118.
func TestRestart_keeps_nodes_and_the_subscriptions_of_bare_JIDs(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "title=The A", "max_items=7")
		w.affiliates(alice, "/a", "carol@localhost publisher")
		w.subscribed(bob, "a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		w.subscribed(bob, "/c/**", "bob@localhost")
		w.subscribed(carol, "/a", "carol@localhost")
		w.answers(carol, "set", unsubscribing("/a", "carol@localhost"), result(carol, ""))
		w.send(iq(carol, "set", publishing("/a", item("1", "1"))))
		w.gets(published(carol, "/a", "1"), eventText("bob@localhost", "E", "a", item("1", "1")), eventText(bob, "E", "/a", item("1", "1")))
		w.restart()
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions>"+
			"<subscription node='a' jid='bob@localhost' subscription='subscribed'/><subscription node='/c/**' jid='bob@localhost' subscription='subscribed'/></subscriptions>")))
		w.settings(alice, "/a", "title=The A", "max_items=7")
		w.send(iq(carol, "set", publishing("/a", item("2", "2"))))
		w.gets(published(carol, "/a", "2"), eventText("bob@localhost", "E", "a", item("2", "2")))
		w.publish("/c/1", "1")
		w.gets(eventText("bob@localhost", "E", "/c/1", item("NEW", "1")))
		w.silent()
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", item("1", "1")+item("2", "2"), "")))
		// And what is gone stays gone.
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		w.subscribed(bob, "/a", "bob@localhost")
		w.publish("/c/1", "1")
		id := w.event("bob@localhost")
		w.send(bounce("bob@localhost", id, "cancel", "gone"))
		w.silent()
		w.restart()
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions></subscriptions>")))
	})
}

// Subscriptions that the rules do not allow any more wait for a time when they do, unless their user ends them.
func TestRestart_with_other_rules(t *testing.T) {
	closed := false
	dialogue(t, func(o *setup) {
		o.broker.Authorizer = authorizerFunc(func(p broker.Pattern) bool { return closed && p != "/b" })
	}, func(w *world) {
		for _, node := range []string{"/a", "/b", "/c"} {
			w.subscribed(bob, node, "bob@localhost")
		}
		list := func(nodes ...string) {
			t.Helper()
			var b strings.Builder
			for _, n := range nodes {
				b.WriteString("<subscription node='" + n + "' jid='bob@localhost' subscription='subscribed'/>")
			}
			w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions>"+b.String()+"</subscriptions>")))
		}
		closed = true
		w.restart()
		list("/b")
		w.answers(bob, "set", unsubscribing("/c", "bob@localhost"), result(bob, ""))
		closed = false
		w.restart()
		list("/a", "/b")
	})
}

// A store that fails changes nothing, and a record that cannot be read stops the service: it may be what keeps a node closed.
func TestStore_failures(t *testing.T) {
	store := &fussyStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		const down = "the store is down"
		w.creates(alice, "/a", "title=yes")
		w.subscribed(bob, "/a", "bob@localhost")
		store.fail = broker.Errorf(broker.Unavailable, down)
		unavailable := func(from, payload string) {
			t.Helper()
			w.answers(from, "set", payload, refused(from, "wait: recipient-unavailable", down))
		}
		unavailable(alice, creating("/b"))
		unavailable(alice, configuring("/a", "title=no"))
		unavailable(alice, affiliating("/a", "bob@localhost owner"))
		unavailable(alice, ownerOf("<delete node='/a'/>"))
		unavailable(carol, subscribing("/a", "carol@localhost"))
		unavailable(bob, subscribing("a", "bob@localhost"))
		unavailable(bob, unsubscribing("/a", "bob@localhost"))
		w.subscribed(carol, "/a", carol) // no record
		store.fail = nil
		w.settings(alice, "/a", "title=yes")
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"), result(alice, ownerOf("<subscriptions node='/a'>"+
			"<subscription jid='bob@localhost' subscription='subscribed'/><subscription jid='carol@localhost/café' subscription='subscribed'/></subscriptions>")))
		w.answers(bob, "get", ownerOf("<configure node='/b'/>"), refused(bob, "cancel: item-not-found", noNode))

		for _, value := range []string{"{", `{"v":2,"channel":"/x"}`, `{"v":1,"channel":"x y"}`} {
			w.stop()
			key := "xmpp/waft.localhost/node/x"
			if _, err := store.Put(t.Context(), broker.Record{Key: key, Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			svc, err := New(w.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := svc.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "xmpp/waft.localhost/node/x") {
				t.Errorf("with %s: %v", value, err)
			}
			if err := store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.accept()
		}
	})
}

// Somebody else writes the record between our reading and our writing: both changes are there in the end.
func TestStore_conflicts_are_tried_again(t *testing.T) {
	store := &fussyStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.creates(alice, "/a")
		other := newRegistry(store, service, 100, 100)
		if err := other.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.update(t.Context(), "/a", func(l *leaf) error { l.Config.Description = "other"; return nil }); err != nil {
			t.Fatal(err)
		}
		w.configures(alice, "/a", "title=ours")
		w.settings(alice, "/a", "title=ours", "description=other")
		if _, err := other.update(t.Context(), "/a", func(l *leaf) error { l.Affiliations = map[string]affiliation{"x@y": affOwner}; return nil }); err != nil {
			t.Fatal(err)
		}
		w.answers(alice, "set", configuring("/a", "title=late"), refused(alice, "auth: forbidden", notOwner)) // not an owner any more
		if err := other.delete(t.Context(), "/a"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.nodes.update(t.Context(), "/a", func(*leaf) error { return nil }); err != errNoNode {
			t.Errorf("a node that another process deleted: %v", err)
		}
		if err := other.create(t.Context(), newLeaf("/b", "x@y", defaultConfig())); err != nil {
			t.Fatal(err)
		}
		w.answers(alice, "set", creating("/b"), refused(alice, "cancel: conflict", "the node exists"))
		// A record of an earlier subscription gives way.
		if err := w.svc.shelf.keep(t.Context(), shelved{JID: "bob@localhost", Pattern: "/a", Slash: true}); err != nil {
			t.Fatal(err)
		}
		w.subscribed(bob, "a", "bob@localhost")
		w.restart()
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions><subscription node='a' jid='bob@localhost' subscription='subscribed'/></subscriptions>")))
	})
}

// Two services of one store do not see each other's.
func TestStore_is_shared_by_domains(t *testing.T) {
	store := broker.NewMemoryStore()
	a, b := newRegistry(store, "a.localhost", 1, 1), newRegistry(store, "a.localhost.b", 1, 1)
	if err := a.create(t.Context(), newLeaf("/x", "x@y", defaultConfig())); err != nil {
		t.Fatal(err)
	}
	if err := b.load(t.Context()); err != nil || b.size() != 0 {
		t.Errorf("%d nodes, %v", b.size(), err)
	}
}

// fussyStore fails while it is told to.
type fussyStore struct {
	broker.Store
	fail   error
	before func(key string) // what happens just before a record is written; nil: nothing
}

func (s *fussyStore) Put(ctx context.Context, r broker.Record) (uint64, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	if s.before != nil {
		s.before(r.Key)
	}
	return s.Store.Put(ctx, r)
}

func (s *fussyStore) Delete(ctx context.Context, key string) error {
	if s.fail != nil {
		return s.fail
	}
	return s.Store.Delete(ctx, key)
}

// The owner closes the node between the look at it and the record of the subscription.
func TestSubscribe_to_a_node_that_closes_meanwhile(t *testing.T) {
	store := &fussyStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.creates(alice, "/a")
		store.before = func(string) {
			store.before = nil
			if _, err := w.svc.nodes.update(t.Context(), "/a", func(l *leaf) error { l.Config.AccessModel = accessWhitelist; return nil }); err != nil {
				t.Error(err)
			}
		}
		w.answers(bob, "set", subscribing("/a", "bob@localhost"), refused(bob, "cancel: not-allowed + closed-node", "the node is not open to you"))
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"), result(alice, ownerOf("<subscriptions node='/a'></subscriptions>")))
	})
}

// Many subscribe while the owner opens and closes the node: when all is done and the node is closed, nobody is left inside.
func TestWhitelist_closes_behind_those_who_come_meanwhile(t *testing.T) {
	store := broker.NewMemoryStore()
	dialogue(t, func(o *setup) { o.service.Store = store; o.service.Workers = 4 }, func(w *world) {
		w.creates(alice, "/a")
		for i := range 20 {
			for u := range 10 {
				user := fmt.Sprintf("user%d@localhost", u*20+i)
				w.send(iq(user+"/x", "set", subscribing("/a", user)))
			}
			w.send(iq(alice, "set", configuring("/a", "access_model="+[]string{"open", "whitelist"}[i%2])))
		}
		synctest.Wait()
		w.mu.Lock()
		w.got = nil
		w.mu.Unlock()
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"), result(alice, ownerOf("<subscriptions node='/a'></subscriptions>")))
		left := 0
		if err := store.Scan(t.Context(), "xmpp/waft.localhost/subscription/", func(broker.Record) bool { left++; return true }); err != nil || left > 0 {
			t.Errorf("%d records, %v", left, err)
		}
	})
}
