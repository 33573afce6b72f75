package broker

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Message is one publication. It is made by an adapter, handed to Publish, and immutable from then on: every
// session of every protocol shares the one value.
type Message struct {
	ID        string                     // the publisher's, or assigned by Publish
	Channel   Channel                    //
	Data      json.RawMessage            // valid compact JSON in the publisher's own text; nil if there are only Formats
	Formats   map[string]json.RawMessage // payloads meant for one transport, by its name ("http-stream"); nil for most
	Publisher string                     // the publishing principal's subject, "" if anonymous; set by Publish
	Time      time.Time                  // when Publish accepted it; set by Publish
	Position  Position                   // set by the engine

	// Retracted marks the notice that item ID was removed: no data, no place of its own in the history, and the
	// position of the message it followed.
	Retracted bool

	forms atomic.Pointer[form]
}

// Encoder turns a message into its bytes on one wire. It must be comparable (a pointer or an empty struct): the
// message remembers its forms by encoder.
type Encoder interface {
	EncodeMessage(m *Message) ([]byte, error)
}

// ErrSkip is an Encoder's word for "this message has no form on this wire, go on with the next".
var ErrSkip = errors.New("the message has no form on this wire")

// form is one encoding of a message; forms are a list because a message has one to three of them.
type form struct {
	encoder Encoder
	next    *form
	once    sync.Once
	bytes   []byte
	err     error
}

// Encoded gives the message as e writes it. e runs once per message, whoever asks first, however many sessions
// share it. The bytes are shared: read only.
func (m *Message) Encoded(e Encoder) ([]byte, error) {
	f := m.form(e)
	f.once.Do(func() { f.bytes, f.err = e.EncodeMessage(m) })
	return f.bytes, f.err
}

func (m *Message) form(e Encoder) *form {
	var fresh *form
	for {
		head := m.forms.Load()
		for f := head; f != nil; f = f.next {
			if f.encoder == e {
				return f
			}
		}
		if fresh == nil {
			fresh = &form{encoder: e}
		}
		fresh.next = head
		if m.forms.CompareAndSwap(head, fresh) {
			return fresh
		}
	}
}

// messageOverhead stands for the struct, its encodings' headers and its place in queues.
const messageOverhead = 256

// Size is what the message counts in byte limits: its texts and a fixed overhead.
func (m *Message) Size() int {
	n := messageOverhead + len(m.ID) + len(m.Channel) + len(m.Data)
	if len(m.Formats) > 0 {
		n += m.formatsSize()
	}
	return n
}

// formatsSize is a function of its own so that Size, of which every delivery asks a few times, is inlined.
func (m *Message) formatsSize() (n int) {
	for name, f := range m.Formats {
		n += len(name) + len(f)
	}
	return n
}
