package bayeux

import (
	"encoding/json"
	"strings"

	"waft/broker"
)

// publish gives a message to the broker. Everything whose channel is none of the protocol's own words comes here. Bayeux:
// event messages.
func (x *exchange) publish(m *message) {
	switch {
	case m.notObject:
		x.replies.add(&reply{fault: badMessage})
		return
	case m.channelJSON == "" || m.channel == "":
		x.refusePublish(m, nil, missing("channel"))
		return
	}
	// A publish may come without a session; the rules then decide about whoever sent it.
	var s *session
	if m.clientID != "" {
		var f fault
		if s, f = x.session(m); !f.ok() {
			x.refusePublish(m, nil, f)
			return
		}
	}
	if m.channel == "/meta" || strings.HasPrefix(m.channel, "/meta/") {
		x.refusePublish(m, s, forbiddenChannel(m.channel))
		return
	}
	channel, err := broker.ParseChannel(m.channel)
	if err != nil {
		x.refusePublish(m, s, invalidChannel(m.channel))
		return
	}
	if m.data == "" {
		x.refusePublish(m, s, missing("data"))
		return
	}
	if isService(m.channel) {
		// Bayeux: service channels are for the server, which has nothing to say to them; they are never broadcast.
		x.published(m, s)
		return
	}
	who, err := x.principal(m, s)
	if err == nil {
		err = x.publishOnce(m, s, who, channel)
	}
	if err != nil {
		if broker.KindOf(err) == broker.Internal {
			x.h.log.sampled(&x.h.log.body, "a publish failed", err)
		}
		x.refusePublish(m, s, faultOf(err, m.channel))
		return
	}
	x.published(m, s)
}

// publishOnce publishes, unless this session has published the very same message lately.
func (x *exchange) publishOnce(m *message, s *session, who broker.Principal, channel broker.Channel) error {
	out := &broker.Message{Channel: channel, Data: json.RawMessage(m.data)}
	if ext := allowedExt(m.ext.Raw, x.h.form.ext); ext != "" {
		out.Formats = map[string]json.RawMessage{extFormat: json.RawMessage(ext)}
	}
	if s == nil || m.id == "" {
		_, err := x.h.broker.Publish(x.ctx, who, out, broker.PublishOptions{})
		if err == nil {
			x.h.counters.published.Add(1)
		}
		return err
	}
	sum := x.h.window.sum(s, m)
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if x.h.window.has(sum, x.h.now()) {
		x.h.counters.duplicates.Add(1)
		return nil
	}
	if _, err := x.h.broker.Publish(x.ctx, who, out, broker.PublishOptions{}); err != nil {
		return err
	}
	x.h.counters.published.Add(1)
	x.h.window.add(sum, x.h.now())
	return nil
}

func (x *exchange) published(m *message, s *session) {
	r := reply{id: m.id, channel: m.channelJSON, successful: true}
	if s != nil {
		r.clientID = s.id()
	}
	x.replies.add(&r)
}

// refusePublish is refuse without the subscription, which is a subscribe reply's.
func (x *exchange) refusePublish(m *message, s *session, f fault) {
	r := reply{id: m.id, channel: m.channelJSON, fault: f}
	if s != nil {
		r.clientID = s.id()
	}
	x.replies.add(&r)
}

// isService tells whether a channel or pattern is one of the service channels.
func isService(name string) bool {
	return name == "/service" || strings.HasPrefix(name, "/service/")
}
