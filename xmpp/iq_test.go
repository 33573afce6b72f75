package xmpp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Checklist 13.
func TestIQ_ping_version_time(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.answers(bob, "get", "<ping xmlns='urn:xmpp:ping'/>", result(bob, ""))
		w.answers(bob, "get", "<query xmlns='jabber:iq:version'/>",
			result(bob, "<query xmlns='jabber:iq:version'><name>waft</name><version>1.2</version></query>"))
		time.Sleep(90 * time.Second) // the bubble's clock begins with the year 2000
		w.answers(bob, "get", "<time xmlns='urn:xmpp:time'/>",
			result(bob, "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2000-01-01T00:01:30Z</utc></time>"))
	})
}

// Checklist 12, 49, 72 in that they are not offered, 101.
func TestIQ_refuses(t *testing.T) {
	const (
		noVerb   = "the pubsub element is empty"
		other    = "this request is made with the other of the iq types get and set"
		unknown  = "the service does not know this part of publish-subscribe"
		owner    = "http://jabber.org/protocol/pubsub#owner"
		oneChild = "an iq of type get or set has exactly one child element"
	)
	ownerOf := func(verb string) string { return "<pubsub xmlns='" + owner + "'>" + verb + "</pubsub>" }
	for _, c := range []struct{ name, typ, payload, shape, text string }{
		{"12 unknown payload", "get", "<x xmlns='urn:nobody:knows'/>", "cancel: service-unavailable", "the service does not know this request"},
		{"12 vCard", "get", "<vCard xmlns='vcard-temp'/>", "cancel: service-unavailable", "the service does not know this request"},
		{"12 register", "set", "<query xmlns='jabber:iq:register'/>", "cancel: service-unavailable", "the service does not know this request"},
		{"12 event", "set", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", "cancel: service-unavailable", "the service does not know this request"},
		{"12 another archive", "set", "<query xmlns='urn:xmpp:mam:1'/>", "cancel: service-unavailable", "the service does not know this request"},
		{"no payload", "get", "", "modify: bad-request", oneChild},
		{"text alone", "set", "text", "modify: bad-request", oneChild},
		{"two payloads", "get", "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>", "modify: bad-request", oneChild},
		{"49 get publish", "get", publishing("/a", item("7", "1")), "modify: bad-request", other},
		{"49 get subscribe", "get", subscribing("/a", "bob@localhost"), "modify: bad-request", other},
		{"49 set items", "set", wanting("node='/a'", "", ""), "modify: bad-request", other},
		{"49 set disco#info", "set", info(""), "modify: bad-request", other},
		{"49 set ping", "set", "<ping xmlns='urn:xmpp:ping'/>", "modify: bad-request", other},
		{"49 unknown verb", "set", pubsubOf("<dance/>"), "cancel: feature-not-implemented", unknown},
		{"49 verb of another namespace", "set", pubsubOf("<publish xmlns='urn:x' node='/a'/>"), "cancel: feature-not-implemented", unknown},
		{"49 empty", "set", pubsubOf(""), "modify: bad-request", noVerb},
		{"49 empty of owners", "set", ownerOf(""), "modify: bad-request", noVerb},
		{"49 another element of pubsub", "set", "<publish xmlns='http://jabber.org/protocol/pubsub'/>", "modify: bad-request", noVerb},
		{"49 two verbs", "set", pubsubOf("<publish node='/a'>" + item("7", "1") + "</publish><subscribe node='/a' jid='bob@localhost'/>"), "modify: bad-request", "one iq asks for one thing"},
		{"91 unknown verb", "get", ownerOf("<dance/>"), "cancel: feature-not-implemented", unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.publish("/a", "1")
				w.subscribed(alice, "/**", "alice@localhost")
				w.answers(bob, c.typ, c.payload, refused(bob, c.shape, c.text))
				w.silent()
				if n, _, _ := w.svc.audience.size(); n != 1 {
					t.Errorf("there are %d subscriptions", n)
				}
			})
		})
	}
}

// Checklist 104: after whatever somebody sends there is one answer to a request, none to anything else, and the link
// still stands for everybody. (The link's own tests have many more of these.)
func TestIQ_hostile_stanzas(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	refusal := func(shape, reason string) string {
		return "<iq type='error' id='h' from='waft.localhost' to='mallory@localhost/m'>" + errorElement(shape, "the stanza was refused: "+reason) + "</iq>"
	}
	is := func(shape, text string) string {
		return "<iq type='error' id='h' from='waft.localhost' to='mallory@localhost/m'>" + errorElement(shape, text) + "</iq>"
	}
	const from = " from='mallory@localhost/m' to='waft.localhost'"
	const unknown, oneChild = "the service does not know this request", "an iq of type get or set has exactly one child element"
	for _, c := range []struct{ name, stanza, want string }{
		{"too big", "<iq type='set' id='h'" + from + ">" + publishing("/a", item("7", `"`+long(1<<20)+`"`)) + "</iq>", refusal("modify: not-acceptable + payload-too-big", "stanza-too-big")},
		{"attribute too big", "<iq type='get' id='h'" + from + "><x a='" + long(1<<17) + "'/></iq>", refusal("modify: policy-violation", "attribute-too-big")},
		{"too deep", "<iq type='get' id='h'" + from + ">" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</iq>", refusal("modify: policy-violation", "too-deep")},
		{"too many elements", "<iq type='get' id='h'" + from + ">" + strings.Repeat("<a/>", 100_000) + "</iq>", refusal("modify: policy-violation", "too-many-elements")},
		{"too many attributes", "<iq type='get' id='h'" + from + "><x" + strings.Repeat(" a=''", 1000) + "/></iq>", refusal("modify: policy-violation", "too-many-attributes")},
		{"comment", "<iq type='get' id='h'" + from + "><!-- hi --><x/></iq>", refusal("modify: bad-request", "restricted-xml")},
		{"not XML", "<iq type='get' id='h'" + from + "><x>&nbsp;</x></iq>", refusal("modify: bad-request", "malformed")},
		{"result too big", "<iq type='result' id='h'" + from + ">" + long(2<<20) + "</iq>", ""},
		{"message too big", "<message" + from + "><body>" + long(2<<20) + "</body></message>", ""},
		{"presence too deep", "<presence type='subscribe'" + from + ">" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</presence>", ""},
		{"stream error in a request", "<iq type='set' id='h'" + from + "><error xmlns='http://etherx.jabber.org/streams'/></iq>", is("cancel: service-unavailable", unknown)},
		{"unknown type", "<iq type='take' id='h'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", is("modify: bad-request", "an iq is of type get or set")},
		{"empty type", "<iq type='' id='h'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", is("modify: bad-request", "an iq is of type get or set")},
		{"no type", "<iq id='h'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", is("modify: bad-request", "an iq is of type get or set")},
		{"no id", "<iq type='get'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='result' id='' from='waft.localhost' to='mallory@localhost/m'></iq>"},
		{"id of 10 kB", "<iq type='get' id='" + long(10_000) + "'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='result' id='" + long(10_000) + "' from='waft.localhost' to='mallory@localhost/m'></iq>"},
		{"id of markup", "<iq type='get' id='&apos;&lt;&amp;&#10;'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='result' id='&apos;&lt;&amp;&#10;' from='waft.localhost' to='mallory@localhost/m'></iq>"},
		{"no sender", "<iq type='get' id='h' to='waft.localhost'><ping xmlns='urn:xmpp:ping'/></iq>", ""},
		{"no recipient", "<iq type='get' id='h' from='mallory@localhost/m'><ping xmlns='urn:xmpp:ping'/></iq>", is("cancel: service-unavailable", "nobody is at this address; ask the service itself")},
		{"another recipient", "<iq type='get' id='h' from='mallory@localhost/m' to='other.localhost'><ping xmlns='urn:xmpp:ping'/></iq>", is("cancel: service-unavailable", "nobody is at this address; ask the service itself")},
		{"odd language", "<iq type='get' id='h' xml:lang='" + long(1000) + "'" + from + "><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='result' id='h' from='waft.localhost' to='mallory@localhost/m'></iq>"},
		{"message of odd type", "<message type='groupchat'" + from + "><body>hi</body></message>", ""},
		{"presence of odd type", "<presence type='perhaps'" + from + "/>", ""},
		{"name of 60 kB", "<iq type='get' id='h'" + from + ">" + info("/"+long(60_000)) + "</iq>", is("cancel: item-not-found", "the channel name has 60001 bytes, more than the limit of 512")},
		{"no child", "<iq type='set' id='h'" + from + "/>", is("modify: bad-request", oneChild)},
		{"publish of many items", "<iq type='set' id='h'" + from + ">" + publishing("/a", strings.Repeat(item("", "1"), 1000)) + "</iq>", is("cancel: not-allowed + max-items-exceeded", "there are too many items in one publish")},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.send(c.stanza)
				if c.want != "" {
					w.want(c.want)
				}
				w.silent()
				w.answers(bob, "get", "<ping xmlns='urn:xmpp:ping'/>", result(bob, ""))
				if st := w.svc.Stats().Link; !st.Up || st.Connects != 1 {
					t.Errorf("the link has broken: %+v", st)
				}
			})
		})
	}
}

// Checklist 111: half a stanza is nothing.
func TestIQ_a_link_cut_in_the_middle_of_a_stanza(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		whole := iq(alice, "set", publishing("/a", item("7", "1")))
		w.send(whole[:len(whole)-1])
		_ = w.conn.Close()
		w.accept()
		w.silent()
		w.send(whole)
		w.gets(published(alice, "/a", "7"), eventText("bob@localhost", "E", "/a", item("7", "1")))
	})
}

func TestIQ_an_answer_too_big_for_a_stanza_is_an_error(t *testing.T) {
	dialogue(t, func(o *setup) { o.service.Link.MaxOutStanza = 1000 }, func(w *world) {
		w.answers(bob, "get", info(""), refused(bob, "modify: not-acceptable", "the answer would be too big; ask for less at a time"))
		synctest.Wait()
	})
}
