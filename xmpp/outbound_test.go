package xmpp

import (
	"strings"
	"testing"
	"testing/synctest"

	"waft/broker"
	"waft/xmpp/component"
)

func carrying(o *setup) {
	o.service.Stanzas = []StanzaRule{
		{Match: "/notify/one", To: []string{"alice@localhost"}},
		{Match: "/notify/*", To: []string{"@Localhost"}},
		{Match: "/all", To: []string{"*"}},
	}
}

func TestStanza_is_written_anew(t *testing.T) {
	dialogue(t, carrying, func(w *world) {
		synctest.Wait() // for the link to be up
		for _, c := range []struct{ text, want string }{
			{
				"<message to='Alice@localhost/x' from='boss@localhost' type='chat' id='1'><body>a &amp; <![CDATA[<b>]]></body></message>",
				"<message type='chat' id='1' from='waft.localhost' to='alice@localhost/x'><body>a &amp; &lt;b&gt;</body></message>",
			},
			{
				"\n<message xmlns='jabber:client' to='bob@localhost' xml:lang='de'><subject xml:lang='en'>s</subject><thread parent='&apos;'>t</thread></message> ",
				"<message type='normal' id='NEW' from='waft.localhost' to='bob@localhost' xml:lang='de'><subject xml:lang='en'>s</subject><thread parent='&apos;'>t</thread></message>",
			},
			{
				"<c:message xmlns:c='jabber:client' xmlns:p='urn:xmpp:json-msg:0' to='bob@localhost' type='headline' id='1'><p:payload datatype='urn:x'><json xmlns='urn:xmpp:json:0'>{}</json></p:payload></c:message>",
				"<message type='headline' id='1' from='waft.localhost' to='bob@localhost'><payload xmlns='urn:xmpp:json-msg:0' datatype='urn:x'><json xmlns='urn:xmpp:json:0'>{}</json></payload></message>",
			},
			{
				"<message to='bob@localhost' id='1'><x xmlns='jabber:x:oob'><url>u</url></x><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
				"<message type='normal' id='1' from='waft.localhost' to='bob@localhost'><x xmlns='jabber:x:oob'><url>u</url></x><active xmlns='http://jabber.org/protocol/chatstates'></active></message>",
			},
		} {
			send, err := w.svc.Stanza("/notify/7", c.text)
			if err != nil {
				t.Errorf("%s: %v", c.text, err)
				continue
			}
			w.silent()
			if !send() {
				t.Error("not sent")
			}
			if got := strings.Replace(w.stanza(), "id='"+"'", "", 1); chatIDs.ReplaceAllString(got, " id='NEW'") != c.want {
				t.Errorf("%s\nis sent as\n%s\nwant\n%s", c.text, got, c.want)
			}
		}
		if st := w.svc.Stats(); st.Stanzas != 4 || st.StanzasLost != 0 {
			t.Errorf("%d sent, %d lost", st.Stanzas, st.StanzasLost)
		}
	})
}

func TestStanza_refuses(t *testing.T) {
	const cannot = "the XMPP stanza cannot be sent: "
	message := func(attributes, inside string) string {
		return "<message to='bob@localhost'" + attributes + ">" + inside + "</message>"
	}
	dialogue(t, carrying, func(w *world) {
		synctest.Wait() // for the link to be up
		for _, c := range []struct {
			name, channel, text string
			kind                broker.Kind
			why                 string
		}{
			{"no rule", "/other", message("", "<body/>"), broker.Forbidden, "items for /other may not carry an XMPP stanza: no rule allows it"},
			{"the first rule decides", "/notify/one", message("", "<body/>"), broker.Forbidden, "items for /notify/one may not carry an XMPP stanza to bob@localhost: no rule allows it"},
			{"another host", "/notify/7", "<message to='bob@example.org'><body/></message>", broker.Forbidden, "items for /notify/7 may not carry an XMPP stanza to bob@example.org: no rule allows it"},
			{"a host itself", "/notify/7", "<message to='localhost'><body/></message>", broker.Forbidden, "items for /notify/7 may not carry an XMPP stanza to localhost: no rule allows it"},
			{"the service", "/all", "<message to='x@waft.localhost'><body/></message>", broker.Invalid, cannot + "it is to this very service"},
			{"iq", "/all", "<iq to='bob@localhost' type='set'><query xmlns='x'/></iq>", broker.Invalid, cannot + `it is <iq/> of ""; only a <message/> can be`},
			{"presence", "/all", "<presence to='bob@localhost'/>", broker.Invalid, cannot + `it is <presence/> of ""; only a <message/> can be`},
			{"another message", "/all", "<message xmlns='jabber:server' to='bob@localhost'/>", broker.Invalid, cannot + `it is <message/> of "jabber:server"; only a <message/> can be`},
			{"nobody", "/all", "<message><body/></message>", broker.Invalid, cannot + "its to is no JID"},
			{"an error", "/all", message(" type='error'", "<body/>"), broker.Invalid, cannot + `its type is "error"; it must be chat, normal or headline`},
			{"a room", "/all", message(" type='groupchat'", "<body/>"), broker.Invalid, cannot + `its type is "groupchat"; it must be chat, normal or headline`},
			{"empty", "/all", message("", ""), broker.Invalid, cannot + "it is empty"},
			{"text", "/all", message("", "x<body/>"), broker.Invalid, cannot + "it has text outside of its elements"},
			{"an event", "/all", message("", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>"), broker.Invalid, cannot + `it holds <event/> of "http://jabber.org/protocol/pubsub#event", which no message from here may`},
			{"a forwarded one", "/all", message("", "<received xmlns='urn:xmpp:carbons:2'/>"), broker.Invalid, cannot + `it holds <received/> of "urn:xmpp:carbons:2", which no message from here may`},
			{"an element of the stream", "/all", message("", "<error/>"), broker.Invalid, cannot + `it holds <error/> of "", which no message from here may`},
			{"body elsewhere", "/all", message("", "<payload xmlns='urn:xmpp:json-msg:0'><body xmlns='jabber:client'/></payload>"), broker.Invalid, cannot + "<body/> stands where it has no meaning"},
			{"foreign attribute", "/all", message("", "<body xmlns:x='urn:x' x:a='1'/>"), broker.Invalid, cannot + `<body/> has an attribute of "urn:x"`},
			{"attribute twice", "/all", message("", "<body a='1' a='2'/>"), broker.Invalid, cannot + "an element has an attribute twice"},
			{"two stanzas", "/all", message("", "<body/>") + message("", "<body/>"), broker.Invalid, cannot + "not exactly one element"},
			{"the end of the stream", "/all", "</stream:stream>", broker.Invalid, cannot + "not exactly one element"},
			{"unfinished", "/all", "<message to='bob@localhost'><body>", broker.Invalid, cannot + "not exactly one element"},
			{"nothing", "/all", "", broker.Invalid, cannot + "not exactly one element"},
			{"a comment", "/all", message("", "<!-- --><body/>"), broker.Invalid, ""},
			{"an entity", "/all", "<!DOCTYPE x [<!ENTITY a 'b'>]>" + message("", "<body>&a;</body>"), broker.Invalid, ""},
			{"long id", "/all", message(" id='"+strings.Repeat("x", 513)+"'", "<body/>"), broker.Invalid, cannot + "its id is too long, or its xml:lang no language tag"},
			{"deep", "/all", message("", strings.Repeat("<x xmlns='urn:xmpp:hints'>", 8)+strings.Repeat("</x>", 8)), broker.Invalid, ""},
			{"many", "/all", message("", strings.Repeat("<body/>", 64)), broker.Invalid, ""},
			{"big", "/all", message("", "<body>"+strings.Repeat("x", maxForeignBytes)+"</body>"), broker.TooLarge, "the XMPP stanza has 65587 bytes, more than the limit of 65536"},
		} {
			send, err := w.svc.Stanza(broker.Channel(c.channel), c.text)
			if send != nil || broker.KindOf(err) != c.kind || c.why != "" && err.Error() != c.why {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		w.silent()
		send, err := w.svc.Stanza("/all", message("", strings.Repeat("<body/>", 63)))
		if err != nil {
			t.Errorf("at the limit: %v", err)
		}
		_ = w.conn.Close() // the link breaks between the check and the sending
		w.accept()
		synctest.Wait()
		if _, err := w.svc.Stanza("/all", message("", "<body/>")); err != nil {
			t.Errorf("once it is up again: %v", err)
		}
		if !send() {
			t.Error("not sent on the next link")
		}
	})
	dialogue(t, carrying, func(w *world) {
		synctest.Wait() // for the link to be up
		send, err := w.svc.Stanza("/all", message("", "<body/>"))
		if err != nil {
			t.Fatal(err)
		}
		_ = w.conn.Close()
		broken := <-w.conns // the next connection, on which nobody answers
		defer broken.Close()
		synctest.Wait()
		if _, err := w.svc.Stanza("/all", message("", "<body/>")); broker.KindOf(err) != broker.Unavailable {
			t.Errorf("while the link is down: %v", err)
		}
		if send() || w.svc.Stats().StanzasLost != 1 {
			t.Error("a stanza that was not sent is not counted")
		}
	})
}

// FuzzStanza gives whatever the fuzzer makes up: what comes through is one message from the service that a server takes.
func FuzzStanza(f *testing.F) {
	for _, text := range []string{
		"<message to='a@b'><body>x</body></message>", "<message to='a@b' type='chat' xml:lang='en'><x xmlns='jabber:x:oob'><url/></x></message>",
		"<m:message xmlns:m='jabber:client' to='a@b'><json xmlns='urn:xmpp:json:0'>{}</json></m:message>", "<iq/>", "<message to='a@b' to='c@d'><body/></message>", "</message>", "",
	} {
		f.Add(text)
	}
	s := &Service{domain: service, opts: Options{Stanzas: []StanzaRule{{Match: "/**", To: []string{"*"}}}}}
	s.gate.init()
	s.gate.set(true)
	f.Fuzz(func(t *testing.T, text string) {
		el, err := component.Parse([]byte(text), component.Options{MaxStanza: maxForeignBytes, MaxDepth: maxForeignDepth, MaxElements: maxForeignElements, MaxAttributes: 16, MaxAttribute: 4096})
		if err != nil {
			return
		}
		_, b, err := s.foreign(el)
		if err != nil {
			return
		}
		if err := component.Check(service, b); err != nil || !strings.HasPrefix(string(b), "<message type='") {
			t.Errorf("%q becomes %q: %v", text, b, err)
		}
	})
}
