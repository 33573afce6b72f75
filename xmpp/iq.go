package xmpp

import (
	"context"
	"encoding/xml"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/pubsub"
	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"

	"waft/broker"
	"waft/xmpp/component"
)

// request is an iq get or set on its way through a handler. It belongs to one worker.
type request struct {
	*component.Stanza
	payload *component.Element // the iq's child
	verb    *component.Element // of pubsub: the child of that
	who     broker.Principal
	out     []byte // the reply so far
}

// handler does what a request asks and appends the payload of the result to r.out. On an error what it appended is
// forgotten, and the error is the answer.
type handler func(s *Service, ctx context.Context, r *request) error

// verb is a request that the service knows.
type verb struct {
	set bool // type set; else get
	do  handler
}

// requests are the payloads that are understood, but for pubsub's own.
var requests = map[xml.Name]verb{
	{Space: disco.NSInfo, Local: "query"}:  {do: (*Service).discoInfo},
	{Space: disco.NSItems, Local: "query"}: {do: (*Service).discoItems},
	{Space: ping.NS, Local: "ping"}:        {do: (*Service).ping},
	{Space: version.NS, Local: "query"}:    {do: (*Service).version},
	{Space: xtime.NS, Local: "time"}:       {do: (*Service).time},
}

// isRequest tells an iq that must be answered. RFC 6120 §8.2.3: an iq of an unknown type is a request gone wrong.
func isRequest(st *component.Stanza) bool {
	return st.Kind == component.IQ && st.Type != "result" && st.Type != "error"
}

// iq appends the answer to an iq. RFC 6120 §8.2.3: exactly one answer to a get or set, none to anything else.
func (s *Service) iq(ctx context.Context, st *component.Stanza, out []byte) []byte {
	if !isRequest(st) {
		return out
	}
	r := &request{Stanza: st, out: s.appendHead(out, st, "iq", "result")}
	r.out = append(r.out, '>')
	err := s.answer(ctx, r)
	if err == nil && len(r.out)+len("</iq>") > s.opts.Link.MaxOutStanza {
		err = errAnswerTooBig
	}
	if err != nil {
		e := s.toStanzaError(err)
		s.count.request(e)
		return s.appendError(r.out[:0], st, e)
	}
	s.count.request(nil)
	return append(r.out, "</iq>"...)
}

// answer finds the handler of a request.
func (s *Service) answer(ctx context.Context, r *request) error {
	switch {
	case r.Refused != component.NotRefused:
		return refusal(r.Refused)
	case r.Type != "get" && r.Type != "set":
		return errIQType
	case len(r.Element.Children) != 1:
		return errIQPayload
	}
	r.payload = r.Element.Children[0]
	if r.To != s.domain && !(r.ToOK && r.ToJID.String() == s.domain) {
		// The service has neither users nor resources. XEP-0030 §8: the same answer whatever is asked.
		return errNobodyThere
	}
	if r.FromOK { // a stranger's name that RFC 7622 does not allow is nobody's in particular
		r.who = s.opts.Principal(r.FromJID.Bare().String())
	}
	switch r.payload.Name.Space {
	case pubsub.NS:
		return s.pubsub(ctx, r)
	case pubsub.NSOwner:
		return s.pubsubOwner(r)
	}
	v, ok := requests[r.payload.Name]
	switch {
	case !ok:
		return errUnknownRequest
	case v.set != (r.Type == "set"):
		return errWrongType
	}
	return v.do(s, ctx, r)
}
