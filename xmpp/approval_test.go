package xmpp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// requestTo is the form that an owner is sent about somebody's request; its id is E.
func requestTo(owner, subscriber, node string) string {
	return "<message from='waft.localhost' to='" + owner + "' id='E'><body>" + subscriber + " asks to subscribe to " + node + "</body>" +
		"<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_authorization</value></field>" +
		"<field var='pubsub#node' type='text-single' label='Node'><value>" + node + "</value></field>" +
		"<field var='pubsub#subscriber_jid' type='jid-single' label='Who asks to subscribe'><value>" + subscriber + "</value></field>" +
		"<field var='pubsub#allow' type='boolean' label='Let him?'><value>false</value></field></x></message>"
}

// deciding is an owner's answer; fields are "name=value".
func deciding(from, typ string, fields ...string) string {
	form := submitting("http://jabber.org/protocol/pubsub#subscribe_authorization", fields...)
	return "<message from='" + from + "' to='waft.localhost' id='m1'>" + strings.Replace(form, "'submit'", "'"+typ+"'", 1) + "</message>"
}

func decidingOn(from, node, subscriber, allow string) string {
	return deciding(from, "submit", "node="+node, "subscriber_jid="+subscriber, "allow="+allow)
}

func (p *server) petitions(from, node, jid string) {
	p.t.Helper()
	p.answers(from, "set", subscribing(node, jid), result(from, pubsubOf("<subscription node='"+node+"' jid='"+jid+"' subscription='pending'/>")))
}

// state is the event that tells somebody what became of his subscription.
func state(node, jid, state string) string {
	return told(jid, "<subscription node='"+node+"' jid='"+jid+"' subscription='"+state+"'/>")
}

// lists checks the owner's list of subscriptions, "jid state".
func (p *server) lists(owner, node string, subscriptions ...string) {
	p.t.Helper()
	var b strings.Builder
	for _, s := range subscriptions {
		jid, state, _ := strings.Cut(s, " ")
		b.WriteString("<subscription jid='" + jid + "' subscription='" + state + "'/>")
	}
	p.answers(owner, "get", ownerOf("<subscriptions node='"+node+"'/>"), result(owner, ownerOf("<subscriptions node='"+node+"'>"+b.String()+"</subscriptions>")))
}

// Checklist 66.
func TestAuthorize_the_owner_lets_somebody_in(t *testing.T) {
	const wait = "an owner of the node has not answered your request yet"
	const notIn = "the node is for those whom an owner has let subscribe"
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize", "send_last_published_item=on_sub")
		w.affiliates(alice, "/a", "second@localhost owner", "pub@localhost publisher")
		w.answers(bob, "get", wanting("node='/a'", "", ""), refused(bob, "auth: not-authorized + not-subscribed", notIn))
		w.petitions(bob, "a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "a"), requestTo("second@localhost", "bob@localhost", "a"))
		w.answers(bob, "set", subscribing("/a", "bob@localhost"), refused(bob, "auth: not-authorized + pending-subscription", wait))
		w.publish("/a", "1")
		w.silent()
		w.answers(bob, "get", wanting("node='/a'", "", ""), refused(bob, "auth: not-authorized + not-subscribed", notIn))
		w.answers(bob, "get", discoItems("/a", ""), refused(bob, "auth: not-authorized + not-subscribed", notIn))
		w.answers(bob, "get", pubsubOf("<subscriptions/>"), result(bob, pubsubOf("<subscriptions><subscription node='a' jid='bob@localhost' subscription='pending'/></subscriptions>")))
		w.lists(alice, "/a", "bob@localhost pending")
		if st := w.svc.Stats(); st.Pending != 1 || st.Subscriptions != 1 {
			t.Errorf("%d subscriptions, %d of them pending", st.Subscriptions, st.Pending)
		}

		// From another client, after a cancelled form.
		w.send(deciding("alice@localhost/tablet", "cancel"))
		w.silent()
		w.send(decidingOn("alice@localhost/tablet", "a", "bob@localhost", "true"))
		w.gets(state("a", "bob@localhost", "subscribed"), stamped(w, "bob@localhost", "a", item("NEW", "1")))
		w.lists(alice, "/a", "bob@localhost subscribed")
		w.publish("/a", "2")
		w.gets(eventText("bob@localhost", "E", "a", item("NEW", "2")))
		if got := w.ask(bob, "get", wanting("node='/a'", "", "")); !strings.Contains(got, ">2</json>") {
			t.Error(got)
		}
		w.subscribed(bob, "/a", bob) // he has been let in, whatever his address
		w.stanza()                   // the last item

		// The second owner is late.
		w.send(decidingOn("second@localhost/x", "a", "bob@localhost", "0"))
		w.want("<message type='error' id='m1' from='waft.localhost' to='second@localhost/x'>" +
			errorElement("cancel: item-not-found", "there is no such request to subscribe, or it has been answered") + "</message>")
		w.subscribed("pub@localhost/x", "/a", "pub@localhost")
		w.stanza()
	})
}

// stamped is a last item.
func stamped(w *world, to, node, item string) string {
	page, err := w.broker.History(w.t.Context(), principal("alice@localhost"), broker.Channel("/"+strings.TrimPrefix(node, "/")), broker.Range{Limit: 1, Newest: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Replace(eventText(to, "E", node, item), "</message>",
		"<delay xmlns='urn:xmpp:delay' from='waft.localhost' stamp='"+page.Messages[0].Time.UTC().Format("2006-01-02T15:04:05.000Z")+"'/></message>", 1)
}

// Checklist 66: no is told too, and then he may ask again.
func TestAuthorize_the_owner_keeps_somebody_out(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		for range 2 {
			w.petitions(bob, "/a", "bob@localhost")
			w.gets(requestTo("alice@localhost", "bob@localhost", "/a"))
			w.send(decidingOn(alice, "/a", "bob@localhost", "false"))
			w.gets(state("/a", "bob@localhost", "none"))
			w.lists(alice, "/a")
		}
		w.publish("/a", "1")
		w.silent()
		w.restart()
		w.lists(alice, "/a")
	})
}

// Who has subscribed to a pattern has no events of a node that he was not let in to.
func TestAuthorize_a_pattern_is_no_way_in(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a/1", "access_model=authorize")
		w.subscribed(bob, "/a/*", "bob@localhost")
		w.publish("/a/1", "1")
		w.answers(alice, "set", ownerOf("<purge node='/a/1'/>"), result(alice, ""))
		w.silent()
		w.petitions(bob, "/a/1", bob)
		w.gets(requestTo("alice@localhost", bob, "/a/1"))
		w.publish("/a/1", "1")
		w.silent()
		w.send(decidingOn(alice, "/a/1", bob, "1"))
		w.gets(state("/a/1", bob, "subscribed"))
		w.publish("/a/1", "2")
		w.gets(eventText(bob, "E", "/a/1", item("NEW", "2")), eventText("bob@localhost", "E", "/a/1", item("NEW", "2")))
	})
}

func TestAuthorize_refuses(t *testing.T) {
	const how = "the form must say pubsub#node, pubsub#subscriber_jid and, as a boolean, pubsub#allow"
	const none = "there is no such request to subscribe, or it has been answered"
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.creates(carol, "/c", "access_model=whitelist")
		w.petitions(bob, "/a", "bob@localhost")
		w.stanza()
		for _, c := range []struct{ from, answer, shape, text string }{
			{bob, decidingOn(bob, "/a", "bob@localhost", "1"), "auth: forbidden", notOwner},
			{carol, decidingOn(carol, "/a", "bob@localhost", "0"), "auth: forbidden", notOwner},
			{"☃@localhost/x", decidingOn("☃@localhost/x", "/a", "bob@localhost", "1"), "auth: forbidden", notOwner},
			{alice, decidingOn(alice, "/a", "carol@localhost", "1"), "cancel: item-not-found", none},
			{alice, decidingOn(alice, "/a", bob, "1"), "cancel: item-not-found", none},
			{alice, decidingOn(alice, "/b", "bob@localhost", "1"), "cancel: item-not-found", noNode},
			{alice, decidingOn(alice, "/c", "bob@localhost", "1"), "cancel: item-not-found", noNode},
			{alice, decidingOn(alice, "/a", "bob@localhost", "maybe"), "modify: bad-request", how},
			{alice, decidingOn(alice, "/a", "@", "1"), "modify: bad-request", how},
			{alice, deciding(alice, "submit", "node=/a", "subscriber_jid=bob@localhost"), "modify: bad-request", how},
			{alice, deciding(alice, "submit", "subscriber_jid=bob@localhost", "allow=1"), "modify: bad-request", how},
			{alice, deciding(alice, "submit", "node=/a", "node=/a"), "modify: bad-request", "the form has a field twice: &quot;pubsub#node&quot;"},
		} {
			w.send(c.answer)
			w.want("<message type='error' id='m1' from='waft.localhost' to='" + c.from + "'>" + errorElement(c.shape, strings.ReplaceAll(c.text, "&quot;", `"`)) + "</message>")
		}
		// An error, a headline and a chat are no answers.
		for _, typ := range []string{"error", "headline", "groupchat"} {
			w.send(strings.Replace(decidingOn(alice, "/a", "bob@localhost", "1"), "<message", "<message type='"+typ+"'", 1))
		}
		w.silent()
		w.lists(alice, "/a", "bob@localhost pending")
		// The rules go before the owner.
		w.creates(alice, "/secret/1", "access_model=authorize")
		w.answers(bob, "set", subscribing("/secret/1", "bob@localhost"), refused(bob, "cancel: not-allowed + closed-node", "the node is not open to you"))
	})
}

// The request waits in the store, ends when its user takes it back, and is limited as subscriptions are.
func TestAuthorize_requests_wait_and_are_bounded(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.MaxPending, o.service.MaxSubscriptions = 2, 2 }, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.creates(alice, "/b", "access_model=authorize")
		w.petitions(bob, "a", "bob@localhost")
		w.gets(requestTo("alice@localhost", "bob@localhost", "a"))
		w.petitions(bob, "/a", bob)
		w.gets(requestTo("alice@localhost", bob, "/a"))
		w.answers(carol, "set", subscribing("/a", "carol@localhost"), refused(carol, "wait: resource-constraint + too-many-subscriptions", "as many requests as can wait for the owners of the node do"))
		w.answers(bob, "set", subscribing("/b", "bob@localhost"), refused(bob, "wait: policy-violation + too-many-subscriptions", "you have as many subscriptions as anybody may have"))
		w.restart()
		w.lists(alice, "/a", "bob@localhost pending") // that of the full JID has ended
		w.publish("/a", "1")
		w.silent()
		w.petitions(carol, "/a", carol)
		w.stanza()
		w.send("<presence type='unavailable' from='" + carol + "' to='waft.localhost'/>")
		synctest.Wait()
		w.lists(alice, "/a", "bob@localhost pending")
		w.answers(bob, "set", unsubscribing("/a", "bob@localhost"), result(bob, ""))
		w.lists(alice, "/a")
		w.restart()
		w.lists(alice, "/a")
		w.petitions(bob, "/a", "bob@localhost")
		w.stanza()
		w.answers(alice, "set", affiliating("/a", "bob@localhost outcast"), result(alice, ""))
		w.gets(state("/a", "bob@localhost", "none"))
		w.lists(alice, "/a")
	})
}

// XEP-0060 §8.7.5: a change of the node or of what somebody is to it answers his request.
func TestAuthorize_a_change_of_the_node_answers_requests(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		begin := func(node string, users ...string) {
			t.Helper()
			w.creates(alice, node, "access_model=authorize")
			for _, u := range users {
				w.petitions(u+"@localhost/x", node, u+"@localhost")
				w.stanza()
			}
		}
		begin("/a", "m", "o", "n")
		w.affiliates(alice, "/a", "m@localhost member", "o@localhost outcast")
		w.gets(state("/a", "m@localhost", "subscribed"), state("/a", "o@localhost", "none"))
		w.lists(alice, "/a", "m@localhost subscribed", "n@localhost pending")
		w.configures(alice, "/a", "title=x")
		w.silent()
		w.configures(alice, "/a", "access_model=open")
		w.gets(state("/a", "n@localhost", "subscribed"))
		begin("/b", "m", "n")
		w.configures(alice, "/b", "access_model=whitelist")
		w.gets(state("/b", "m@localhost", "none"), state("/b", "n@localhost", "none"))
		// Checklist 29: who waits is told of the end.
		begin("/c", "m")
		w.answers(alice, "set", ownerOf("<delete node='/c'/>"), result(alice, ""))
		w.gets(told("m@localhost", "<delete node='/c'/>"))
		if n := w.svc.audience.petitioners(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// By the list of subscriptions an owner answers as well (XEP-0060 §8.8.2).
func TestAuthorize_by_the_list_of_subscriptions(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		for _, u := range []string{"m", "n", "o"} {
			w.petitions(u+"@localhost/x", "/a", u+"@localhost")
			w.stanza()
		}
		w.answers(alice, "set", ownerOf("<subscriptions node='/a'><subscription jid='m@localhost' subscription='subscribed'/>"+
			"<subscription jid='n@localhost' subscription='none'/><subscription jid='o@localhost' subscription='pending'/>"+
			"<subscription jid='p@localhost' subscription='subscribed'/></subscriptions>"), result(alice, ""))
		w.gets(state("/a", "m@localhost", "subscribed"), state("/a", "n@localhost", "none"), state("/a", "p@localhost", "subscribed"))
		w.lists(alice, "/a", "m@localhost subscribed", "p@localhost subscribed", "o@localhost pending")
		w.answers(alice, "set", ownerOf("<subscriptions node='/a'><subscription jid='o@localhost' subscription='unconfigured'/><subscription jid='q@localhost' subscription='pending'/></subscriptions>"),
			"<iq type='error' id='q1' from='waft.localhost' to='"+alice+"'>"+ownerOf("<subscriptions node='/a'><subscription jid='o@localhost' subscription='pending'/><subscription jid='q@localhost' subscription='none'/></subscriptions>")+
				errorElement("modify: not-acceptable", "these entries could not be set and are as before; the others have been set")+"</iq>")
		w.restart()
		w.lists(alice, "/a", "m@localhost subscribed", "p@localhost subscribed", "o@localhost pending")
	})
}

// When the rules have changed while a request waited, the owner's yes is a no, and he is told why.
func TestAuthorize_the_rules_have_the_last_word(t *testing.T) {
	closed := false
	dialogue(t, func(o *setup) { o.broker.Authorizer = authorizerFunc(func(broker.Pattern) bool { return closed }) }, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.petitions(bob, "/a", "bob@localhost")
		w.stanza()
		closed = true
		w.send(decidingOn(alice, "/a", "bob@localhost", "1"))
		w.gets("<message type='error' id='m1' from='waft.localhost' to='"+alice+"'>"+errorElement("cancel: not-allowed + closed-node", "the node is not open to you")+"</message>",
			state("/a", "bob@localhost", "none"))
		closed = false
		w.restart()
		w.lists(alice, "/a")
	})
}

// What the command get-pending does (XEP-0060 §8.7).
func TestAuthorize_an_owner_is_sent_what_waits(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		for _, node := range []string{"/b", "/a", "/none"} {
			w.creates(alice, node, "access_model=authorize")
		}
		w.creates(carol, "/c", "access_model=authorize")
		for _, node := range []string{"/b", "/a", "/c"} {
			w.petitions(bob, node, "bob@localhost")
			w.stanza()
		}
		if got := strings.Join(w.svc.nodesWithPending("alice@localhost"), " "); got != "/a /b" {
			t.Errorf("requests wait at %q", got)
		}
		if got := w.svc.nodesWithPending("bob@localhost"); got != nil {
			t.Errorf("requests wait at %q", got)
		}
		if got := strings.Join(w.svc.nodesWithPending(root), " "); got != "/a /b /c" {
			t.Errorf("requests wait at %q", got)
		}
		if err := w.svc.sendPending(t.Context(), principal("alice@localhost"), "alice@localhost", "/a"); err != nil {
			t.Error(err)
		}
		w.gets(requestTo("alice@localhost", "bob@localhost", "/a"))
		for node, want := range map[string]error{"/c": errNotOwner, "/x": errNoNode, "": errNodeRequired} {
			if err := w.svc.sendPending(t.Context(), principal("alice@localhost"), "alice@localhost", node); err != want {
				t.Errorf("%s: %v", node, err)
			}
		}
	})
}

// A store that fails leaves a request as it was.
func TestAuthorize_when_the_store_fails(t *testing.T) {
	store := &fussyStore{Store: broker.NewMemoryStore()}
	dialogue(t, func(o *setup) { o.service.Store = store }, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		w.petitions(bob, "/a", "bob@localhost")
		w.stanza()
		store.fail = broker.Errorf(broker.Unavailable, "the store is down")
		w.answers(carol, "set", subscribing("/a", "carol@localhost"), refused(carol, "wait: recipient-unavailable", "the store is down"))
		for _, allow := range []string{"1", "0"} {
			w.send(decidingOn(alice, "/a", "bob@localhost", allow))
			w.want("<message type='error' id='m1' from='waft.localhost' to='" + alice + "'>" + errorElement("wait: recipient-unavailable", "the store is down") + "</message>")
		}
		store.fail = nil
		w.lists(alice, "/a", "bob@localhost pending")
	})
}

// Who asks, takes it back and asks again does so at his own expense: owners are not flooded with forms.
func TestAuthorize_requests_are_few(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.RequestRate = 3 }, func(w *world) {
		w.creates(alice, "/a", "access_model=authorize")
		ask := func() {
			t.Helper()
			w.petitions(bob, "/a", bob)
			w.gets(requestTo("alice@localhost", bob, "/a"))
			w.answers(bob, "set", unsubscribing("/a", bob), result(bob, ""))
		}
		for range 3 {
			ask()
		}
		w.answers(bob, "set", subscribing("/a", bob), refused(bob, "wait: policy-violation", "you have asked owners as often as anybody may; try again later"))
		w.petitions(carol, "/a", carol) // nobody else is in the way
		w.gets(requestTo("alice@localhost", carol, "/a"))
		w.answers(carol, "set", subscribing("/a", carol), refused(carol, "auth: not-authorized + pending-subscription", "an owner of the node has not answered your request yet"))
		time.Sleep(20 * time.Second)
		ask()
		w.answers(bob, "set", subscribing("/a", bob), refused(bob, "wait: policy-violation", "you have asked owners as often as anybody may; try again later"))
	})
}
