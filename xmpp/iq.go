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
	user    string                    // the sender's bare JID; "" if RFC 7622 does not allow it
	out     []byte                    // the reply so far
	after   func(ctx context.Context) // what is left to do when the answer has been sent; nil for most
}

// then adds to what is done after the answer.
func (r *request) then(do func(ctx context.Context)) {
	before := r.after
	r.after = func(ctx context.Context) {
		if before != nil {
			before(ctx)
		}
		do(ctx)
	}
}

// handler does what a request asks and appends the payload of the result to r.out. On an error what it appended is
// forgotten, and the error is the answer.
type handler func(s *Service, ctx context.Context, r *request) error

// verb is a request that the service knows, by the type of the iq; nil is a type that it is not made with.
type verb struct {
	get, set handler
	beside   string // the one element of pubsub that may stand beside it; "" for none
}

// handler is who does it.
func (v verb) handler(typ string) (handler, error) {
	do := v.get
	if typ == "set" {
		do = v.set
	}
	if do == nil {
		return nil, errWrongType
	}
	return do, nil
}

// requests are the payloads that are understood, but for pubsub's own.
var requests = map[xml.Name]verb{
	{Space: disco.NSInfo, Local: "query"}:  {get: (*Service).discoInfo},
	{Space: disco.NSItems, Local: "query"}: {get: (*Service).discoItems},
	{Space: ping.NS, Local: "ping"}:        {get: (*Service).ping},
	{Space: version.NS, Local: "query"}:    {get: (*Service).version},
	{Space: xtime.NS, Local: "time"}:       {get: (*Service).time},
	{Space: nsCommands, Local: "command"}:  {set: (*Service).command},
	{Space: nsArchive, Local: "query"}:     {get: (*Service).archiveForm, set: (*Service).archive},
	{Space: nsArchive, Local: "metadata"}:  {get: (*Service).archiveMetadata},
}

// isRequest tells an iq that must be answered. RFC 6120 §8.2.3: an iq of an unknown type is a request gone wrong.
func isRequest(st *component.Stanza) bool {
	return st.Kind == component.IQ && st.Type != "result" && st.Type != "error"
}

// iq appends the answer to an iq. RFC 6120 §8.2.3: exactly one answer to a get or set, none to anything else. after, if
// it is not nil, is to be called when the answer has been sent.
func (s *Service) iq(ctx context.Context, st *component.Stanza, out []byte) (answer []byte, after func(context.Context)) {
	if !isRequest(st) {
		return out, nil
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
		return s.appendError(r.out[:0], st, e), r.after // a list may have been done in part
	}
	s.count.request(nil)
	return append(r.out, "</iq>"...), r.after
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
		r.user = r.FromJID.Bare().String()
		r.who = s.opts.Principal(r.user)
	}
	switch r.payload.Name.Space {
	case pubsub.NS:
		return s.pubsub(ctx, r)
	case pubsub.NSOwner:
		return s.pubsubOwner(ctx, r)
	}
	v, ok := requests[r.payload.Name]
	if !ok {
		return errUnknownRequest
	}
	do, err := v.handler(r.Type)
	if err != nil {
		return err
	}
	return do(s, ctx, r)
}
