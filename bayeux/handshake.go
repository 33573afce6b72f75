package bayeux

import (
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
)

func (h *Handler) supports(connectionType string) bool {
	switch connectionType {
	case "websocket", "eventsource", "long-polling", "cross-origin-long-polling":
		return true
	case "callback-polling":
		return !h.opts.NoJSONP
	default:
		return false
	}
}

// types are the connection types in a handshake reply, as JSON. The client's own preference picks one.
func (h *Handler) types(streams bool) string {
	b := make([]byte, 0, 100)
	b = append(b, `["websocket",`...)
	if streams {
		b = append(b, `"eventsource",`...)
	}
	b = append(b, `"long-polling","cross-origin-long-polling"`...)
	if !h.opts.NoJSONP {
		b = append(b, `,"callback-polling"`...)
	}
	return string(append(b, ']'))
}

// handshake makes a session. Bayeux: /meta/handshake.
func (x *exchange) handshake(m *message) {
	r := reply{id: m.id, channel: jsonHandshake}
	asked := x.h.timeAsked(m)
	s, f, advice := x.greet(m)
	r.types = x.h.types(s == nil || s.ack == nil)
	if s != nil {
		r.clientID, r.successful = s.id(), true
		if s.ack != nil {
			r.addExt(jsonAck)
		}
		if s.placed {
			r.addExt(jsonReplay)
		}
	}
	r.fault, r.advice = f, advice
	r.addTime(x.h, asked)
	x.replies.add(&r)
}

func (x *exchange) greet(m *message) (*session, fault, string) {
	h := x.h
	if h.draining.Load() {
		h.counters.refuse(RefusedDraining)
		return nil, fault{503, "", "Server is stopping"}, h.advice.later()
	}
	if m.version == "" {
		return nil, missing("version"), h.advice.later()
	}
	if f := h.offered(m.types); !f.ok() {
		return nil, f, h.advice.later()
	}
	if f, advice := x.mayHandshake(); !f.ok() {
		return nil, f, advice
	}
	who, err := x.principal(m, nil)
	if err != nil {
		return nil, handshakeFault(err), x.afterHandshake(err)
	}
	if !h.addresses.enter(&caller{address: x.peer.address}, h.now(), h.limits.Load().sessions, (*address).sessionCount) {
		h.counters.refuse(RefusedAddressSessions)
		return nil, tooManySessions, x.later(time.Second)
	}
	s, err := h.open(who, x.peer.address, x.agreeAck(m), m.wantsReplay())
	if err != nil {
		h.counters.refuse(RefusedOverload)
		h.log.sampled(&h.log.session, "no session for a handshake", err)
		return nil, faultOf(err, ""), h.advice.later()
	}
	h.counters.handshakes.Add(1)
	if x.sock != nil {
		s.bindSocket(x.sock)
	}
	return s, fault{}, h.advice.retry
}

// handshakeFault words a credential that was refused, or could not be verified now.
func handshakeFault(err error) fault {
	if errors.Is(err, broker.ErrCredentialExpired) {
		return faultOf(err, "")
	}
	if broker.KindOf(err) == broker.Unauthenticated || broker.KindOf(err) == broker.Forbidden {
		return handshakeDenied
	}
	return faultOf(err, "")
}

// afterHandshake is the advice that goes with it: a bad token does not get better by coming back. One that has expired
// does, when the application has got a new one: a page that slept over night comes with the old one first.
func (x *exchange) afterHandshake(err error) string {
	switch kind := broker.KindOf(err); {
	case errors.Is(err, broker.ErrCredentialExpired):
		return x.later(2 * time.Second)
	case kind == broker.Unauthenticated || kind == broker.Forbidden:
		return x.h.advice.none
	default:
		return x.later(time.Second)
	}
}

// offered checks the client's connection types; one in common is enough, unknown ones do not matter.
func (h *Handler) offered(types gjson.Result) fault {
	if !types.IsArray() {
		return missing("supportedConnectionTypes")
	}
	var names []string
	common := false
	types.ForEach(func(_, v gjson.Result) bool {
		names = append(names, v.String())
		common = common || v.Type == gjson.String && h.supports(v.Str)
		return !common && len(names) < 20
	})
	if common {
		return fault{}
	}
	return typesNotSupported(strings.Join(names, ","))
}
