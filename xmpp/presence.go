package xmpp

import (
	"context"

	"waft/xmpp/component"
)

// presence answers what must be answered (RFC 6121 §3.1.3, §4.3) and nothing else, or two services would never stop.
// The service is open to everybody and always available. A client's farewell ends what it subscribed to with its full
// JID: nobody would be there to read it, and the resource may come back as somebody else.
func (s *Service) presence(ctx context.Context, st *component.Stanza, out []byte) []byte {
	if st.Refused != component.NotRefused {
		return out
	}
	switch st.Type {
	case "subscribe":
		// Unanswered, Prosody asks again at each login.
		if s.addressed(st) != s.domain {
			return s.appendPresence(out, st, "unsubscribed")
		}
		return s.appendPresence(out, st, "subscribed")
	case "unsubscribe":
		return s.appendPresence(out, st, "unsubscribed")
	case "probe":
		if s.addressed(st) == s.domain {
			return s.appendPresence(out, st, "")
		}
	case "unavailable":
		if st.FromOK && st.FromJID.Resourcepart() != "" {
			s.dropAll(ctx, st.FromJID.String())
		}
	}
	return out
}

// appendPresence appends a presence to the user st came from; typ "" is available.
func (s *Service) appendPresence(b []byte, st *component.Stanza, typ string) []byte {
	b = append(b, "<presence"...)
	if typ != "" {
		b = attr(b, "type", typ)
	}
	b = attr(attr(b, "from", s.addressed(st)), "to", bare(st.From))
	return append(b, "/>"...)
}
