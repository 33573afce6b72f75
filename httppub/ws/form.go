package ws

import (
	"encoding/json"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// form is a message's form on this door: a finished WebSocket text frame. It is made once per message and shared by every socket.
//
//	{"type":"message","channel":"/chat/42","id":"7","position":"1x2y3z-12","time":"2026-01-02T15:04:05.678Z","data":{"n":1}}
type form struct{}

var _ broker.Encoder = form{}

const timeLayout = "2006-01-02T15:04:05.000Z07:00" // RFC 3339, to the millisecond

// EncodeMessage implements broker.Encoder. Messages without data (payloads for other transports only) and notices of removal have no form
// here.
func (form) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Retracted || m.Data == nil {
		return nil, broker.ErrSkip
	}
	id, err := json.Marshal(m.ID)
	if err != nil {
		return nil, err
	}
	var buf [96]byte
	tail := append(append(buf[:0], `,"position":"`...), m.Position.String()...)
	tail = append(tail, `","time":"`...)
	tail = append(m.Time.UTC().AppendFormat(tail, timeLayout), `","data":`...)
	const head, middle = `{"type":"message","channel":"`, `","id":`
	n := len(head) + len(m.Channel) + len(middle) + len(id) + len(tail) + len(m.Data) + len(`}`)
	b := wsframe.AppendHeader(make([]byte, 0, wsframe.MaxHeader+n), wsframe.Text, n)
	b = append(append(b, head...), m.Channel...) // its grammar leaves nothing to escape
	b = append(append(b, middle...), id...)
	b = append(append(b, tail...), m.Data...)
	return append(b, '}'), nil
}

// append appends the frames of ds.
func (f form) append(dst []byte, ds []broker.Delivery) []byte {
	for _, d := range ds {
		if b, err := d.Message.Encoded(f); err == nil {
			dst = append(dst, b...)
		}
	}
	return dst
}
