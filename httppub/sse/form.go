package sse

import (
	"encoding/json"

	"waft/broker"
	"waft/httppub/place"
)

// form is how a stream wants its events. What is of the message alone is made once, for all streams of the form; the id goes
// in front. Where a stream has one channel, the id is of the message alone too.
//
// It is one byte so that it is an interface without allocating.
type form uint8

const (
	plain  form = 1 << iota // data is the message's own, without channel, id and time
	byName                  // the event's type is the channel
	single                  // with the id of a stream that has this channel and no other
)

var _ broker.Encoder = form(0)

func (f form) has(part form) bool { return f&part != 0 }

// with is f with the part or without it.
func (f form) with(part form, on bool) form {
	if on {
		return f | part
	}
	return f &^ part
}

// idField stands before an id.
const idField = "id: "

// EncodeMessage implements broker.Encoder. Messages without data (payloads for other transports only) and notices of
// removal have no form here.
func (f form) EncodeMessage(m *broker.Message) ([]byte, error) {
	if m.Retracted || m.Data == nil {
		return nil, broker.ErrSkip
	}
	b := make([]byte, 0, 160+len(m.Channel)+len(m.ID)+len(m.Data))
	if f.has(single) {
		b = append(b, idField...)
		b = place.AppendSingle(b, m)
	}
	b = append(b, '\n') // of the id
	if f.has(byName) {
		b = append(append(append(b, "event: "...), m.Channel...), '\n')
	}
	b = append(b, "data: "...)
	if f.has(plain) {
		b = append(b, m.Data...) // compact JSON: it has no line ends
	} else {
		id, err := json.Marshal(m.ID)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `{"channel":"`...), m.Channel...) // its grammar leaves nothing to escape
		b = append(append(b, `","id":`...), id...)
		b = append(b, `,"time":"`...)
		b = m.Time.UTC().AppendFormat(b, timeLayout)
		b = append(append(b, `","data":`...), m.Data...)
		b = append(b, '}')
	}
	return append(b, "\n\n"...), nil
}

const timeLayout = "2006-01-02T15:04:05.000Z07:00" // RFC 3339, to the millisecond

// append appends the events of ds.
func (f form) append(dst []byte, ds []broker.Delivery) []byte {
	for _, d := range ds {
		if b, err := d.Message.Encoded(f); err == nil {
			dst = append(dst, b...)
		}
	}
	return dst
}
