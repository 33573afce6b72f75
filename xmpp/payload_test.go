package xmpp

import (
	"strings"
	"testing"
)

// Checklist 50, 54, 55: what goes in comes out, compacted, and so it does for somebody who reads the item.
func TestPayload_text_survives(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{ // as written in XML
		{"50 object", `{"a": {"b": [1, "c"]}}`, `{"a":{"b":[1,"c"]}}`},
		{"50 array", `[ ]`, `[]`},
		{"50 string", `"x y"`, `"x y"`},
		{"50 empty string", `""`, `""`},
		{"50 number", `-1.50e+3`, `-1.50e+3`},
		{"50 true", `true`, `true`},
		{"50 null", ` null `, `null`},
		{"54 big numbers", `[1e400,12345678901234567890,1.0]`, `[1e400,12345678901234567890,1.0]`},
		{"54 duplicate keys", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{"55 markup", `"&lt;&amp;&gt;]]&gt;&quot;"`[:len(`"&lt;&amp;&gt;]]&gt;`)] + `"`, `"&lt;&amp;&gt;]]&gt;"`},
		{"55 quotes", `"'\"\\"`, `"'\"\\"`},
		{"55 CDATA", `<![CDATA["<&>"]]>`, `"&lt;&amp;&gt;"`},
		{"55 emoji and others", `"😀é漢` + "\u2028\u2029\u0085\ufffd" + `"`, `"😀é漢` + "\u2028\u2029\u0085\ufffd" + `"`},
		{"55 escapes", `"\u0000\ud800\uFFFF\/\b"`, `"\u0000\ud800\uFFFF\/\b"`},
		{"55 CR and other white space", "{&#13;&#10;\t\"a\"&#13;:1}", `{"a":1}`},
		{"55 DEL", "\"\x7f\"", "\"\x7f\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.subscribed(bob, "/a", "bob@localhost")
				w.send(iq(alice, "set", publishing("/a", item("7", c.in))))
				w.gets(published(alice, "/a", "7"), eventText("bob@localhost", "E", "/a", item("7", c.out)))
				w.answers(bob, "get", pubsubOf("<items node='/a'/>"), result(bob, pubsubOf("<items node='/a'>"+item("7", c.out)+"</items>")))
			})
		})
	}
}

// Checklist 55, 58: what XML cannot carry comes from other doors only, and is escaped.
func TestPayload_escapes_noncharacters(t *testing.T) {
	dialogue(t, nil, func(w *world) {
		w.subscribed(bob, "/a", "bob@localhost")
		for in, out := range map[string]string{
			"\"\uFFFE<\uFFFF\"":        `"\ufffe&lt;\uffff"`,
			"\"\uFFFD\uFFFE\"":         "\"\uFFFD\\ufffe\"",
			"\"\uFFC0\uFFFA\uFFFF\"":   "\"\uFFC0\uFFFA\\uffff\"",
			"\"\U0001FFFE\U0010FFFF\"": "\"\U0001FFFE\U0010FFFF\"",
			`{"\uffff":"a"}`:           `{"\uffff":"a"}`,
		} {
			w.publish("/a", in)
			w.gets(eventText("bob@localhost", "E", "/a", item("NEW", out)))
		}
	})
}

// Checklist 51, 52, 53, 56: refused, and nothing is delivered.
func TestPayload_refuses(t *testing.T) {
	const exactly = "an item has one payload, &lt;json xmlns='urn:xmpp:json:0'&gt;, with nothing but JSON in it"
	for _, c := range []struct{ name, item, text string }{
		{"51 half an object", item("7", `{"a":`), "the JSON is wrong at byte 5: unexpected end of JSON input"},
		{"51 two values", item("7", `1 2`), "the JSON is wrong at byte 3: invalid character '2' after top-level value"},
		{"51 words", item("7", `hello`), "the JSON is wrong at byte 1: invalid character 'h' looking for beginning of value"},
		{"51 white space of other kinds", item("7", "[1,\u00a02]"), "the JSON is wrong at byte 4: invalid character 'Â' looking for beginning of value"},
		{"52 empty", "<item id='7'><json xmlns='urn:xmpp:json:0'/></item>", exactly},
		{"52 blank", item("7", "  \n "), exactly},
		{"52 child", item("7", `1<b/>`), exactly},
		{"53 other namespace", "<item><json xmlns='urn:xmpp:json:1'>1</json></item>", `the payload is "json" of "urn:xmpp:json:1"; it must be &lt;json xmlns='urn:xmpp:json:0'&gt;`},
		{"53 none", "<item><json>1</json></item>", `the payload is "json" of "http://jabber.org/protocol/pubsub"; it must be &lt;json xmlns='urn:xmpp:json:0'&gt;`},
		{"53 Atom", "<item><entry xmlns='http://www.w3.org/2005/Atom'><title>t</title></entry></item>", `the payload is "entry" of "http://www.w3.org/2005/Atom"; it must be &lt;json xmlns='urn:xmpp:json:0'&gt;`},
		{"56 deep", item("7", strings.Repeat("[", 129)+strings.Repeat("]", 129)), "the JSON nests deeper than 128 at byte 128"},
		{"56 very deep", item("7", strings.Repeat("[", 200_000)), "the JSON nests deeper than 128 at byte 128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialogue(t, nil, func(w *world) {
				w.subscribed(bob, "/a", "bob@localhost")
				w.answers(alice, "set", publishing("/a", c.item), refused(alice, "modify: bad-request + invalid-payload", c.text))
				w.silent()
			})
		})
	}
}
