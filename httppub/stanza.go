package httppub

import (
	"context"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// xmppStanza is the format that is a whole message for one XMPP user: its XML in a string, or in the member "content" of an
// object, as Fanout's libraries have it for other formats.
const xmppStanza = "xmpp-stanza"

// stanzas prepares the XMPP messages of a batch, by the item's number. One that cannot or may not be sent refuses the
// whole batch, before anything of it is published. That who asks may publish is asked first: what the rules for stanzas
// say is nobody else's business. Errors: *broker.BatchError.
func (r *Realm) stanzas(ctx context.Context, who broker.Principal, batch []broker.Publication) (map[int]func() bool, error) {
	var send map[int]func() bool
	for i, p := range batch {
		format, ok := p.Message.Formats[xmppStanza]
		if !ok {
			continue
		}
		out, err := r.stanza(ctx, who, p.Message.Channel, string(format))
		if err != nil {
			return nil, &broker.BatchError{Index: i, Err: err}
		}
		if send == nil {
			send = make(map[int]func() bool)
		}
		send[i] = out
	}
	return send, nil
}

func (r *Realm) stanza(ctx context.Context, who broker.Principal, c broker.Channel, format string) (func() bool, error) {
	if err := r.Broker.May(ctx, who, broker.ActPublish, broker.Pattern(c)); err != nil {
		return nil, err
	}
	if r.Stanza == nil {
		return nil, broker.Errorf(broker.Invalid, "the item has the format %s, and the realm has no XMPP link to send it over", xmppStanza)
	}
	text := gjson.Parse(format)
	if text.IsObject() {
		text = text.Get("content")
	}
	if text.Type != gjson.String {
		return nil, broker.Errorf(broker.Invalid, `%s must be a string of XML, or an object with it as "content", not %s`, xmppStanza, typeOf(gjson.Parse(format)))
	}
	return r.Stanza(c, text.Str)
}
