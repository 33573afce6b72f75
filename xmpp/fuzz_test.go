package xmpp

import (
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/xmpp/component"
)

// FuzzRequest asks a service whatever the fuzzer makes up and pings it after: the request has one answer, well-formed,
// and the ping another. Without a bubble, which fuzzing cannot have.
func FuzzRequest(f *testing.F) {
	for _, payload := range []string{
		"", "x", info(""), info("/a"), discoItems("", rsm("<max>2</max><before/>")), discoItems("a", ""),
		"<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:version'/>", "<time xmlns='urn:xmpp:time'/>",
		publishing("/a", item("7", `{"a":1}`), item("", "2")), publishing("a/*", item("7", "{")), pubsubOf("<publish node='/a'/><publish-options/>"),
		subscribing("/a", "bob@localhost"), subscribing("a/**", bob), unsubscribing("/a", bob), unsubscribing("/a", "☃"),
		wanting("node='/a' max_items='2'", "<item id='7'/>", rsm("<after>a-1</after>")), wanting("", "", ""),
		pubsubOf("<create/><configure/>"), creating("/a", "max_items=3", "access_model=whitelist"), configuring("/a", "title=x"),
		ownerOf("<delete node='/a'/>"), ownerOf("<purge node='a'/>"), ownerOf("<default type='leaf'/>"), ownerOf("<configure node='/a'/>"),
		affiliating("/a", "bob@localhost owner", "@ none"), ownerOf("<subscriptions node='/a'><subscription jid='a@b' subscription='none'/></subscriptions>"),
		retracting("/a", " notify='1'", "<item id='7'/>"), optioned("/a", item("7", "1"), "access_model=open", "x=y"),
		pubsubOf("<subscriptions node='/a'/>"), pubsubOf("<affiliations/>"), pubsubOf("<default/>"), optionsOf("/a", bob, ""),
		optionsOf("/a", bob, submitting(subscribeOptions, "deliver=0", "expire=2099-01-01T00:00:00Z")), optionsOf("/a", bob, showing("chat", "x")),
		pubsubOf("<subscribe node='/a' jid='bob@localhost'/><options>" + submitting(subscribeOptions, "expire=presence") + "</options>"),
		creating("/a", "access_model=authorize", "presence_based_delivery=1", "notify_sub=1", "publish_node_full=reject"),
		discoItems(commandsNS, ""), info("waft#publish"),
		asking("/a", rsm("<max>2</max>"), "start=2000-01-01T00:00:00Z", "ids=a-1|b-2"), asking("/a", "<flip-page/>", "with=a@b"), "<metadata xmlns='urn:xmpp:mam:2' node='/a'/>",
	} {
		f.Add("get", "q", payload)
		f.Add("set", "<&>", payload)
	}
	f.Fuzz(func(t *testing.T, typ, id, payload string) {
		p := fuzzed(t)
		p.patience = 5 * time.Second
		head := "<iq type='" + string(component.AppendAttr(nil, typ)) + "' id='" + string(component.AppendAttr(nil, id)) + "' from='" + bob + "' to='waft.localhost'>"
		if strings.ContainsAny(payload, "<>") && component.Check("localhost", []byte(head+payload+"</iq>")) != nil {
			payload = string(component.AppendText(nil, payload)) // no server would pass it on
		}
		p.send(head + payload + "</iq>" + iq(bob, "get", "<ping xmlns='urn:xmpp:ping'/>"))
		if typ != "result" && typ != "error" {
			for !strings.HasPrefix(p.stanza(), "<iq") { // an event of what was published, or a wish to see bob's presence
			}
		}
		for {
			s := p.stanza()
			if s == result(bob, "") {
				return
			}
			if strings.HasPrefix(s, "<iq") {
				t.Errorf("a second answer: %s", s)
			}
		}
	})
}

// FuzzMessage sends a service whatever the fuzzer makes up as a message, such as an owner's answer to a request, and as a
// presence; there is at most one answer to the first, none to the second, and the service lives.
func FuzzMessage(f *testing.F) {
	const form = "http://jabber.org/protocol/pubsub#subscribe_authorization"
	for _, body := range []string{
		"", "<body>hi</body>", "<show>chat</show>", submitting(form, "node=/a", "subscriber_jid=carol@localhost", "allow=1"),
		submitting(form, "node=/a", "subscriber_jid=carol@localhost", "allow=0"), submitting(form, "node=a b", "subscriber_jid=@", "allow=x"),
		"<x xmlns='jabber:x:data' type='cancel'><field var='FORM_TYPE'><value>" + form + "</value></field></x>",
		"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'/></x>",
	} {
		for _, typ := range []string{"", "normal", "error", "unavailable"} {
			f.Add(typ, body)
		}
	}
	f.Fuzz(func(t *testing.T, typ, body string) {
		p := fuzzed(t)
		p.patience = 5 * time.Second
		p.answers(bob, "set", creating("/a", "access_model=authorize"), result(bob, ""))
		p.answers(carol, "set", subscribing("/a", "carol@localhost"), result(carol, pubsubOf("<subscription node='/a' jid='carol@localhost' subscription='pending'/>")))
		p.stanza() // the form
		attrs := " from='" + bob + "' to='waft.localhost'"
		if typ != "" {
			attrs += " type='" + string(component.AppendAttr(nil, typ)) + "'"
		}
		if component.Check("localhost", []byte("<message"+attrs+">"+body+"</message>")) != nil {
			body = string(component.AppendText(nil, body)) // no server would pass it on
		}
		p.send("<message" + attrs + ">" + body + "</message><presence" + attrs + ">" + body + "</presence>" + iq(bob, "get", "<ping xmlns='urn:xmpp:ping'/>"))
		answers := 0
		for s := p.stanza(); s != result(bob, ""); s = p.stanza() {
			if strings.HasPrefix(s, "<message type='error'") {
				answers++
			}
		}
		if answers > 1 {
			t.Errorf("%d answers", answers)
		}
	})
}

// fuzzed starts a service for one input.
func fuzzed(t *testing.T) *server {
	w := newWorld(t, func(o *setup) {
		o.broker.Authorizer = brokertest.AllowAll
		o.broker.Retention = func(broker.Channel) broker.Retention { return broker.Retention{Size: 10} }
		o.service.Link.CloseTimeout = time.Millisecond
	})
	w.accept()
	t.Cleanup(w.stop)
	return w.server
}
