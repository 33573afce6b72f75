package xmpp

import (
	"cmp"
	"strings"

	"mellium.im/xmpp/pubsub"
	"mellium.im/xmpp/stanza"

	"waft/xmpp/component"
)

// appendHead appends the start tag of an answer to st, up to where attributes may still follow.
func (s *Service) appendHead(b []byte, st *component.Stanza, kind, typ string) []byte {
	b = append(append(append(b, '<'), kind...), " type='"...)
	b = append(append(b, typ...), "' id='"...)
	b = append(component.AppendAttr(b, st.ID), "' from='"...)
	b = append(component.AppendAttr(b, s.addressed(st)), "' to='"...)
	return append(component.AppendAttr(b, st.From), '\'')
}

// addressed is what an answer to st comes from: the address st was sent to, or its sender could not match the two. But
// never one outside our domain, for which a server would close the link.
func (s *Service) addressed(st *component.Stanza) string {
	host := bare(st.To)
	if _, domain, ok := strings.Cut(host, "@"); ok {
		host = domain
	}
	if host != s.domain {
		return s.domain
	}
	return st.To
}

// appendError appends the answer to st that says what was wrong with it.
func (s *Service) appendError(b []byte, st *component.Stanza, e *stanzaError) []byte {
	b = s.appendHead(b, st, string(st.Kind), "error")
	b = append(append(b, '>'), e.payload...)
	b = append(append(append(b, "<error type='"...), e.typ...), "'><"...)
	b = append(append(b, e.condition...), " xmlns='"+stanza.NSError+"'/>"...)
	if e.text != "" {
		b = append(b, "<text xmlns='"+stanza.NSError+"' xml:lang='en'>"...)
		b = append(component.AppendText(b, e.text), "</text>"...)
	}
	app := e.other
	if e.app != pubsub.CondNone {
		app = e.app.String()
	}
	if app != "" {
		b = append(append(b, '<'), app...)
		b = append(append(append(b, " xmlns='"...), cmp.Or(e.space, pubsub.NSErrors)...), '\'')
		if e.feature != "" {
			b = append(append(append(b, " feature='"...), e.feature...), '\'')
		}
		b = append(b, "/>"...)
	}
	b = append(b, "</error></"...)
	return append(append(b, st.Kind...), '>')
}

// attr appends an attribute with a value of any text.
func attr(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), "='"...)
	return append(component.AppendAttr(b, value), '\'')
}
