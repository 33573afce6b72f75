//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// hostile are stanzas that any logged-in user can send to waft, which stands
// for its domain. Many of them have ended the link of some component.
var hostile = []struct{ name, stanza string }{
	// Addresses that servers let through and address parsers refuse.
	{"iq to a snowman", `<iq type='get' id='h' to='☃@waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"message to a snowman", `<message to='☃@waft'><body>hi</body></message>`},
	{"presence to a snowman", `<presence to='☃@waft'/>`},
	{"iq to an emoji", `<iq type='get' id='h' to='🎉@waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"message to an emoji", `<message to='🎉@waft'><body>hi</body></message>`},
	{"iq to a blank resource", `<iq type='get' id='h' to='waft/ '><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq to a long resource", `<iq type='get' id='h' to='waft/` + long(1023) + `'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq to a trailing dot", `<iq type='get' id='h' to='waft.'><ping xmlns='urn:xmpp:ping'/></iq>`},

	// Queries that ask for nothing.
	{"get without a child", `<iq type='get' id='h' to='waft'/>`},
	{"set without a child", `<iq type='set' id='h' to='waft'/>`},
	{"get with text only", `<iq type='get' id='h' to='waft'>text</iq>`},
	{"set with text only", `<iq type='set' id='h' to='waft'>text</iq>`},
	{"error without a child", `<iq type='error' id='h' to='waft'/>`},
	{"result without a request", `<iq type='result' id='h' to='waft'/>`},
	{"get with two children", `<iq type='get' id='h' to='waft'><ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"get of something unknown", `<iq type='get' id='h' to='waft'><x xmlns='urn:nobody:knows'/></iq>`},

	// Elements that pretend to be the stream's own.
	{"stream error in a message", `<message to='waft'><error xmlns='http://etherx.jabber.org/streams'/></message>`},
	{"stream error by prefix", `<iq type='set' id='h' to='waft'><stream:error/></iq>`},
	{"stream in an iq", `<iq type='get' id='h' to='waft'><stream xmlns='http://etherx.jabber.org/streams'/></iq>`},
	{"stream namespace at depth", `<message to='waft'><a><b><c xmlns='http://etherx.jabber.org/streams'/></b></a></message>`},
	{"stream condition", `<message to='waft'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></message>`},
	{"handshake", `<message to='waft'><handshake xmlns='jabber:component:accept'/></message>`},
	{"stanza in a stanza", `<message to='waft'><iq xmlns='jabber:component:accept' type='get' id='n'/></message>`},

	// XML that parsers stumble over.
	{"comment", `<message to='waft'><!-- hi --><body>hi</body></message>`},
	{"processing instruction", `<message to='waft'><?php exit ?><body>hi</body></message>`},
	{"document type", `<!DOCTYPE x [<!ENTITY e 'hi'>]><message to='waft'><body>&e;</body></message>`},
	{"CDATA", `<message to='waft'><body><![CDATA[</message></stream:stream>]]></body></message>`},
	{"escaped end tag", `<message to='waft'><body>&lt;/message>&lt;/stream:stream></body></message>`},
	{"noncharacter", "<message to='waft'><body>\uffff</body></message>"},
	{"noncharacter by reference", `<message to='waft'><body>&#xFFFF;</body></message>`},
	{"control character by reference", `<message to='waft'><body>&#1;</body></message>`},
	{"white space by reference", `<message to='waft'><body>&#13;&#10;&#9;</body></message>`},
	{"quotes in attributes", `<message to='waft' id="'&quot;&lt;&amp;&#10;"><body a="'" b='"'/></message>`},
	{"attribute with a prefix", `<iq xmlns:p='urn:p' p:to='nowhere' p:type='set' type='get' id='h' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"prefixes redeclared", `<message to='waft'><a:x xmlns:a='urn:1'><a:x xmlns:a='urn:2' a:y='1'/></a:x></message>`},
	{"many prefixes", `<message to='waft'><x` + repeat(1000, ` xmlns:p%d='urn:p'`) + `/></message>`},

	// Stanzas of no known kind.
	{"iq of unknown type", `<iq type='take' id='h' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq of empty type", `<iq type='' id='h' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq without type", `<iq id='h' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq without id", `<iq type='get' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"iq with an id of 10 kB", `<iq type='get' id='` + long(10_000) + `' to='waft'><ping xmlns='urn:xmpp:ping'/></iq>`},
	{"message of unknown type", `<message type='shout' to='waft'><body>hi</body></message>`},
	{"message of type error", `<message type='error' to='waft'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`},
	{"presence of unknown type", `<presence type='perhaps' to='waft'/>`},
	{"presence subscription", `<presence type='subscribe' to='waft'/>`},
	{"presence probe", `<presence type='probe' to='waft'/>`},
	{"odd language", `<message xml:lang='` + long(1000) + `' to='waft'><body xml:lang=''>hi</body></message>`},
	{"unknown stanza", `<parcel to='waft'><body>hi</body></parcel>`},

	// Too much of something.
	{"attribute of 1 MB", `<message to='waft'><x a='` + long(1<<20) + `'/></message>`},
	{"text of 1 MB", `<message to='waft'><body>` + long(1<<20) + `</body></message>`},
	{"10,000 attributes", `<message to='waft'><x` + repeat(10_000, ` a%d=''`) + `/></message>`},
	{"100,000 children", `<message to='waft'>` + strings.Repeat(`<a/>`, 100_000) + `</message>`},
	{"2,000 levels", deep(2_000)}, // of 4,000, ejabberd 23.01 itself dies

	// Publish and subscribe, abused.
	{"empty pubsub", pubsub("")},
	{"two verbs", pubsub(`<publish node='/open/h'/><subscribe node='/open/h' jid='h@h'/>`)},
	{"subscription of a snowman", pubsub(`<subscribe node='/open/h' jid='☃@waft'/>`)},
	{"node of 10 kB", pubsub(`<subscribe node='/` + long(10_000) + `' jid='h@h'/>`)},
	{"publish of half an object", publishing(`{"a":`)},
	{"publish of deep arrays", publishing(strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000))},
	{"publish of a huge number", publishing(strings.Repeat("9", 100_000))},
	{"publish of 1 MB", publishing(`"` + long(1<<20) + `"`)},
	{"publish of 1,000 items", pubsub(`<publish node='/open/h'>` + strings.Repeat(`<item><json xmlns='urn:xmpp:json:0'>1</json></item>`, 1000) + `</publish>`)},
	{"publish of elements", pubsub(`<publish node='/open/h'><item><json xmlns='urn:xmpp:json:0'><a/></json></item></publish>`)},
	{"form of nonsense", pubsub(`<publish node='/open/h'/><publish-options><x xmlns='jabber:x:data' type='?'><field/><field var=''><value/></field></x></publish-options>`)},
}

func pubsub(verbs string) string {
	return `<iq type='set' id='h' to='waft'><pubsub xmlns='http://jabber.org/protocol/pubsub'>` + verbs + `</pubsub></iq>`
}

func publishing(json string) string {
	return pubsub(`<publish node='/open/h'><item><json xmlns='urn:xmpp:json:0'>` + json + `</json></item></publish>`)
}

func long(n int) string { return strings.Repeat("x", n) }

func deep(n int) string {
	return `<message to='waft'>` + strings.Repeat(`<a>`, n) + strings.Repeat(`</a>`, n) + `</message>`
}

// repeat writes the format n times, with the numbers from 0.
func repeat(n int, format string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

func TestHostile_stanza_never_ends_the_link(t *testing.T) {
	for _, server := range xmppKinds {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			s := running(t, server.start)
			w := startWaft(t, s)
			link := w.links[0]
			bob, thrownOut := login(t, s, "bob"), 0
			domain := strings.NewReplacer("'waft", "'"+s.service(), "@waft", "@"+s.service())
			for _, h := range hostile {
				t.Run(h.name, func(t *testing.T) {
					before := link.connections()
					mallory := login(t, s, "mallory")
					err := mallory.send(domain.Replace(h.stanza))
					// Her own ping follows her stanza to waft. A server may rather
					// throw her out than pass the stanza on; that is its business.
					if err == nil {
						err = mallory.ping(s.service(), "after")
					}
					if errors.Is(err, errThrownOut) {
						thrownOut++
					} else if err != nil {
						t.Errorf("mallory: %v", err)
					}
					if err := bob.ping(s.service(), "bob-"+h.name); err != nil {
						t.Errorf("bob: %v", err)
						bob = login(t, s, "bob")
					}
					if n := link.connections() - before; n > 0 {
						t.Errorf("the link was lost; waft has connected again")
					}
				})
			}
			if thrownOut > len(hostile)/4 {
				t.Errorf("%s let %d of %d stanzas not through: this shows little", s.name, thrownOut, len(hostile))
			}
			if peak := peakMemory(t, w.proc); peak > hostilePeak {
				t.Errorf("waft has used %d MB", peak>>20)
			}
		})
	}
}

// hostilePeak is more than waft can need for stanzas of 1 MB at most, one at a
// time. It shows whether something grows with them.
const hostilePeak = 64 << 20

// peakMemory is the most memory that a process has used, in bytes.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kB int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kB); err == nil {
			return kB << 10
		}
	}
	t.Fatalf("no VmHWM in\n%s", status)
	return 0
}

func login(t *testing.T, s *xmppServer, name string) *rawUser {
	t.Helper()
	u, err := s.login(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.conn.Close() })
	return u
}
