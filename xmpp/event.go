package xmpp

import (
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/pubsub"

	"waft/broker"
	"waft/xmpp/component"
)

// itemForm is a message as XEP-0060 writes an item, the same in events (§7.1.2.1) and answers (§6.5), or the notice
// that one was removed (§7.2.2.1). It is made once for each message, whoever is told of it. Neither service nor
// recipient is in it, so the links of a realm share it.
type itemForm uint8

const (
	// withPublisher names who published, if that is somebody with an address (XEP-0060 §7.1.2.3).
	withPublisher itemForm = 1 << iota
	// naked leaves out the payload: the node wants none delivered, or no stanza has room for it. Who gets such an item
	// can fetch the whole one.
	naked
)

// EncodeMessage implements broker.Encoder.
func (f itemForm) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Retracted {
		return append(attr([]byte("<retract"), "id", m.ID), "/>"...), nil
	}
	if m.Data == nil {
		return nil, broker.ErrSkip
	}
	const around = "<item id=''><json xmlns='" + nsJSON + "'></json></item>"
	b := make([]byte, 0, len(around)+len(m.ID)+len(m.Data)+len(m.Data)/16)
	b = attr(append(b, "<item"...), "id", m.ID)
	if f&withPublisher != 0 && isAddress(m.Publisher) {
		b = attr(b, "publisher", m.Publisher)
	}
	if f&naked != 0 {
		return append(b, "/>"...), nil
	}
	b = append(b, "><json xmlns='"+nsJSON+"'>"...)
	return append(appendJSON(b, m.Data), "</json></item>"...), nil
}

// isAddress tells whether the subject of a publisher is the bare JID of a user. Those of tokens may be anything.
func isAddress(subject string) bool {
	if !strings.Contains(subject, "@") {
		return false
	}
	j, err := jid.Parse(subject)
	return err == nil && j.Resourcepart() == "" && j.String() == subject
}

// itemWithin gives m's item in a form, naked if it is longer than most. The error is broker.ErrSkip.
func itemWithin(m *broker.Message, f itemForm, most int) ([]byte, error) {
	form, err := m.Encoded(f)
	if err == nil && len(form) > most {
		return m.Encoded(f | naked)
	}
	return form, err
}

// An event (XEP-0060 §12.4) is these, with what differs between them.
const (
	eventID    = "' id='"
	eventNode  = "'><event xmlns='" + pubsub.NSEvent + "'><items node='"
	eventItems = "'>"
	eventEnd   = "</items></event></message>"
)

// event writes one message's events. Only recipient, id and the spelling of the node change between them, so the
// parts stay and those three are exchanged. It belongs to the notifier.
type event struct {
	heads   [2][]byte // of a headline, of a normal message
	parts   [9][]byte
	channel []byte // of the message: no byte of a channel needs escaping
	id      []byte
}

// Places in event.parts.
const (
	partHead = 0
	partTo   = 1
	partID   = 3
	partNode = 5
	partItem = 7
)

func newEvent(domain string) *event {
	head := func(typ string) []byte {
		b := []byte("<message type='" + typ + "' from='")
		return append(component.AppendAttr(b, domain), "' to='"...)
	}
	return &event{heads: [2][]byte{head(typeHeadline), head(typeNormal)}, parts: [9][]byte{
		2: []byte(eventID), 4: []byte(eventNode), 6: []byte(eventItems), 8: []byte(eventEnd),
	}}
}

// about makes it an event of c with the item, nil for none.
func (e *event) about(c broker.Channel, item []byte, normal bool) {
	e.channel = append(e.channel[:0], c...)
	e.parts[partItem], e.parts[partHead] = item, e.heads[0]
	if normal {
		e.parts[partHead] = e.heads[1]
	}
}

// forSubscription gives the stanza for one subscriber; the parts are valid until the next call.
func (e *event) forSubscription(to []byte, slash bool, id []byte) [][]byte {
	e.parts[partTo], e.parts[partID], e.parts[partNode] = to, id, e.channel
	if !slash {
		e.parts[partNode] = e.channel[1:]
	}
	return e.parts[:]
}
