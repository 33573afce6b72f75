package xmpp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const (
	noNode   = "there is no such node"
	notOwner = "only an owner of the node may do this"
)

// Checklist 14.
func TestCreate(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/mine")
		w.answers(alice, "set", creating("/mine"), refused(alice, "cancel: conflict", "the node exists"))
		w.answers(bob, "set", creating("mine"), refused(bob, "cancel: conflict", "the node exists"))
		got := w.ask(alice, "set", pubsubOf("<create/><configure/>"))
		if !regexp.MustCompile(`^<iq type='result' .*><create node='/instant/[A-Z2-7]{26}'/></pubsub></iq>$`).MatchString(got) {
			t.Errorf("an instant node: %s", got)
		}
		if n := w.svc.nodes.size(); n != 2 {
			t.Errorf("there are %d nodes", n)
		}
	})
}

// Checklist 15, 17, 18: and nothing is made.
func TestCreate_refuses(t *testing.T) {
	for _, c := range []struct{ name, payload, shape, text string }{
		{"15 the rules forbid to publish", creating("/news/1"), "auth: forbidden", "bob@localhost may not publish /news/1"},
		{"17 presence", creating("/a", "access_model=presence"), "modify: not-acceptable + unsupported-access-model", `access_model cannot be "presence"; it is one of ["open" "whitelist" "authorize"]`},
		{"17 unknown", creating("/a", "access_model=x", "title=y"), "modify: not-acceptable + unsupported-access-model", `access_model cannot be "x"; it is one of ["open" "whitelist" "authorize"]`},
		{"17 node beside", pubsubOf("<create node='/a'/><configure node='/a'/>"), "modify: bad-request", "the node is named by the create element alone"},
		{"18 empty", creating(""), "modify: bad-request + nodeid-required", "the node is missing"},
		{"18 long", creating("/" + strings.Repeat("x", 1025)), "modify: not-acceptable", "the channel name has 1026 bytes, more than the limit of 512"},
		{"18 pattern", creating("/a/*"), "modify: not-acceptable", `channel "/a/*" has "*" at byte 3, which no channel may have`},
		{"18 space", creating("a b"), "modify: not-acceptable", `channel "/a b" has " " at byte 2, which no channel may have`},
		{"18 reserved", creating("/meta/x"), "modify: not-acceptable", noNode},
		{"two", pubsubOf("<create node='/a'/><create node='/b'/>"), "modify: bad-request", "one iq asks for one thing"},
		{"two forms", pubsubOf("<create node='/a'/><configure/><configure>" + submitting(nodeConfig, "title=x") + "</configure>"), "cancel: feature-not-implemented + unsupported create-and-configure", "the service does not offer this part of publish-subscribe"},
		{"not a form", pubsubOf("<create node='/a'/><configure><x xmlns='urn:x'/></configure>"), "modify: not-acceptable", "what was submitted is no data form of XEP-0004"},
		{"another form", pubsubOf("<create node='/a'/><configure>" + submitting("f", "title=x") + "</configure>"), "modify: not-acceptable", `the form is of the type "f"; it must be ` + nodeConfig},
		{"bad value", creating("/a", "max_items=0"), "modify: not-acceptable", "max_items is a number from 1 to 10000, or max"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.answers(bob, "set", c.payload, refused(bob, c.shape, c.text))
				if n := w.svc.nodes.size(); n != 0 {
					t.Errorf("there are %d nodes", n)
				}
			})
		})
	}
}

// A channel that others use cannot be taken from them, but by somebody who manages it.
func TestCreate_takes_no_channel_from_its_users(t *testing.T) {
	const inUse = "others use the channel; only who may manage it can make it his node"
	closed := func(o *setup) {
		o.broker.Authorizer = aliceManages
	}
	dialogue(t, closed, func(w *world) {
		w.subscribed(carol, "/a", "carol@localhost")
		w.answers(bob, "set", creating("/a"), refused(bob, "cancel: conflict", inUse))
		w.creates(alice, "/a")
		w.answers(carol, "set", publishing("/b", item("1", "1")), published(carol, "/b", "1"))
		w.answers(bob, "set", creating("/b"), refused(bob, "cancel: conflict", inUse))
		w.creates(carol, "/b")
		w.answers(bob, "set", creating("/inbox/1"), refused(bob, "cancel: conflict", inUse)) // which he cannot see into
		w.creates(bob, "/c")
		w.answers("☃@localhost/x", "set", creating("/d"), refused("☃@localhost/x", "auth: forbidden", "only users with a JID of RFC 7622 can have nodes"))
	})
}

// Checklist 107, the edge of each limit.
func TestCreate_limits(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxNodes, o.service.MaxTotalNodes = 2, 3 }, func(w *world) {
		w.creates(bob, "/1")
		w.creates(bob, "/2")
		w.answers(bob, "set", creating("/3"), refused(bob, "wait: policy-violation + max-nodes-exceeded", "you have created as many nodes as anybody may"))
		for i := range 3 { // a change is not another node
			w.configures(bob, "/2", fmt.Sprintf("title=%d", i))
		}
		w.creates(carol, "/3")
		w.answers(carol, "set", creating("/4"), refused(carol, "wait: resource-constraint + max-nodes-exceeded", "the service has as many nodes as it can have"))
		w.answers(bob, "set", ownerOf("<delete node='/1'/>"), result(bob, ""))
		w.creates(bob, "/4")
	})
}

// Checklist 16, 19, 20, 24.
func TestCreate_with_a_configuration(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a!~()$@-_/B", "access_model=whitelist", "max_items=3", "title=&lt;&amp;&gt; é", "unknown=1")
		w.settings(alice, "/a!~()$@-_/B", "access_model=whitelist", "max_items=3", "title=&lt;&amp;&gt; é", "publish_model=publishers")
		w.answers(alice, "get", ownerOf("<affiliations node='a!~()$@-_/B'/>"),
			result(alice, ownerOf("<affiliations node='a!~()$@-_/B'><affiliation jid='alice@localhost' affiliation='owner'/></affiliations>")))
	})
}

// Checklist 20, 24, 27: the whole form, and the defaults are what a new node has.
func TestConfigure_shows_the_form(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a")
		got := w.ask(alice, "get", ownerOf("<configure node='/a'/>"))
		_, form, _ := strings.Cut(got, "<x ")
		form = "<x " + strings.TrimSuffix(form, "</configure></pubsub></iq>")
		w.answers(alice, "get", ownerOf("<default/>"), result(alice, ownerOf("<default>"+form+"</default>")))
		w.answers(alice, "get", ownerOf("<default type='leaf'/>"), result(alice, ownerOf("<default>"+form+"</default>")))
		w.answers(alice, "get", ownerOf("<default type='collection'/>"),
			refused(alice, "cancel: feature-not-implemented + unsupported collections", "the service does not offer this part of publish-subscribe"))
		if !strings.HasPrefix(form, "<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>"+nodeConfig+"</value></field>") {
			t.Errorf("the form is %s", form)
		}
		for _, field := range []string{
			"'pubsub#title' type='text-single' label='A short name'><value></value></field>",
			"'pubsub#type' type='text-single' label='The namespace of the payloads'><value>urn:xmpp:json:0</value></field>",
			"'pubsub#access_model' type='list-single' label='Who may subscribe and read'><value>open</value><option><value>open</value></option><option><value>whitelist</value></option><option><value>authorize</value></option></field>",
			"'pubsub#max_items' type='text-single' label='Newest items that are shown, or max'><value>max</value></field>",
			"'pubsub#persist_items' type='boolean' label='Show items that were published before'><value>1</value></field>",
			"'pubsub#max_payload_size' type='text-single' label='Bytes of a payload'><value>131072</value></field>",
			"'pubsub#notify_config' type='boolean' label='Notify subscribers of a new configuration'><value>0</value></field>",
		} {
			if !strings.Contains(form, field) {
				t.Errorf("%s is missing in %s", field, form)
			}
		}
		// What was shown can be sent back as it is.
		w.answers(alice, "set", ownerOf("<configure node='/a'>"+strings.Replace(form, "type='form'", "type='submit'", 1)+"</configure>"), result(alice, ""))
	})
}

// Checklist 21, 22, 24.
func TestConfigure(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "max_items=3")
		w.configures(alice, "/a", "notify_config=0", "notify_delete=false", "deliver_payloads=true", "persist_items=1", "max_items=max", "item_expire=60",
			"max_payload_size=100", "type=urn:xmpp:json:0", "title", "unknown=x")
		w.settings(alice, "/a", "notify_config=0", "notify_delete=0", "deliver_payloads=1", "persist_items=1", "max_items=max", "item_expire=60", "max_payload_size=100")
		w.configures(alice, "a")
		w.answers(alice, "set", ownerOf("<configure node='/a'><x xmlns='jabber:x:data' type='cancel'><field var='pubsub#title'><value>no</value></field></x></configure>"), result(alice, ""))
		w.settings(alice, "/a", "title=", "item_expire=60")
	})
}

// Checklist 23, 25, 26: with nothing applied.
func TestConfigure_refuses(t *testing.T) {
	for _, c := range []struct{ name, from, payload, shape, text string }{
		{"23 not a number", alice, configuring("/a", "title=no", "max_items=abc"), "modify: not-acceptable", "max_items is a number from 1 to 10000, or max"},
		{"23 negative", alice, configuring("/a", "title=no", "max_items=-1"), "modify: not-acceptable", "max_items is a number from 1 to 10000, or max"},
		{"23 too many", alice, configuring("/a", "title=no", "max_items=10001"), "modify: not-acceptable", "max_items is a number from 1 to 10000, or max"},
		{"23 expiry", alice, configuring("/a", "title=no", "item_expire=2147483648"), "modify: not-acceptable", "item_expire is a number from 1 to 2147483647, or max"},
		{"23 boolean", alice, configuring("/a", "title=no", "persist_items=yes"), "modify: not-acceptable", "persist_items is a boolean: 0, 1, false or true"},
		{"23 list", alice, configuring("/a", "title=no", "publish_model=x"), "modify: not-acceptable", `publish_model cannot be "x"; it is one of ["publishers" "subscribers" "open"]`},
		{"23 not offered", alice, configuring("/a", "title=no", "publish_node_full=forget"), "modify: not-acceptable", `publish_node_full cannot be "forget"; it is one of ["discard-oldest" "reject" "retract-oldest"]`},
		{"23 size", alice, configuring("/a", "title=no", "max_payload_size=131073"), "modify: not-acceptable", "max_payload_size is a number from 1 to 131072"},
		{"23 read only", alice, configuring("/a", "title=no", "creator=bob@localhost"), "modify: not-acceptable", `"pubsub#creator" cannot be changed`},
		{"23 type", alice, configuring("/a", "title=no", "type=http://www.w3.org/2005/Atom"), "modify: not-acceptable", "type cannot be changed: it is urn:xmpp:json:0"},
		{"23 long title", alice, configuring("/a", "title="+strings.Repeat("x", 257)), "modify: not-acceptable", "title has 257 bytes, more than the limit of 256"},
		{"23 long description", alice, configuring("/a", "title=no", "description="+strings.Repeat("x", 2049)), "modify: not-acceptable", "description has 2049 bytes, more than the limit of 2048"},
		{"23 twice", alice, configuring("/a", "title=no", "title=yes"), "modify: not-acceptable", `the form has a field twice: "pubsub#title"`},
		{"23 two values", alice, configuring("/a", "title=no</value><value>yes"), "modify: not-acceptable", "title has more than one value"},
		{"23 no form", alice, ownerOf("<configure node='/a'/>"), "modify: not-acceptable", "there is no form with the configuration"},
		{"23 result", alice, strings.Replace(configuring("/a", "title=no"), "submit", "result", 1), "modify: not-acceptable", "a form is submitted with the type submit or cancel"},
		{"25 bob", bob, configuring("/a", "title=no"), "auth: forbidden", notOwner},
		{"26 no node", alice, ownerOf("<configure/>"), "modify: bad-request + nodeid-required", "the node is missing"},
		{"26 nobody's", alice, configuring("/b", "title=no"), "cancel: item-not-found", noNode},
		{"26 not a channel", alice, configuring("/b b", "title=no"), "cancel: item-not-found", `channel "/b b" has " " at byte 2, which no channel may have`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.creates(alice, "/a", "title=yes")
				w.answers(c.from, "set", c.payload, refused(c.from, c.shape, c.text))
				w.settings(alice, "/a", "title=yes")
			})
		})
	}
}

// The edge of the lengths.
func TestConfigure_lengths(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "title="+strings.Repeat("x", 256), "description="+strings.Repeat("x", 2048), "max_items=10000", "max_payload_size=131072")
	})
}

// Checklist 25, 26 for what is asked with get.
func TestOwner_get_refuses_others(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a")
		w.creates(alice, "/hidden", "access_model=whitelist")
		for _, verb := range []string{"configure", "affiliations", "subscriptions"} {
			w.answers(bob, "get", ownerOf("<"+verb+" node='/a'/>"), refused(bob, "auth: forbidden", notOwner))
			w.answers(bob, "get", ownerOf("<"+verb+" node='/hidden'/>"), refused(bob, "cancel: item-not-found", noNode))
			w.answers(bob, "get", ownerOf("<"+verb+" node='/b'/>"), refused(bob, "cancel: item-not-found", noNode))
			w.answers(bob, "get", ownerOf("<"+verb+"/>"), refused(bob, "modify: bad-request + nodeid-required", "the node is missing"))
		}
		w.answers(bob, "get", ownerOf("<delete node='/a'/>"), refused(bob, "modify: bad-request", "this request is made with the other of the iq types get and set"))
		w.answers(bob, "set", ownerOf("<purge node='/a'/><delete node='/a'/>"), refused(bob, "modify: bad-request", "one iq asks for one thing"))
	})
}

// Checklist 28: with the form, or without where payloads are not delivered.
func TestConfigure_notifies_if_it_says_so(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a")
		w.subscribed(bob, "a", "bob@localhost")
		w.configures(alice, "/a", "title=1")
		w.silent()
		w.configures(alice, "/a", "title=2", "notify_config=1")
		got := eventIDs.ReplaceAllString(w.stanza(), " id='E'><event")
		if want := told("bob@localhost", "<configuration node='a'><x xmlns='jabber:x:data' type='result'>"); !strings.HasPrefix(got, strings.TrimSuffix(want, "</event></message>")) ||
			!strings.Contains(got, "<value>2</value>") || strings.Contains(got, "<option>") {
			t.Errorf("got %s", got)
		}
		w.configures(alice, "/a", "deliver_payloads=0")
		w.gets(told("bob@localhost", "<configuration node='a'></configuration>"))
		w.silent()
	})
}

// Checklist 29, 30.
func TestDelete(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "title=old")
		w.affiliates(alice, "/a", "carol@localhost publisher")
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(bob, "a", bob)
		w.send(iq(alice, "set", publishing("/a", item("1", "1"))))
		w.gets(published(alice, "/a", "1"), eventText("bob@localhost", "E", "/a", item("1", "1")), eventText(bob, "E", "a", item("1", "1")))
		w.answers(bob, "set", ownerOf("<delete node='/a'/>"), refused(bob, "auth: forbidden", notOwner))
		w.answers(bob, "set", ownerOf("<delete node='/b'/>"), refused(bob, "cancel: item-not-found", noNode))
		w.answers(alice, "set", ownerOf("<delete node='/a'><redirect uri='xmpp:x'/></delete>"), refused(alice, "cancel: feature-not-implemented", "a deleted node cannot refer to another"))
		w.answers(alice, "set", ownerOf("<delete node='/a'/>"), result(alice, ""))
		w.gets(told("bob@localhost", "<delete node='/a'/>"), told(bob, "<delete node='a'/>"))
		w.answers(alice, "set", ownerOf("<delete node='/a'/>"), refused(alice, "cancel: item-not-found", noNode))

		w.creates(bob, "/a")
		w.settings(bob, "/a", "title=")
		w.answers(bob, "get", wanting("node='/a'", "", ""), result(bob, retrieved("/a", "", "")))
		w.answers(bob, "get", ownerOf("<subscriptions node='/a'/>"), result(bob, ownerOf("<subscriptions node='/a'></subscriptions>")))
		w.answers(bob, "get", ownerOf("<affiliations node='/a'/>"),
			result(bob, ownerOf("<affiliations node='/a'><affiliation jid='bob@localhost' affiliation='owner'/></affiliations>")))
		w.restart()
		w.answers(bob, "get", ownerOf("<subscriptions node='/a'/>"), result(bob, ownerOf("<subscriptions node='/a'></subscriptions>")))
	})
}

func TestDelete_is_silent_if_the_node_says_so(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "notify_delete=0")
		w.subscribed(bob, "/a", "bob@localhost")
		w.answers(alice, "set", ownerOf("<delete node='/a'/>"), result(alice, ""))
		w.silent()
	})
}

// Checklist 31: one event, however many items; to those who see the node through a pattern, too.
func TestPurge(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a/b")
		w.subscribed(bob, "/a/b", "bob@localhost")
		w.subscribed(bob, "/a/**", "bob@localhost")
		w.subscribed(carol, "a/*", "carol@localhost")
		w.affiliates(alice, "/a/b", "carol@localhost outcast")
		w.subscribed("dora@localhost/x", "a/**", "dora@localhost")
		w.answers(alice, "set", configuring("/a/b", "deliver_notifications=0"), result(alice, ""))
		w.answers(alice, "set", publishing("/a/b", item("1", "1"), item("2", "2")), published(alice, "/a/b", "1", "2"))
		w.answers(bob, "set", ownerOf("<purge node='/a/b'/>"), refused(bob, "auth: forbidden", notOwner))
		w.answers(alice, "set", ownerOf("<purge node='/a/b'/>"), result(alice, ""))
		w.gets(told("bob@localhost", "<purge node='/a/b'/>"), told("dora@localhost", "<purge node='a/b'/>"))
		w.answers(bob, "get", wanting("node='/a/b'", "", ""), result(bob, retrieved("/a/b", "", "")))
		w.answers(alice, "set", configuring("/a/b", "notify_retract=0"), result(alice, ""))
		w.answers(alice, "set", ownerOf("<purge node='/a/b'/>"), result(alice, ""))
		w.silent()
		w.answers(alice, "set", configuring("/a/b", "persist_items=0"), result(alice, ""))
		w.answers(alice, "set", ownerOf("<purge node='/a/b'/>"),
			refused(alice, "cancel: feature-not-implemented + unsupported persistent-items", "the service does not offer this part of publish-subscribe"))
	})
}

// Checklist 4.
func TestDisco_info_of_a_node_that_has_an_owner(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "title=The A", "description=of all", "max_items=5", "publish_model=open")
		w.affiliates(alice, "/a", "carol@localhost owner")
		w.subscribed(bob, "/a", "bob@localhost")
		field := func(name, typ, label string, values ...string) string {
			if label != "" {
				label = " label='" + label + "'"
			}
			return "<field var='pubsub#" + name + "' type='" + typ + "'" + label + "><value>" + strings.Join(values, "</value><value>") + "</value></field>"
		}
		w.answers(bob, "get", info("a"), result(bob, "<query xmlns='"+infoNS+"' node='a'>"+
			strings.Replace(leafInfo, "'leaf'/>", "'leaf' name='The A'/>", 1)+
			"<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#meta-data</value></field>"+
			field("title", "text-single", "A short name", "The A")+
			field("description", "text-single", "What the node is for", "of all")+
			field("type", "text-single", "The namespace of the payloads", "urn:xmpp:json:0")+
			field("access_model", "list-single", "Who may subscribe and read", "open")+
			field("publish_model", "list-single", "Who may publish", "open")+
			field("max_items", "text-single", "Newest items that are shown, or max", "5")+
			field("creation_date", "text-single", "", "2000-01-01T00:00:00Z")+
			field("creator", "jid-single", "", "alice@localhost")+
			field("owner", "jid-multi", "", "alice@localhost", "carol@localhost")+
			field("num_subscribers", "text-single", "", "1")+"</x></query>"))
		w.answers(bob, "get", discoItems("", ""), result(bob, discoItems("", "<item jid='waft.localhost' node='/a'/>")))
	})
}

// Checklist 10, 64, 87.
func TestWhitelist(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		const closed = "the node is not open to you"
		w.creates(alice, "/a", "access_model=whitelist")
		w.affiliates(alice, "/a", "bob@localhost member", "pub@localhost publisher", "only@localhost publish-only")
		w.answers(alice, "set", publishing("/a", item("1", "1")), published(alice, "/a", "1"))
		w.answers(carol, "get", info("/a"), refused(carol, "cancel: item-not-found", noNode))
		w.answers(carol, "get", discoItems("/a", ""), refused(carol, "cancel: item-not-found", noNode))
		w.answers(carol, "get", discoItems("", ""), result(carol, discoItems("", "")))
		w.answers(carol, "get", pubsubOf("<subscriptions node='/a'/>"), refused(carol, "cancel: item-not-found", noNode))
		w.answers(carol, "set", subscribing("/a", "carol@localhost"), refused(carol, "cancel: not-allowed + closed-node", closed))
		w.answers(carol, "get", wanting("node='/a'", "", ""), refused(carol, "cancel: not-allowed + closed-node", closed))
		const only = "only@localhost/x"
		w.answers(only, "set", subscribing("/a", "only@localhost"), refused(only, "auth: forbidden", "the node is closed to you"))
		w.answers(only, "get", wanting("node='/a'", "", ""), refused(only, "auth: forbidden", "the node is closed to you"))
		w.answers(only, "get", discoItems("/a", ""), refused(only, "auth: forbidden", "the node is closed to you"))
		for _, who := range []string{alice, bob, "pub@localhost/x"} {
			w.answers(who, "get", wanting("node='/a'", "", ""), result(who, retrieved("/a", item("1", "1"), "")))
			w.answers(who, "get", discoItems("", ""), result(who, discoItems("", "<item jid='waft.localhost' node='/a'/>")))
		}
		// Who listens to a pattern hears of the node as far as he may.
		w.subscribed(carol, "/*", "carol@localhost")
		w.subscribed(bob, "/*", "bob@localhost")
		w.subscribed(bob, "/a", "bob@localhost")
		w.publish("/a", "2")
		w.gets(eventText("bob@localhost", "E", "/a", item("NEW", "2")))
		w.silent()
		w.affiliates(alice, "/a", "carol@localhost member")
		w.subscribed(carol, "/a", carol)
	})
}

// Checklist 65, 92: the word is at once, and the subscription of an outcast ends.
func TestOutcast(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "publish_model=open")
		w.subscribed(bob, "a", "bob@localhost")
		w.subscribed(bob, "/a", bob)
		w.subscribed(carol, "/a", "carol@localhost")
		w.affiliates(alice, "/a", "bob@localhost outcast")
		w.gets(told("bob@localhost", "<subscription node='a' jid='bob@localhost' subscription='none'/>"),
			told(bob, "<subscription node='/a' jid='bob@localhost/desk' subscription='none'/>"))
		const shut = "the node is closed to you"
		w.answers(bob, "set", subscribing("/a", "bob@localhost"), refused(bob, "auth: forbidden", shut))
		w.answers(bob, "get", wanting("node='/a'", "", ""), refused(bob, "auth: forbidden", shut))
		w.answers(bob, "set", publishing("/a", item("1", "1")), refused(bob, "auth: forbidden", "the node does not let you publish"))
		w.answers(bob, "set", pubsubOf("<retract node='/a'><item id='1'/></retract>"), refused(bob, "auth: forbidden", "the node does not let you publish"))
		w.answers(bob, "get", info("/a"), refused(bob, "cancel: item-not-found", noNode))
		w.answers(bob, "get", ownerOf("<configure node='/a'/>"), refused(bob, "auth: forbidden", notOwner))
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions></subscriptions>")))
		w.subscribed(bob, "/*", "bob@localhost")
		w.publish("/a", "1")
		w.gets(eventText("carol@localhost", "E", "/a", item("NEW", "1")))
		w.silent()
		w.restart()
		w.publish("/a", "2")
		w.gets(eventText("carol@localhost", "E", "/a", item("NEW", "2")))
		w.silent()
	})
}

// A node that closes sends away who may not stay.
func TestConfigure_to_whitelist_ends_the_subscriptions_of_others(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a")
		w.affiliates(alice, "/a", "carol@localhost member")
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(carol, "/a", "carol@localhost")
		w.configures(alice, "/a", "access_model=whitelist")
		w.gets(told("bob@localhost", "<subscription node='/a' jid='bob@localhost' subscription='none'/>"))
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"),
			result(alice, ownerOf("<subscriptions node='/a'><subscription jid='carol@localhost' subscription='subscribed'/></subscriptions>")))
		w.affiliates(alice, "/a", "carol@localhost none")
		w.gets(told("carol@localhost", "<subscription node='/a' jid='carol@localhost' subscription='none'/>"))
	})
}

// Checklist 36, 92.
func TestPublish_model(t *testing.T) {
	const no = "the node does not let you publish"
	dialogue(t, nil, func(w *world) {
		tries := func(who, node string, may bool) {
			t.Helper()
			if may {
				w.answers(who, "set", publishing(node, item("1", "1")), published(who, node, "1"))
			} else {
				w.answers(who, "set", publishing(node, item("1", "1")), refused(who, "auth: forbidden", no))
			}
		}
		for _, model := range []string{"publishers", "subscribers", "open"} {
			node := "/" + model
			w.creates(alice, node, "publish_model="+model, "deliver_notifications=0")
			w.affiliates(alice, node, "p@localhost publisher", "o@localhost publish-only", "m@localhost member", "x@localhost outcast", "own@localhost owner")
			w.subscribed(carol, node, carol)
			w.subscribed("s@localhost/x", "/*", "s@localhost") // by a pattern, which is not a subscription to the node
			for _, who := range []string{alice, "p@localhost/x", "o@localhost/x", "own@localhost/x"} {
				tries(who, node, true)
			}
			tries("x@localhost/x", node, false)
			tries(bob, node, model == "open")
			tries("m@localhost/x", node, model == "open")
			tries("s@localhost/x", node, model == "open")
			tries(carol, node, model != "publishers")
		}
		w.affiliates(alice, "/publishers", "bob@localhost publisher")
		tries(bob, "/publishers", true)
		// The rules come first: what they close, no affiliation opens.
		w.creates(alice, "/news/1")
		w.affiliates(alice, "/news/1", "bob@localhost owner")
		w.answers(bob, "set", publishing("/news/1", item("1", "1")), refused(bob, "auth: forbidden", "bob@localhost may not publish /news/1"))
		w.creates(alice, "/secret/1")
		w.affiliates(alice, "/secret/1", "bob@localhost owner")
		w.answers(bob, "set", subscribing("/secret/1", "bob@localhost"), refused(bob, "cancel: not-allowed + closed-node", "the node is not open to you"))
		w.answers(bob, "get", wanting("node='/secret/1'", "", ""), refused(bob, "cancel: not-allowed + closed-node", "the node is not open to you"))
		w.answers(bob, "set", ownerOf("<purge node='/news/1'/>"), result(bob, "")) // there is nothing in it
		w.answers(alice, "set", publishing("/news/1", item("1", "1")), published(alice, "/news/1", "1"))
		w.answers(bob, "set", ownerOf("<purge node='/news/1'/>"), refused(bob, "auth: forbidden", "bob@localhost may not publish /news/1"))
	})
}

// partly is the error of a list that was applied in part.
func partlyRefused(to, list string) string {
	return fmt.Sprintf("<iq type='error' id='q1' from='waft.localhost' to='%s'>%s%s</iq>", to, ownerOf(list),
		errorElement("modify: not-acceptable", "these entries could not be set and are as before; the others have been set"))
}

// Checklist 91, 93, 94.
func TestAffiliations(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxAffiliations = 4 }, func(w *world) {
		has := func(list string) {
			t.Helper()
			w.answers(alice, "get", ownerOf("<affiliations node='/a'/>"), result(alice, ownerOf("<affiliations node='/a'>"+list+"</affiliations>")))
		}
		one := func(jid, a string) string { return "<affiliation jid='" + jid + "' affiliation='" + a + "'/>" }
		owner := one("alice@localhost", "owner")
		w.creates(alice, "/a")
		has(owner)
		w.affiliates(alice, "/a", "bob@localhost publisher")
		has(owner + one("bob@localhost", "publisher"))
		w.affiliates(alice, "/a", "bob@localhost/desk member") // always of the bare JID
		has(owner + one("bob@localhost", "member"))

		// 93
		for _, a := range []string{"none", "member", "outcast"} {
			w.answers(alice, "set", affiliating("/a", "alice@localhost "+a), partlyRefused(alice, "<affiliations node='/a'>"+owner+"</affiliations>"))
			has(owner + one("bob@localhost", "member"))
		}
		// 94
		w.answers(alice, "set", affiliating("/a", "carol@localhost publisher", "bob@localhost king", "@@ member", "bo&lt;b none"),
			partlyRefused(alice, "<affiliations node='/a'>"+one("bob@localhost", "member")+one("@@", "none")+one("bo&lt;b", "none")+"</affiliations>"))
		has(owner + one("bob@localhost", "member") + one("carol@localhost", "publisher"))
		w.answers(alice, "set", affiliating("/a", "bob@localhost none", "bob@localhost/desk owner"), refused(alice, "modify: bad-request", "the list has a JID twice"))
		w.answers(alice, "set", affiliating("/a"), refused(alice, "modify: bad-request", "the list is empty, or something in it has no place there"))
		w.answers(alice, "set", ownerOf("<affiliations node='/a'><x/></affiliations>"), refused(alice, "modify: bad-request", "the list is empty, or something in it has no place there"))
		// the limit
		w.affiliates(alice, "/a", "d@localhost member")
		w.answers(alice, "set", affiliating("/a", "e@localhost member", "d@localhost outcast"), partlyRefused(alice, "<affiliations node='/a'>"+one("e@localhost", "none")+"</affiliations>"))
		w.affiliates(alice, "/a", "d@localhost none", "e@localhost member")
		w.answers(bob, "set", affiliating("/a", "bob@localhost owner"), refused(bob, "auth: forbidden", notOwner))
		// a node changes hands
		w.affiliates(alice, "/a", "alice@localhost none", "bob@localhost owner")
		w.answers(alice, "get", ownerOf("<affiliations node='/a'/>"), refused(alice, "auth: forbidden", notOwner))
		w.answers(bob, "get", ownerOf("<affiliations node='/a'/>"), result(bob, ownerOf("<affiliations node='/a'>"+
			one("bob@localhost", "owner")+one("carol@localhost", "publisher")+one("e@localhost", "member")+"</affiliations>")))
	})
}

// Checklist 91, 94, 95.
func TestSubscriptions_of_a_node(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		line := func(jid, state string) string {
			return "<subscription jid='" + jid + "' subscription='" + state + "'/>"
		}
		set := func(lines ...string) string {
			return ownerOf("<subscriptions node='/a'>" + strings.Join(lines, "") + "</subscriptions>")
		}
		w.creates(alice, "/a")
		w.subscribed(bob, "/a", "bob@localhost")
		w.subscribed(carol, "/a", carol)
		w.subscribed("dora@localhost/x", "/*", "dora@localhost")
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"), result(alice, set(line("bob@localhost", "subscribed"), line(carol, "subscribed"))))
		w.answers(alice, "set", set(line("bob@localhost", "none"), line("dora@localhost", "subscribed"), line(carol, "subscribed")), result(alice, ""))
		w.gets(told("dora@localhost", "<subscription node='/a' jid='dora@localhost' subscription='subscribed'/>"),
			told("bob@localhost", "<subscription node='/a' jid='bob@localhost' subscription='none'/>"))
		w.silent()
		w.restart()
		w.answers(alice, "get", ownerOf("<subscriptions node='/a'/>"), result(alice, set(line("dora@localhost", "subscribed"))))

		w.affiliates(alice, "/a", "mallory@localhost outcast")
		w.answers(alice, "set", set(line("mallory@localhost", "subscribed"), line("dora@localhost", "pending"), line("@@", "none"), line("bob@localhost", "subscribed")),
			partlyRefused(alice, "<subscriptions node='/a'>"+line("mallory@localhost", "none")+line("dora@localhost", "subscribed")+line("@@", "none")+"</subscriptions>"))
		w.gets(told("bob@localhost", "<subscription node='/a' jid='bob@localhost' subscription='subscribed'/>"))
		w.answers(bob, "set", set(line("bob@localhost", "none")), refused(bob, "auth: forbidden", notOwner))
		w.answers(alice, "set", set(line("bob@localhost", "none"), line("bob@localhost", "subscribed")), refused(alice, "modify: bad-request", "the list has a JID twice"))
		// Whom the rules keep out, no owner lets in.
		w.creates(alice, "/secret/1")
		w.answers(alice, "set", ownerOf("<subscriptions node='/secret/1'>"+line("bob@localhost", "subscribed")+"</subscriptions>"),
			partlyRefused(alice, "<subscriptions node='/secret/1'>"+line("bob@localhost", "none")+"</subscriptions>"))
	})
}

// Checklist 77.
func TestOwn_lists(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(bob, "/b")
		w.creates(alice, "/a")
		w.affiliates(alice, "/a", "bob@localhost outcast")
		w.subscribed(bob, "b", "bob@localhost")
		w.subscribed(bob, "/b", bob)
		w.subscribed(bob, "/c/**", "bob@localhost")
		sub := func(node, jid string) string {
			return "<subscription node='" + node + "' jid='" + jid + "' subscription='subscribed'/>"
		}
		const other = "bob@localhost/other"
		w.answers(other, "get", pubsubOf("<subscriptions/>"),
			result(other, pubsubOf("<subscriptions>"+sub("b", "bob@localhost")+sub("/b", bob)+sub("/c/**", "bob@localhost")+"</subscriptions>")))
		w.answers(bob, "get", pubsubOf("<subscriptions node='/b'/>"),
			result(bob, pubsubOf("<subscriptions node='/b'>"+sub("/b", "bob@localhost")+sub("/b", bob)+"</subscriptions>")))
		w.answers(carol, "get", pubsubOf("<subscriptions/>"), result(carol, pubsubOf("<subscriptions></subscriptions>")))
		w.answers(bob, "get", pubsubOf("<subscriptions node='/secret/1'/>"), refused(bob, "cancel: item-not-found", noNode))

		w.answers(bob, "get", pubsubOf("<affiliations/>"), result(bob, pubsubOf("<affiliations>"+
			"<affiliation node='/a' affiliation='outcast'/><affiliation node='/b' affiliation='owner'/></affiliations>")))
		w.answers(bob, "get", pubsubOf("<affiliations node='b'/>"), result(bob, pubsubOf("<affiliations node='b'><affiliation node='b' affiliation='owner'/></affiliations>")))
		w.answers(carol, "get", pubsubOf("<affiliations/>"), result(carol, pubsubOf("<affiliations></affiliations>")))
		w.answers("☃@localhost/x", "get", pubsubOf("<affiliations/>"), result("☃@localhost/x", pubsubOf("<affiliations></affiliations>")))
		w.answers("☃@localhost/x", "get", pubsubOf("<subscriptions/>"), result("☃@localhost/x", pubsubOf("<subscriptions></subscriptions>")))
	})
}
