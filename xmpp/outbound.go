package xmpp

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"waft/broker"
	"waft/xmpp/component"
)

// StanzaRule lets items of the channels that match carry an XMPP message (format xmpp-stanza), to the users that To names:
// "alice@example.org" one of them, "@example.org" everybody with an account there, "*" everybody who can be reached.
type StanzaRule struct {
	Match broker.Pattern
	To    []string
}

// Limits on a message from outside.
const (
	maxForeignBytes    = 64 << 10
	maxForeignElements = 64
	maxForeignDepth    = 8
)

// Stanza prepares a message that an item of a channel carries. Nothing has been sent when it returns; send does that, once,
// without blocking, and tells whether the link took it. The message is read as a tree and written anew: of a <message/> to
// a user it keeps type, id and xml:lang and what is in the table of contents below; it comes from the service whatever it says.
//
// Errors: Forbidden without a rule that allows it, Invalid, TooLarge, Unavailable while the link is down.
func (s *Service) Stanza(c broker.Channel, text string) (send func() bool, err error) {
	i := slices.IndexFunc(s.opts.Stanzas, func(r StanzaRule) bool { return r.Match.Matches(c) })
	switch {
	case i < 0:
		return nil, broker.Errorf(broker.Forbidden, "items for %s may not carry an XMPP stanza: no rule allows it", c)
	case len(text) > maxForeignBytes:
		return nil, broker.Errorf(broker.TooLarge, "the XMPP stanza has %d bytes, more than the limit of %d", len(text), maxForeignBytes)
	}
	el, err := component.Parse([]byte(strings.TrimSpace(text)), component.Options{
		MaxStanza: maxForeignBytes, MaxDepth: maxForeignDepth, MaxElements: maxForeignElements, MaxAttributes: 16, MaxAttribute: 4 << 10,
	})
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the XMPP stanza cannot be sent: %v", err)
	}
	to, b, err := s.foreign(el)
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the XMPP stanza cannot be sent: %v", err)
	}
	if !slices.ContainsFunc(s.opts.Stanzas[i].To, func(match string) bool { return matchesUser(match, to) }) {
		return nil, broker.Errorf(broker.Forbidden, "items for %s may not carry an XMPP stanza to %s: no rule allows it", c, to.Bare())
	}
	if up, _ := s.gate.state(); !up {
		return nil, broker.Errorf(broker.Unavailable, "the link to the XMPP server is down")
	}
	return func() bool {
		if s.link.Send(b) != nil {
			s.count.stanzasLost.Add(1)
			return false
		}
		s.count.stanzas.Add(1)
		return true
	}, nil
}

// matchesUser tells whether a rule's match names a user.
func matchesUser(match string, to jid.JID) bool {
	match = strings.ToLower(match)
	return match == "*" || match == to.Bare().String() || match == "@"+to.Domainpart() && to.Localpart() != ""
}

// contents is what a message from outside can hold, by namespace: the names of elements, nil for any. It is a list of what is
// harmless. An event, a forwarded or delayed message that came from the service would be believed.
var contents = map[string][]string{
	"":                                      {"body", "subject", "thread"},
	nsJSON:                                  {"json"},
	"urn:xmpp:json-msg:0":                   {"payload"},
	"jabber:x:oob":                          {"x", "url", "desc"},
	"urn:xmpp:hints":                        nil,
	"urn:xmpp:receipts":                     {"request"},
	"http://jabber.org/protocol/chatstates": nil,
}

// foreign checks a message from outside and writes it anew.
func (s *Service) foreign(el *component.Element) (to jid.JID, b []byte, err error) {
	if el.Name.Local != "message" || el.Name.Space != "" && el.Name.Space != nsClient {
		return to, nil, fmt.Errorf("it is <%s/> of %s; only a <message/> can be", el.Name.Local, broker.Quote(el.Name.Space))
	}
	to, err = jid.Parse(el.Attr("to"))
	switch {
	case err != nil:
		return to, nil, fmt.Errorf("its to is no JID")
	case to.Domainpart() == s.domain:
		return to, nil, fmt.Errorf("it is to this very service")
	case strings.TrimSpace(el.Text) != "":
		return to, nil, fmt.Errorf("it has text outside of its elements")
	case len(el.Children) == 0:
		return to, nil, fmt.Errorf("it is empty")
	}
	typ, id, lang := el.Attr("type"), el.Attr("id"), language(el)
	switch typ {
	case "":
		typ = typeNormal
	case "chat", typeNormal, typeHeadline:
	default:
		return to, nil, fmt.Errorf("its type is %s; it must be chat, normal or headline", broker.Quote(typ))
	}
	if id == "" {
		id = rand.Text()
	}
	if len(id) > broker.MaxIDBytes || !plausibleLanguage(lang) {
		return to, nil, fmt.Errorf("its id is too long, or its xml:lang no language tag")
	}
	b = attr(attr(attr(attr([]byte("<message"), "type", typ), "id", id), "from", s.domain), "to", to.String())
	if lang != "" {
		b = attr(b, "xml:lang", lang)
	}
	b = append(b, '>')
	for _, c := range el.Children {
		if b, err = appendForeign(b, c, ""); err != nil {
			return to, nil, err
		}
	}
	return to, append(b, "</message>"...), nil
}

// appendForeign writes an element of a message, whose parent is of the namespace around.
func appendForeign(b []byte, el *component.Element, around string) ([]byte, error) {
	space := el.Name.Space
	if space == nsClient {
		space = ""
	}
	names, known := contents[space]
	if !known || names != nil && !slices.Contains(names, el.Name.Local) {
		return b, fmt.Errorf("it holds <%s/> of %s, which no message from here may", el.Name.Local, broker.Quote(el.Name.Space))
	}
	if space == "" && around != "" {
		return b, fmt.Errorf("<%s/> stands where it has no meaning", el.Name.Local)
	}
	b = append(append(b, '<'), el.Name.Local...)
	if space != around {
		b = attr(b, "xmlns", space)
	}
	for _, a := range el.Attrs {
		switch {
		case a.Name.Space == nsXML && a.Name.Local == "lang":
			b = attr(b, "xml:lang", a.Value)
		case a.Name.Space == "":
			b = attr(b, a.Name.Local, a.Value)
		default:
			return b, fmt.Errorf("<%s/> has an attribute of %s", el.Name.Local, broker.Quote(a.Name.Space))
		}
	}
	b = component.AppendText(append(b, '>'), el.Text)
	var err error
	for _, c := range el.Children {
		if b, err = appendForeign(b, c, space); err != nil {
			return b, err
		}
	}
	return append(append(append(b, "</"...), el.Name.Local...), '>'), nil
}

const nsClient = "jabber:client"
