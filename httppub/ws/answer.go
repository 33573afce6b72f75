package ws

import (
	"encoding/json"
	"errors"
	"time"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// answer is what a client is told, beside messages. Type says what: authenticated, subscribed, unsubscribed, published, acked, pong,
// place, lost, error.
type answer struct {
	Type string          `json:"type"`
	Ref  json.RawMessage `json:"ref,omitempty"` // of the frame that it answers, or, of a place or a loss, of the subscribe

	Channels []broker.Pattern `json:"channels,omitempty"`
	Resumed  *bool            `json:"resumed,omitempty"`
	Lost     []broker.Pattern `json:"lost,omitempty"`
	Place    string           `json:"place,omitempty"`

	Channel   broker.Channel `json:"channel,omitempty"`
	ID        string         `json:"id,omitempty"`
	Position  string         `json:"position,omitempty"`
	Duplicate bool           `json:"duplicate,omitempty"`

	Subject string     `json:"subject,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`

	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// frame is the answer as it goes out.
func (a *answer) frame() []byte {
	text, err := json.Marshal(a)
	if err != nil {
		return nil // a ref is valid JSON, and the rest texts
	}
	return wsframe.Append(nil, wsframe.Text, string(text))
}

// tell sends a behind the messages that wait.
func (s *socket) tell(a *answer) {
	_ = s.conn.Load().Write(a.frame()) // a failed write is a failed read soon
}

// fail tells what is wrong with f.
func (s *socket) fail(f *frame, err error) {
	s.h.counters.failed[broker.KindOf(err)].Add(1)
	a := problem(err)
	a.Type, a.Ref = "error", f.ref
	s.tell(&a)
}

// problem has the code and the words of err.
func problem(err error) answer {
	if one, ok := errors.AsType[*broker.BatchError](err); ok { // its number is of no use to somebody who named channels
		err = one.Err
	}
	return answer{Code: broker.KindOf(err).String(), Message: broker.TextOf(err)}
}
