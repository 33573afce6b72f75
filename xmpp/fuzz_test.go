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
		pubsubOf("<subscriptions node='/a'/>"), pubsubOf("<affiliations/>"),
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
			for strings.HasPrefix(p.stanza(), "<message") { // an event of what was published
			}
		}
		for {
			s := p.stanza()
			if s == result(bob, "") {
				return
			}
			if !strings.HasPrefix(s, "<message") {
				t.Errorf("a second answer: %s", s)
			}
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
