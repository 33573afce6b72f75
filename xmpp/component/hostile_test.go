package component

import (
	"fmt"
	"strings"
	"testing"
)

// hostile are stanzas that an ordinary user can make a server forward. Whatever they are, the handler sees them whole, or
// refused with their head, or they are dropped and counted; the link stays and the next stanza arrives.
var hostile = map[string]struct {
	stanza string
	want   Reason // NotRefused: delivered whole
}{
	// Addresses that servers accept and RFC 7622 does not.
	"snowman as recipient": {"<message to='☃@waft.localhost' from='a@localhost/x' id='1'><body>x</body></message>", NotRefused},
	"snowman iq":           {"<iq type='get' to='☃@waft.localhost' from='a@localhost/x' id='1'><query xmlns='x'/></iq>", NotRefused},
	"emoji as sender":      {"<message from='😀@localhost' to='waft.localhost' id='1'/>", NotRefused},
	"empty localpart":      {"<message from='@localhost' to='@waft.localhost' id='1'/>", NotRefused},
	"no addresses":         {"<message id='1'/>", NotRefused},
	"resource of 1023":     {"<message from='a@localhost/" + strings.Repeat("r", 1023) + "' to='waft.localhost' id='1'/>", NotRefused},

	// Shapes of iq that RFC 6120 §8.2.3 forbids and servers let through.
	"iq get without child":  {"<iq type='get' id='1' from='a@localhost/x' to='waft.localhost'/>", NotRefused},
	"iq set without child":  {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'></iq>", NotRefused},
	"iq set with text only": {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'>text</iq>", NotRefused},
	"iq get two children":   {"<iq type='get' id='1' from='a@localhost/x' to='waft.localhost'><a xmlns='x'/><b xmlns='x'/></iq>", NotRefused},
	"iq error sans child":   {"<iq type='error' id='1' from='a@localhost/x' to='waft.localhost'/>", StrayAnswer},
	"iq result unasked":     {"<iq type='result' id='1' from='a@localhost/x' to='waft.localhost'><ping xmlns='urn:xmpp:ping'/></iq>", StrayAnswer},
	"iq error without id":   {"<iq type='error' from='a@localhost/x' to='waft.localhost'/>", StrayAnswer},
	"iq of unknown type":    {"<iq type='frob' id='1' from='a@localhost/x' to='waft.localhost'><a xmlns='x'/></iq>", NotRefused},
	"iq of empty type":      {"<iq type='' id='1' from='a@localhost/x' to='waft.localhost'><a xmlns='x'/></iq>", NotRefused},
	"iq without type or id": {"<iq from='a@localhost/x' to='waft.localhost'/>", NotRefused},
	"message unknown type":  {"<message type='shout' id='1' from='a@localhost/x' to='waft.localhost'/>", NotRefused},
	"id of 10 kB":           {"<iq type='get' id='" + strings.Repeat("i", 10<<10) + "' from='a@localhost/x' to='waft.localhost'/>", NotRefused},
	"lang junk":             {"<message xml:lang='&lt;&#x1F600; not a language' id='1' from='a@localhost/x' to='waft.localhost'/>", NotRefused},

	// The stream's own namespace inside a stanza.
	"stream error as payload":  {"<message id='1' from='a@localhost/x' to='waft.localhost'><error xmlns='http://etherx.jabber.org/streams'/></message>", NotRefused},
	"stream prefix as payload": {"<message id='1' from='a@localhost/x' to='waft.localhost'><stream:error><conflict/></stream:error></message>", NotRefused},
	"stream in a stream":       {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><stream:stream to='x'/></iq>", NotRefused},
	"stream deep inside":       {"<message id='1' from='a@localhost/x' to='waft.localhost'><a xmlns='x'><b><features xmlns='http://etherx.jabber.org/streams'/></b></a></message>", NotRefused},
	"stanza in a stanza":       {"<message id='1' from='a@localhost/x' to='waft.localhost'><message xmlns='jabber:component:accept' from='b@localhost'/></message>", NotRefused},

	// Size.
	"attribute of 1 MB":       {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><a b='" + strings.Repeat("x", 1<<20) + "'/></iq>", AttributeTooBig},
	"own attribute of 1 MB":   {"<iq type='set' x='" + strings.Repeat("x", 1<<20) + "' id='1' from='a@localhost/x' to='waft.localhost'/>", AttributeTooBig},
	"attribute name of 1 MB":  {"<iq type='set' id='1' from='a@localhost/x' " + strings.Repeat("x", 1<<20) + "='' to='waft.localhost'/>", AttributeTooBig},
	"element name of 2 MB":    {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><" + strings.Repeat("x", 2<<20) + "/></iq>", StanzaTooBig},
	"10,000 attributes":       {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><a" + manyAttrs(10_000) + "/></iq>", TooManyAttributes},
	"10,000 own attributes":   {"<iq" + manyAttrs(10_000) + " type='set' id='1' from='a@localhost/x' to='waft.localhost'/>", TooManyAttributes},
	"100,000 children":        {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'>" + strings.Repeat("<a/>", 100_000) + "</iq>", TooManyElements},
	"10,000 levels":           {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'>" + strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000) + "</iq>", TooDeep},
	"text of 8 MB":            {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'>" + strings.Repeat("text ", 8<<20/5) + "</iq>", StanzaTooBig},
	"text between the levels": {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'>" + strings.Repeat("x<a/>", 9_000) + "</iq>", NotRefused},

	// What RFC 6120 §11.1 forbids, and what is legal and looks like it.
	"comment":            {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><!-- </iq> --></iq>", RestrictedXML},
	"comment of dashes":  {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><!---->-->--<!-- - -- ->--></iq>", RestrictedXML},
	"PI":                 {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><?php </iq> ' \" ???></iq>", RestrictedXML},
	"XML declaration":    {"<iq type='set' id='1' from='a@localhost/x' to='waft.localhost'><?xml version='1.0' encoding='utf-16'?></iq>", RestrictedXML},
	"CDATA":              {"<message id='1' from='a@localhost/x' to='waft.localhost'><body><![CDATA[</body></message><!-- ]] > ]>]]></body></message>", NotRefused},
	"CDATA ends late":    {"<message id='1' from='a@localhost/x' to='waft.localhost'><body><![CDATA[]]]]]></body></message>", NotRefused},
	"greater in value":   {"<message id='1' from='a@localhost/x' to='waft.localhost'><a b=\"/>/message>'\" c='\"'/></message>", NotRefused},
	"spaces in tags":     {"<message\n id = '1'\tfrom\r\n= 'a@localhost/x' to='waft.localhost' ><a /></message >", NotRefused},
	"prefixed stanza":    {"<p:iq xmlns:p='jabber:component:accept' type='get' id='1' from='a@localhost/x' to='waft.localhost'/>", NotRefused},
	"prefix from header": {"<message id='1' from='a@localhost/x' to='waft.localhost'><odd:thing odd:attr='x'/></message>", NotRefused},

	// Not XML.
	"undefined entity":      {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>&nbsp;</body></message>", Malformed},
	"entity without end":    {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>a & b</body></message>", Malformed},
	"entity in a value":     {"<message id='1' from='a@localhost/x' to='waft.localhost'><a b='&x;'/></message>", Malformed},
	"less in a value":       {"<message id='1' from='a@localhost/x' to='waft.localhost'><a b='<'/></message>", Malformed},
	"control character":     {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>\x00\x01</body></message>", Malformed},
	"numbered NUL":          {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>&#0;</body></message>", Malformed},
	"U+FFFF":                {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>\uFFFF</body></message>", Malformed},
	"invalid UTF-8":         {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>\xff\xfe\xc0\x80</body></message>", Malformed},
	"surrogate in UTF-8":    {"<message id='1' from='a@localhost/x' to='waft.localhost'><body>\xed\xa0\x80</body></message>", Malformed},
	"mismatched tags":       {"<message id='1' from='a@localhost/x' to='waft.localhost'><a></b></message>", Malformed},
	"mismatched at the top": {"<message id='1' from='a@localhost/x' to='waft.localhost'></presence>", Malformed},
	"bad name":              {"<message id='1' from='a@localhost/x' to='waft.localhost'><1a$/></message>", Malformed},
	"stray CDATA end":       {"<message id='1' from='a@localhost/x' to='waft.localhost'>]]></message>", Malformed},

	// Not stanzas, or nobody could be answered.
	"unknown element":      {"<frob id='1' from='a@localhost/x' to='waft.localhost'/>", UnknownElement},
	"features":             {"<stream:features/>", UnknownElement},
	"another namespace":    {"<iq xmlns='jabber:client' type='get' id='1' from='a@localhost/x' to='waft.localhost'/>", UnknownElement},
	"second handshake":     {"<handshake/>", UnknownElement},
	"comment between":      {"<!-- <iq> -->", NotRefused},
	"PI between":           {"<?xml version='1.0'?>", NotRefused},
	"whitespace keepalive": {" \r\n\t", NotRefused},
}

func manyAttrs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d='x'", i)
	}
	return b.String()
}

func TestHostile_104_stanza_is_seen_or_refused_and_the_link_lives(t *testing.T) {
	for name, tt := range hostile {
		t.Run(name, func(t *testing.T) {
			dialogue(t, nil, func(t *testing.T, h *harness) {
				p := h.connected()
				p.send(tt.stanza)
				if isStanza := strings.Contains(tt.stanza, "from=") || strings.Contains(tt.stanza, "from\r") || name == "no addresses"; isStanza {
					switch tt.want {
					case StrayAnswer, UnknownElement:
					default:
						s := h.stanza()
						if s.Refused != tt.want {
							t.Errorf("refused: %v, want %v", s.Refused, tt.want)
						}
						if s.Refused != NotRefused && (s.ID != "1" || s.From != "a@localhost/x" || s.To != "waft.localhost" || len(s.Element.Children) != 0) {
							t.Errorf("head of the refused stanza is %+v", s)
						}
					}
				}
				h.sentinel(p)
				for r, n := range h.link.Stats().Dropped {
					want := uint64(0)
					if r == tt.want && r != NotRefused {
						want = 1
					}
					if n != want {
						t.Errorf("%v counted %d times", r, n)
					}
				}
				p.close()
			})
		})
	}
}

func TestHostile_all_of_them_on_one_link_in_small_pieces(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		for name, tt := range hostile {
			if len(tt.stanza) > 50<<10 {
				continue
			}
			for b := []byte(tt.stanza); len(b) > 0; b = b[min(7, len(b)):] {
				p.send(string(b[:min(7, len(b))]))
			}
			p.send("<presence from='s@localhost' to='waft.localhost' id='next'/>")
			for s := h.stanza(); s.ID != "next"; s = h.stanza() {
				if s.Refused != tt.want {
					t.Errorf("%s: refused %v, want %v", name, s.Refused, tt.want)
				}
			}
		}
		if s := h.link.Stats(); s.Connects != 1 || s.StanzasIn < 80 || s.BytesIn < 20_000 {
			t.Errorf("counted %+v", s)
		}
		p.close()
	})
}

func TestHostile_head_that_is_too_big_itself_is_counted(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		big := strings.Repeat("x", 100<<10)
		p.send("<iq type='get' id='" + big + "' from='a@localhost/x' to='waft.localhost'/>")
		if s := h.stanza(); s.Refused != AttributeTooBig || s.ID != "" || s.From != "a@localhost/x" {
			t.Errorf("got %+v", s)
		}
		p.send("<" + big + " from='a@localhost/x'/>")
		p.send("<iq from='\xff'/>")
		h.sentinel(p)
		if d := h.link.Stats().Dropped; d[UnknownElement] != 1 || d[Malformed] != 1 {
			t.Errorf("dropped %v", d)
		}
		p.close()
	})
}

func TestHandler_panic_is_logged_and_the_link_lives(t *testing.T) {
	dialogue(t, func(o *Options) {
		deliver := o.Handler
		o.Handler = func(s *Stanza) {
			if s.ID == "bomb" {
				panic("boom")
			}
			deliver(s)
		}
	}, func(t *testing.T, h *harness) {
		p := h.connected()
		p.send("<message id='bomb'/>")
		h.sentinel(p)
		if !strings.Contains(h.log.String(), "boom") || h.link.Stats().Dropped[HandlerPanicked] != 1 {
			t.Errorf("log says %s", h.log)
		}
		p.close()
	})
}

func TestStanza_is_read_as_sent(t *testing.T) {
	dialogue(t, nil, func(t *testing.T, h *harness) {
		p := h.connected()
		p.send("<iq type='set' id='a&amp;b' from='Alice@LOCALHOST/Home' to='waft.localhost' xml:lang='de'>" +
			"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='/a'><item id='1'>" +
			"<json xmlns='urn:xmpp:json:0'>{\"a\":&lt;1&gt;,<![CDATA[\"b&\"]]>:&#x1F600;}</json></item></publish></pubsub></iq>")
		s := h.stanza()
		if s.Kind != IQ || s.Type != "set" || s.ID != "a&b" || s.From != "Alice@LOCALHOST/Home" || s.Lang != "de" {
			t.Errorf("got %+v", s)
		}
		if !s.FromOK || s.FromJID.String() != "alice@localhost/Home" || !s.ToOK {
			t.Errorf("addresses %v %v", s.FromJID, s.ToJID)
		}
		const ns = "http://jabber.org/protocol/pubsub"
		publish := s.Element.Child(ns, "pubsub").Child(ns, "publish")
		if publish.Attr("node") != "/a" || publish.HasAttr("xmlns") || len(s.Payload().Attrs) != 0 {
			t.Errorf("publish is %+v", publish)
		}
		if text := publish.Child(ns, "item").Child("urn:xmpp:json:0", "json").Text; text != "{\"a\":<1>,\"b&\":😀}" {
			t.Errorf("payload is %s", text)
		}
		if none := s.Element.Child("", "x").Child("", "y"); none != nil || none.Attr("z") != "" || none.HasAttr("z") {
			t.Error("a path to nowhere leads somewhere")
		}
		p.send("<message id='1' from='a@localhost/x' to='☃@waft.localhost'/>")
		if s = h.stanza(); s.ToOK || s.To != "☃@waft.localhost" || !s.FromOK {
			t.Errorf("got %+v", s)
		}
		p.close()
	})
}
