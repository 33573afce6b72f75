package component

import (
	"bytes"
	"fmt"

	"mellium.im/xmpp/jid"
)

// Check reports, as ErrBadStanza with the reason, whether a server would close a component's link on receiving b from
// it: not exactly one well-formed iq, message or presence; no to; no from or one outside domain; a default namespace on
// the stanza (jabber:client makes Prosody lose it); a comment or processing instruction. Send does not call it: it is for
// the tests of code that renders stanzas.
func Check(domain string, b []byte) error {
	const any = 1 << 30
	o := Options{MaxDepth: any, MaxElements: any}
	f := newFramer(bytes.NewReader(b), limits{stanza: any, depth: any, elements: any, attrs: any, attr: any})
	f.header = true
	fr, err := f.next()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadStanza, err)
	}
	if fr.kind != frameElement || fr.why != NotRefused || len(fr.raw) != len(b) {
		return fmt.Errorf("%w: not exactly one element without comments", ErrBadStanza)
	}
	el, err := newParser(nil, &o).parse(fr.raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadStanza, err)
	}
	if el.Name.Space != "" {
		return fmt.Errorf("%w: <%s/> is in the namespace %q", ErrBadStanza, el.Name.Local, el.Name.Space)
	}
	switch Kind(el.Name.Local) {
	case IQ, Message, Presence:
	default:
		return fmt.Errorf("%w: <%s/> is not a stanza", ErrBadStanza, el.Name.Local)
	}
	from, err := jid.Parse(el.Attr("from"))
	if err != nil || from.Domainpart() != domain {
		return fmt.Errorf("%w: from=%q is not at %s", ErrBadStanza, el.Attr("from"), domain)
	}
	if el.Attr("to") == "" {
		return fmt.Errorf("%w: no to", ErrBadStanza)
	}
	return checkAttrs(el)
}

// checkAttrs finds an attribute given twice, which encoding/xml lets pass and either server closes the link on.
func checkAttrs(el *Element) error {
	seen := make(map[string]bool, len(el.Attrs))
	for _, a := range el.Attrs {
		key := a.Name.Space + " " + a.Name.Local
		if seen[key] {
			return fmt.Errorf("%w: <%s/> has %s twice", ErrBadStanza, el.Name.Local, a.Name.Local)
		}
		seen[key] = true
	}
	for _, c := range el.Children {
		if err := checkAttrs(c); err != nil {
			return err
		}
	}
	return nil
}
