package component

import "mellium.im/xmpp/jid"

// Kind is one of the three stanzas of RFC 6120 §8.
type Kind string

// The kinds of stanza.
const (
	IQ       Kind = "iq"
	Message  Kind = "message"
	Presence Kind = "presence"
)

// Stanza is one inbound stanza. Nothing in it is checked beyond being XML within the limits: an unknown type, a missing
// id or an IQ without child is the handler's business.
//
// A stanza that broke a limit or is not XML still arrives, with Refused set, so that its sender can be told. Then
// Element holds the start tag's known attributes only, and ID, From, To may be empty.
type Stanza struct {
	Kind     Kind
	Type     string // as sent; "" when absent
	ID       string
	From, To string // as sent
	Lang     string // xml:lang

	// The addresses parsed. Servers accept JIDs that the stricter profile of RFC 7622 does not ('☃@example.org'), so
	// either may fail to parse in an otherwise good stanza.
	FromJID, ToJID jid.JID
	FromOK, ToOK   bool

	Element *Element
	Refused Reason // NotRefused for a whole stanza
}

// Payload returns the first child element, which for an IQ get or set is the request, or nil.
func (s *Stanza) Payload() *Element {
	if s.Element == nil || len(s.Element.Children) == 0 {
		return nil
	}
	return s.Element.Children[0]
}

// newStanza returns nil when el is not a stanza.
func newStanza(el *Element, jids *jidCache) *Stanza {
	kind := Kind(el.Name.Local)
	if el.Name.Space != nsComponent || kind != IQ && kind != Message && kind != Presence {
		return nil
	}
	s := &Stanza{Kind: kind, Element: el}
	for _, a := range el.Attrs {
		switch {
		case a.Name.Space == nsXML && a.Name.Local == "lang":
			s.Lang = a.Value
		case a.Name.Space != "":
		case a.Name.Local == "type":
			s.Type = a.Value
		case a.Name.Local == "id":
			s.ID = a.Value
		case a.Name.Local == "from":
			s.From = a.Value
		case a.Name.Local == "to":
			s.To = a.Value
		}
	}
	s.FromJID, s.FromOK = jids.parse(s.From)
	s.ToJID, s.ToOK = jids.parse(s.To)
	return s
}

// jidCache remembers parsed addresses: the profiles of RFC 7622 cost more than parsing the XML around them, and the same
// few senders come again and again. Owned by the read goroutine; emptied when full, so a flood of senders costs memory
// for a moment only.
type jidCache struct{ known map[string]jid.JID }

const (
	jidCacheSize = 1024
	jidCacheLen  = 256 // bytes; longer ones are parsed each time
)

func (c *jidCache) parse(s string) (jid.JID, bool) {
	if s == "" {
		return jid.JID{}, false
	}
	if j, ok := c.known[s]; ok {
		return j, true
	}
	j, err := jid.Parse(s)
	if err != nil {
		return jid.JID{}, false
	}
	if len(s) <= jidCacheLen {
		if c.known == nil || len(c.known) >= jidCacheSize {
			c.known = make(map[string]jid.JID)
		}
		c.known[s] = j
	}
	return j, true
}
