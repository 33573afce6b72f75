package xmpp

import (
	"context"

	"mellium.im/xmpp/stanza"

	"waft/xmpp/component"
)

// message deals with what is sent to the service like a letter. An error may be a bounced event; an owner may answer a
// request to subscribe; a chat of somebody who manages the realm is a command (chat.go), and all others are told that nobody
// reads here; everything else (headlines, events of other services, messages that were refused) is passed over
// in silence, and so is an error, so that no two services talk for ever.
func (s *Service) message(ctx context.Context, st *component.Stanza, out []byte) []byte {
	switch {
	case st.Refused != component.NotRefused:
		return out
	case st.Type == "error":
		s.bounced(ctx, st)
		return out
	case st.Type == "headline" || st.Type == "groupchat":
		return out
	case authorizationIn(st) != nil:
		return s.authorization(ctx, st, out)
	}
	if st.Type == "chat" {
		if handled, why := s.chat(ctx, st); handled {
			return out
		} else if why != nil {
			return s.appendError(out, st, why)
		}
	}
	return s.appendError(out, st, errNotAChat) // RFC 6121 §5.2.2: an unknown type is normal
}

// bounced looks at an event that came back (XEP-0060 §12.4). A subscription whose address is gone for good ends. One
// of a user who is merely offline stays: servers bounce with service-unavailable then, whatever its type says. A full
// JID that is not there will not come back.
func (s *Service) bounced(ctx context.Context, st *component.Stanza) {
	if !st.FromOK || !s.sentEvent(st.ID, st.FromJID.String()) {
		s.count.strayBounces.Add(1)
		return
	}
	s.count.bounces.Add(1)
	bounce := st.Element.Child(st.Element.Name.Space, "error")
	has := func(c stanza.Condition) bool { return bounce.Child(stanza.NSError, string(c)) != nil }
	gone := has(stanza.Gone) || has(stanza.ItemNotFound)
	if !gone && st.FromJID.Resourcepart() != "" {
		gone = has(stanza.ServiceUnavailable)
	}
	if gone {
		s.dropAll(ctx, st.FromJID.String())
	}
}
