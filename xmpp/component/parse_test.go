package component

import (
	"encoding/xml"
	"testing"
)

func testParser(t testing.TB) *parser {
	header, err := startTag([]byte("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' " +
		"xmlns:odd='urn:&quot;odd&apos;' id='1'>"))
	if err != nil {
		t.Fatal(err)
	}
	return newParser(header.Attr, &Options{MaxDepth: 8, MaxElements: 50})
}

func TestParser_knows_the_prefixes_of_the_stream_header(t *testing.T) {
	p := testParser(t)
	for range 3 { // the decoder is used again
		el, err := p.parse([]byte("<iq><odd:a odd:b='1' xmlns:odd2='x' c='2'><stream:error/></odd:a></iq>"))
		if err != nil {
			t.Fatal(err)
		}
		if el.Name != (xml.Name{Space: nsComponent, Local: "iq"}) {
			t.Errorf("stanza is %v", el.Name)
		}
		a := el.Child(`urn:"odd'`, "a")
		if a == nil || len(a.Attrs) != 2 || a.Attr("c") != "2" || a.Attr("b") != "" || a.Child(nsStream, "error") == nil {
			t.Errorf("child is %+v", a)
		}
	}
}

func TestParser_a_declaration_ends_with_its_stanza(t *testing.T) {
	p := testParser(t)
	if _, err := p.parse([]byte("<iq xmlns='x' xmlns:odd='y'><a/></iq>")); err != nil {
		t.Fatal(err)
	}
	el, err := p.parse([]byte("<iq><odd:a/></iq>"))
	if err != nil || el.Name.Space != nsComponent || el.Payload().Name.Space != `urn:"odd'` {
		t.Errorf("next stanza is %+v, %v", el, err)
	}
}

// Payload is the first child, for tests.
func (e *Element) Payload() *Element { return (&Stanza{Element: e}).Payload() }

func TestParser_refuses_what_is_not_one_element(t *testing.T) {
	p := testParser(t)
	for _, bad := range []string{
		"", " ", "x", "<a>", "</a>", "<a/><b/>", "<a/> ", "<a></a></s>", "</s>", "<!-- --><a/>", "<a><?x y?></a>", "<!DOCTYPE a><a/>",
		"<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>",
	} {
		if el, err := p.parse([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, el)
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, tt := range hostile {
		if len(tt.stanza) < 1000 {
			f.Add([]byte(tt.stanza))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p := testParser(t)
		el, err := p.parse(in)
		if (el == nil) == (err == nil) {
			t.Fatalf("parse returned %v, %v", el, err)
		}
		if el != nil {
			newStanza(el, &jidCache{})
			_ = streamError(el).Error()
			if n := count(el); n > 50 {
				t.Fatalf("%d elements", n)
			}
		}
		// Whatever that was, it must leave nothing behind for the next stanza, which may be somebody else's.
		el, err = p.parse([]byte("<iq id='1'><odd:a>t</odd:a></iq>"))
		if err != nil || el.Name.Space != nsComponent || el.Child(`urn:"odd'`, "a") == nil || el.Children[0].Text != "t" || len(el.Attrs) != 1 {
			t.Fatalf("next stanza is %+v, %v", el, err)
		}
	})
}

func count(e *Element) int {
	n := 1
	for _, c := range e.Children {
		n += count(c)
	}
	return n
}
