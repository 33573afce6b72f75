package component

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppend_escapes_and_replaces_what_XML_cannot_carry(t *testing.T) {
	for _, tt := range []struct{ in, text, attr string }{
		{"", "", ""},
		{"plain ☃ 😀", "plain ☃ 😀", "plain ☃ 😀"},
		{`<a b="c">'&'</a>`, `&lt;a b="c"&gt;'&amp;'&lt;/a&gt;`, `&lt;a b=&quot;c&quot;&gt;&apos;&amp;&apos;&lt;/a&gt;`},
		{"]]>", "]]&gt;", "]]&gt;"},
		{"a\r\n\tb", "a&#13;\n\tb", "a&#13;&#10;&#9;b"},
		{"\x00\x1f\x7f", "\uFFFD\uFFFD\x7f", "\uFFFD\uFFFD\x7f"},
		{"\uFFFE\uFFFF\uFFFD\U0001FFFE", "\uFFFD\uFFFD\uFFFD\U0001FFFE", "\uFFFD\uFFFD\uFFFD\U0001FFFE"},
		{"\xffa\xed\xa0\x80\xc3", "\uFFFDa\uFFFD\uFFFD\uFFFD\uFFFD", "\uFFFDa\uFFFD\uFFFD\uFFFD\uFFFD"},
	} {
		if got := string(AppendText(nil, tt.in)); got != tt.text {
			t.Errorf("AppendText(%q) = %q", tt.in, got)
		}
		if got := string(AppendText([]byte("x"), []byte(tt.in))); got != "x"+tt.text {
			t.Errorf("AppendText of bytes %q = %q", tt.in, got)
		}
		if got := string(AppendAttr(nil, tt.in)); got != tt.attr {
			t.Errorf("AppendAttr(%q) = %q", tt.in, got)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("<&>\"'\r\n\t\x00\xff\uFFFE☃")
	f.Fuzz(func(t *testing.T, s string) {
		b := append([]byte("<a b='"), AppendAttr(nil, s)...)
		b = append(AppendText(append(b, "'>"...), s), "</a>"...)
		var a struct {
			B    string `xml:"b,attr"`
			Text string `xml:",chardata"`
		}
		if err := xml.Unmarshal(b, &a); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		want := strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
				return utf8.RuneError
			}
			return r
		}, s)
		if a.B != want || a.Text != want {
			t.Fatalf("%q came back as %q and %q", want, a.B, a.Text)
		}
	})
}

func TestCheck_finds_what_costs_the_link(t *testing.T) {
	for _, good := range []string{
		"<message from='waft.localhost' to='a@localhost'><event xmlns='x'/></message>",
		"<iq type='result' id='1' from='news@waft.localhost/x' to='a@localhost'/>",
	} {
		if err := Check("waft.localhost", []byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "text", "<message", "<message>", "</stream:stream>",
		"<message from='waft.localhost'/>",
		"<message to='a@localhost'/>",
		"<message from='other.localhost' to='a@localhost'/>",
		"<message from='☃@waft.localhost' to='a@localhost'/>",
		"<message xmlns='jabber:client' from='waft.localhost' to='a@localhost'/>",
		"<message from='waft.localhost' to='a@localhost'/> ",
		"<message from='waft.localhost' to='a@localhost'/><message from='waft.localhost' to='a@localhost'/>",
		"<message from='waft.localhost' to='a@localhost'>&nbsp;</message>",
		"<message from='waft.localhost' to='a@localhost'>\uFFFF</message>",
		"<message from='waft.localhost' to='a@localhost'><!-- --></message>",
		"<message from='waft.localhost' to='a@localhost'><a b='1' b='2'/></message>",
		"<frob from='waft.localhost' to='a@localhost'/>",
	} {
		if err := Check("waft.localhost", []byte(bad)); !errors.Is(err, ErrBadStanza) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
