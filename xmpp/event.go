package xmpp

import (
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// itemForm is a message as XEP-0060 writes an item, the same in events (§7.1.2.1) and answers (§6.5), or the notice
// that one was removed (§7.2.2.1). It is made once for each message, whoever is told of it. Neither service nor
// recipient is in it, so the links of a realm share it.
type itemForm struct{}

// EncodeMessage implements broker.Encoder.
func (itemForm) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Retracted {
		return append(attr([]byte("<retract"), "id", m.ID), "/>"...), nil
	}
	if m.Data == nil {
		return nil, broker.ErrSkip
	}
	const around = "<item id=''><json xmlns='" + nsJSON + "'></json></item>"
	b := make([]byte, 0, len(around)+len(m.ID)+len(m.Data)+len(m.Data)/16)
	b = append(attr(append(b, "<item"...), "id", m.ID), "><json xmlns='"+nsJSON+"'>"...)
	return append(appendJSON(b, m.Data), "</json></item>"...), nil
}

// nakedForm is an item without its payload, for one that no stanza has room for: its reader can fetch it elsewhere.
type nakedForm struct{}

// EncodeMessage implements broker.Encoder.
func (nakedForm) EncodeMessage(m *broker.Message) ([]byte, error) {
	return append(attr([]byte("<item"), "id", m.ID), "/>"...), nil
}

// itemWithin gives m's item, naked if it is longer than most. The error is broker.ErrSkip.
func itemWithin(m *broker.Message, most int) ([]byte, error) {
	form, err := m.Encoded(itemForm{})
	if err == nil && len(form) > most {
		return m.Encoded(nakedForm{})
	}
	return form, err
}

// An event (XEP-0060 §12.4) is these, with what differs between them.
const (
	eventTo    = "<message type='headline' from='" // the service, escaped
	eventID    = "' id='"
	eventNode  = "'><event xmlns='" + pubsub.NSEvent + "'><items node='"
	eventItems = "'>"
	eventEnd   = "</items></event></message>"
)

// event writes one message's events. Only recipient, id and the spelling of the node change between them, so the
// parts stay and those three are exchanged. It belongs to the notifier.
type event struct {
	parts   [9][]byte
	channel []byte // of the message: no byte of a channel needs escaping
	id      []byte
}

// Places in event.parts.
const (
	partTo   = 1
	partID   = 3
	partNode = 5
	partItem = 7
)

func newEvent(domain string) *event {
	head := append(component.AppendAttr([]byte(eventTo), domain), "' to='"...)
	return &event{parts: [9][]byte{
		0: head, 2: []byte(eventID), 4: []byte(eventNode), 6: []byte(eventItems), 8: []byte(eventEnd),
	}}
}

// about makes it an event of c with the item.
func (e *event) about(c broker.Channel, item []byte) {
	e.channel = append(e.channel[:0], c...)
	e.parts[partItem] = item
}

// forSubscription gives the stanza for one subscriber; the parts are valid until the next call.
func (e *event) forSubscription(to []byte, slash bool, id []byte) [][]byte {
	e.parts[partTo], e.parts[partID], e.parts[partNode] = to, id, e.channel
	if !slash {
		e.parts[partNode] = e.channel[1:]
	}
	return e.parts[:]
}
