package httppub

import (
	"bytes"
	"encoding/json"
	"time"

	"waft/broker"
)

// appendMessage appends a message as those who read histories get it:
//
//	{"id":"7","channel":"/chat/42","data":{"n":1},"time":"2026-01-02T15:04:05.678Z","position":"1x2y3z-12","publisher":"alice"}
//
// data is the publisher's own text; it is absent if the message has formats for other transports alone. publisher is absent
// if it is not known.
func appendMessage(b []byte, m *broker.Message) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, m.ID)
	b = append(b, `,"channel":"`...) // a channel has nothing to escape, a position neither
	b = append(b, m.Channel...)
	b = append(b, '"')
	if m.Data != nil {
		b = append(b, `,"data":`...)
		b = append(b, m.Data...)
	}
	b = append(b, `,"time":"`...)
	b = m.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","position":"`...)
	b = append(b, m.Position.String()...)
	b = append(b, '"')
	if m.Publisher != "" {
		b = append(b, `,"publisher":`...)
		b = appendText(b, m.Publisher)
	}
	return append(b, '}')
}

// appendText appends a string of JSON.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			_ = e.Encode(s) // a string always has a form
			return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// polled is the form that many waiting requests share: it is kept with the message, which the form of a history that
// anybody reads is not, because it would double what the history takes.
type polled struct{}

// EncodeMessage implements broker.Encoder.
func (polled) EncodeMessage(m *broker.Message) ([]byte, error) { return appendMessage(nil, m), nil }
