package xmpp

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
)

// Whom an owner has cast out is kept out at every door, and finds nothing that tells of the node.
func TestOutcast_at_every_door(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); tellsPresence(o) }, func(w *world) {
		const shut = "the node is not open to you"
		w.creates(carol, "/a", "access_model=authorize", "publish_model=open", "send_last_published_item=on_sub_and_presence")
		w.answers(carol, "set", publishing("/a", item("1", "1")), published(carol, "/a", "1"))
		w.publish("/a/presence", `{"present":["carol@localhost"]}`)
		w.affiliates(carol, "/a", "bob@localhost outcast")
		if f := w.finds(bob, asking("/a", "")); !strings.Contains(f.refused, errorElement("auth: forbidden", shut)[:60]) || f.items != nil {
			t.Errorf("the archive: %v", f)
		}
		w.executes(bob, executing("history", "", filling("channel=/a")), refusedCommand(bob, "cancel: forbidden", "the node is closed to you"))
		w.executes(bob, executing("remove", "", filling("channel=/a", "id=1")), refusedCommand(bob, "cancel: forbidden", "the node does not let you publish"))
		w.executes(bob, executing("channels", "", filling("max=5")), executed(bob, "channels", "completed", table("channels", []string{"channel", "messages", "position"})+"<note type='info'>0 channels</note>"))
		for _, c := range []struct{ typ, payload, shape, text string }{
			{"set", subscribing("/a", bob), "auth: forbidden", "the node is closed to you"},
			{"get", wanting("node='/a'", "<item id='1'/>", ""), "auth: forbidden", "the node is closed to you"},
			{"set", subscribing("/a/presence", bob), "cancel: not-allowed + closed-node", "the node is not open to you"},
			{"get", wanting("node='/a/presence'", "", ""), "cancel: not-allowed + closed-node", "the node is not open to you"},
			{"get", info("/a"), "cancel: item-not-found", noNode},
			{"get", info("/a/presence"), "cancel: item-not-found", noNode},
			{"get", discoItems("/a", ""), "cancel: item-not-found", noNode},
			{"get", discoItems("/a/presence", ""), "cancel: item-not-found", noNode},
			{"get", pubsubOf("<options node='/a' jid='bob@localhost'/>"), "cancel: item-not-found", noNode},
		} {
			w.answers(bob, c.typ, c.payload, refused(bob, c.shape, c.text))
		}
		w.answers(bob, "get", discoItems("", ""), result(bob, "<query xmlns='"+itemsNS+"'></query>"))
		w.subscribed(bob, "/*", "bob@localhost")
		w.subscribed(bob, "/a/**", "bob@localhost")
		w.send("<presence from='" + bob + "' to='waft.localhost'/>")
		w.publish("/a", "2")
		w.publish("/a/presence", "2")
		w.silent()
		// Whoever may read the node may know who is there.
		w.subscribed(carol, "/a/presence", carol)
		w.publish("/a/presence", "3")
		w.gets(eventText(carol, "E", "/a/presence", item("NEW", "3")))
		w.affiliates(carol, "/a", "bob@localhost member")
		w.publish("/a/presence", "4")
		w.gets(eventText(carol, "E", "/a/presence", item("NEW", "4")), eventText("bob@localhost", "E", "/a/presence", item("NEW", "4")))
	})
}

// tellsPresence says that /x/presence tells who is present at /x.
func tellsPresence(o *setup) {
	o.service.PresenceOf = func(c broker.Channel) (broker.Channel, bool) {
		of, ok := strings.CutSuffix(string(c), "/presence")
		return broker.Channel(of), ok
	}
}

// A pattern below a node is not the node: who may not read /a may listen to /a/*, and is not sent what /a has last.
func TestPattern_below_a_node_is_not_the_node(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize", "send_last_published_item=on_sub_and_presence")
		w.creates(alice, "/b", "send_last_published_item=on_sub_and_presence")
		w.answers(alice, "set", publishing("/b", item("1", "1")), published(alice, "/b", "1"))
		for _, p := range []string{"/a/*", "/a/**", "/b/*"} {
			w.answers(bob, "set", subscribing(p, bob), result(bob, pubsubOf("<subscription node='"+p+"' jid='"+bob+"' subscription='subscribed'/>")))
		}
		w.send("<presence from='" + bob + "' to='waft.localhost'/>")
		w.silent()
		w.publish("/a/1", "1")
		w.gets(eventText(bob, "E", "/a/1", item("NEW", "1")))
	})
}

// A page of channels that ends among hidden nodes gives none of their names away, and is full all the same.
func TestCommand_channels_never_names_a_hidden_node(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		for _, node := range []string{"/a1", "/b1", "/b2", "/b3", "/b4", "/b5", "/b6"} {
			if node != "/a1" {
				w.creates(carol, node, "access_model=whitelist")
			}
			w.answers(carol, "set", publishing(node, item("1", "1")), published(carol, node, "1"))
		}
		w.publish("/c1", "1")
		columns := []string{"channel", "messages", "position"}
		w.executes(bob, executing("channels", "", filling("max=1")), executed(bob, "channels", "completed",
			table("channels", columns, []string{"/a1", "1", "P1"})+"<note type='info'>1 channels; more after /a1</note>"))
		w.executes(bob, executing("channels", "", filling("max=2")), executed(bob, "channels", "completed",
			table("channels", columns, []string{"/a1", "1", "P1"}, []string{"/c1", "1", "P1"})+"<note type='info'>2 channels</note>"))
		w.executes(bob, executing("channels", "", filling("max=1", "after=/a1")), executed(bob, "channels", "completed",
			table("channels", columns, []string{"/c1", "1", "P1"})+"<note type='info'>1 channels</note>"))
	})
}

// A subscription whose end the store did not take is not ended later in the shape of the one that has followed it.
func TestOptions_a_lapse_that_comes_late_finds_another_subscription(t *testing.T) {
	store := &downStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		w.prefers(bob, "/a", "bob@localhost", "expire="+time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
		store.down.Store(true)
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		store.down.Store(false)
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		w.subscribed(bob, "/a", "bob@localhost")
		time.Sleep(2 * lapseRetry)
		w.publish("/a", "1")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "1")))
	})
}

// A request that waits may have a term: with it the request ends, and an owner who says yes then is told.
func TestAuthorize_a_request_with_a_term(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.petitions(bob, "/a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "/a"))
		w.prefers(bob, "/a", "bob@localhost", "expire="+time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
		time.Sleep(time.Hour + time.Second)
		w.gets(state("/a", "bob@localhost", "none"))
		w.lists(alice, "/a")
		w.send(decidingOn(alice, "/a", "bob@localhost", "1"))
		if got := w.stanza(); !strings.Contains(got, "type='error'") {
			t.Errorf("the owner is told %s", got)
		}
		w.answers(bob, "get", wanting("node='/a'", "", ""), refused(bob, "auth: not-authorized + not-subscribed", "the node is for those whom an owner has let subscribe"))
		// With the owner's word before the end the term goes on.
		w.petitions(bob, "/a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "/a"))
		w.prefers(bob, "/a", "bob@localhost", "expire="+time.Now().UTC().Add(time.Hour).Format(time.RFC3339))
		w.send(decidingOn(alice, "/a", "bob@localhost", "1"))
		w.gets(state("/a", "bob@localhost", "subscribed"))
		time.Sleep(time.Hour + time.Second)
		w.gets(state("/a", "bob@localhost", "none"))
		w.publish("/a", "1")
		w.silent()
	})
}

// A pattern can be subscribed to and nothing else, whatever the verb.
func TestPattern_is_no_node_to_own(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/chat/1")
		w.subscribed(alice, "/chat/**", "alice@localhost")
		for _, node := range []string{"/chat/**", "chat/**"} {
			for _, c := range []struct{ typ, payload string }{
				{"get", ownerOf("<configure node='" + node + "'/>")},
				{"set", configuring(node, "title=x")},
				{"set", ownerOf("<delete node='" + node + "'/>")},
				{"set", ownerOf("<purge node='" + node + "'/>")},
				{"get", ownerOf("<affiliations node='" + node + "'/>")},
				{"set", affiliating(node, "bob@localhost owner")},
				{"get", ownerOf("<subscriptions node='" + node + "'/>")},
				{"set", ownerOf("<subscriptions node='" + node + "'><subscription jid='bob@localhost' subscription='subscribed'/></subscriptions>")},
				{"set", publishing(node, item("1", "1"))},
				{"set", pubsubOf("<retract node='" + node + "'><item id='1'/></retract>")},
				{"get", wanting("node='"+node+"'", "", "")},
				{"get", discoItems(node, "")},
				{"get", info(node)},
				{"set", "<query xmlns='urn:xmpp:mam:2' node='" + node + "'/>"},
				{"get", "<metadata xmlns='urn:xmpp:mam:2' node='" + node + "'/>"},
			} {
				if got := w.ask(alice, c.typ, c.payload); !strings.Contains(got, "<error type='cancel'><item-not-found") {
					t.Errorf("%s is answered %s", c.payload, got)
				}
			}
		}
		w.publish("/chat/1", "1")
		w.gets(eventText("alice@localhost", "E", "/chat/1", item("NEW", "1")))
	})
}

// What XML cannot carry comes through other doors, and leaves by all of XMPP's as an escape: the JSON stays the same.
func TestPayload_that_XML_cannot_carry_leaves_by_every_door(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		w.publish("/a", "\"\ufffe\uffff\U0001F600\"")
		const want = `"\ufffe\uffff` + "\U0001F600" + `"`
		f := w.finds(bob, asking("/a", ""))
		if len(f.stanzas) != 1 || !strings.Contains(f.stanzas[0], "'>"+want+"</json>") {
			t.Errorf("the archive: %q", f.stanzas)
		}
		for name, got := range map[string]string{
			"items":   w.ask(bob, "get", wanting("node='/a'", "", "")),
			"command": w.ask(bob, "set", executing("history", "", filling("channel=/a"))),
		} {
			if !strings.Contains(got, ">"+want+"<") {
				t.Errorf("%s: %s", name, got)
			}
		}
		w.chats(alice, "history /a", "")
		if got := w.stanza(); !strings.Contains(got, want) {
			t.Errorf("the chat: %s", got)
		}
	})
}

// Two services that hear of each other fall silent: what one says is no question to the other.
func TestServices_do_not_talk_for_ever(t *testing.T) {
	const other = "pubsub.elsewhere"
	everybody := brokertest.AuthorizerFunc(func(context.Context, broker.Principal, broker.Action, broker.Pattern) error { return nil })
	dialogue(t, func(o *setup) { o.broker.Authorizer = everybody }, func(w *world) { // who manages is worth answering in chats
		w.answers(other, "set", subscribing("/a", other), result(other, pubsubOf("<subscription node='/a' jid='"+other+"' subscription='subscribed'/>")))
		answers := 0
		// Whatever the one says comes back from the other, as it would say it, in each of its shapes.
		say := []string{
			"<message from='" + other + "' to='waft.localhost' type='headline' id='e1'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='/a'/></event></message>",
			"<message from='" + other + "' to='waft.localhost' id='e2'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='/a'/></event></message>",
			"<message from='" + other + "' to='waft.localhost' type='chat' id='e3'><body>hello</body></message>",
			"<presence from='" + other + "' to='waft.localhost' type='subscribe'/>",
			iq(other, "get", "<ping xmlns='urn:xmpp:ping'/>"),
		}
		for len(say) > 0 && answers < 100 {
			w.send(say[0])
			say = say[1:]
			synctest.Wait()
			w.mu.Lock()
			more := len(w.got) > 0
			w.mu.Unlock()
			for more {
				s := w.stanza()
				answers++
				say = append(say, strings.NewReplacer("from='waft.localhost'", "from='"+other+"'", "to='"+other+"'", "to='waft.localhost'").Replace(s))
				synctest.Wait()
				w.mu.Lock()
				more = len(w.got) > 0
				w.mu.Unlock()
			}
		}
		if answers > 12 {
			t.Errorf("they have said %d things to each other", answers)
		}
	})
}

// Checklist 118: everything that lasts is there when another service begins with the records of the one before, and
// nothing that does not.
func TestRun_begins_with_what_the_store_has(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); byGrants(o); o.broker.Authorizer = aliceManages }, func(w *world) {
		w.creates(bob, "/a", "access_model=authorize", "title=A", "send_last_published_item=on_sub")
		w.creates(bob, "/t", "tempsub=1")
		w.affiliates(bob, "/a", "pub@localhost publisher", "out@localhost outcast")
		w.petitions(carol, "a", "carol@localhost")
		w.gets(requestTo("bob@localhost", "carol@localhost", "a"))
		w.subscribed(bob, "/a", "bob@localhost")
		w.prefers(bob, "/a", "bob@localhost", "deliver=0", "show-values=chat")
		w.gets("<presence type='subscribe' from='waft.localhost' to='bob@localhost'/>")
		w.subscribed(bob, "/b", bob)                                                                                                                                // a full JID
		w.answers(bob, "set", subscribing("/t", "bob@localhost"), result(bob, pubsubOf("<subscription node='/t' jid='bob@localhost' subscription='subscribed'/>"))) // a temporary one
		w.gets("<presence type='subscribe' from='waft.localhost' to='bob@localhost'/>")
		w.hears(alice, "admin-add dave@localhost", "dave@localhost is an admin", "")

		records := w.opts.Store
		w.stop()
		w.opts.Broker = brokertest.New(w.t, broker.Options{Authorizer: aliceManages}) // another program
		w.broker, w.opts.Store = w.opts.Broker, records
		w.start()
		w.accept()
		w.gets("<presence type='probe' from='waft.localhost' to='bob@localhost'/>")
		w.settings(bob, "/a", "title=A", "access_model=authorize", "send_last_published_item=on_sub")
		w.lists(bob, "/a", "bob@localhost subscribed", "carol@localhost pending")
		w.hasOptions(bob, "/a", "bob@localhost", "0", "", "chat")
		w.answers(bob, "get", ownerOf("<affiliations node='/a'/>"), result(bob, ownerOf("<affiliations node='/a'>"+
			"<affiliation jid='bob@localhost' affiliation='owner'/><affiliation jid='out@localhost' affiliation='outcast'/><affiliation jid='pub@localhost' affiliation='publisher'/></affiliations>")))
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions><subscription node='/a' jid='bob@localhost' subscription='subscribed'/></subscriptions>")))
		w.hears(alice, "admin-remove dave@localhost", "dave@localhost is not an admin any more, unless the configuration says so", "")
		w.send(decidingOn(bob, "/a", "carol@localhost", "1"))
		w.gets(state("a", "carol@localhost", "subscribed"))
	})
}
