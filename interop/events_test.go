//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// event is one line of a driver's output; drivers/js/lines.mjs says how it
// comes about.
type event struct {
	// Ev is what happened: "ready" (subscribed to all that was asked for),
	// "published" (acknowledged), "failed" (neither), "message", "frame" (what
	// messages came in), "handshake", "connect", "subscribed" (to one channel, which a
	// client also does by itself after a reconnect), "sent" (a publish, with its id).
	Ev string `json:"ev"`

	Channel string `json:"channel"`

	// A message has its exact text. Where a client library hands out values,
	// it has the value, and the place where the text came: the number of a
	// frame and the position in it.
	Text  *string         `json:"text"`
	Value json.RawMessage `json:"value"`
	Place *struct {
		Frame int `json:"frame"`
		At    int `json:"at"`
	} `json:"place"`

	Transport string `json:"transport"` // of a connect
	ID        string `json:"id"`        // of what was sent
	Error     string `json:"error"`     // why something failed
	Status    int    `json:"status"`    // HTTP or Bayeux code of that, if any
}

// diary is what one client has done so far.
type diary struct {
	mu       sync.Mutex
	changed  chan struct{}       // closed and replaced with each event
	seen     map[string]int      // events by kind
	messages map[string][]string // texts by channel, in order of arrival
	channels map[string]bool     // subscribed to since the latest handshake
	frames   [][]json.RawMessage // data of each message of each frame
	failure  *event              // the latest that nobody has asked about
	broken   error               // the driver said what makes no sense

	transport string // of the latest connect
	sent      string // the latest publish's id
}

func newDiary() *diary {
	return &diary{
		changed:  make(chan struct{}),
		seen:     make(map[string]int),
		messages: make(map[string][]string),
		channels: make(map[string]bool),
	}
}

func (d *diary) take(e event, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		err = d.enter(e)
	}
	if err != nil && d.broken == nil {
		d.broken = err
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *diary) enter(e event) (err error) {
	d.seen[e.Ev]++
	switch e.Ev {
	case "message":
		var text string
		text, err = d.text(e)
		d.messages[e.Channel] = append(d.messages[e.Channel], text)
	case "frame":
		var messages []struct{ Data json.RawMessage }
		err = json.Unmarshal([]byte(*e.Text), &messages)
		data := make([]json.RawMessage, len(messages))
		for i, m := range messages {
			data[i] = m.Data
		}
		d.frames = append(d.frames, data)
	case "handshake":
		clear(d.channels)
	case "subscribed":
		d.channels[e.Channel] = true
	case "connect":
		d.transport = e.Transport
	case "sent":
		d.sent = e.ID
	case "failed":
		d.failure = &e
	}
	return err
}

// text finds the exact text of a message. A value that came with it must be
// what the text says; if not, the client delivered something else.
func (d *diary) text(e event) (string, error) {
	if e.Text != nil {
		return *e.Text, nil
	}
	if e.Place == nil {
		return "", fmt.Errorf("%s was delivered and never came over the wire", e.Value)
	}
	text := d.frames[e.Place.Frame][e.Place.At]
	var sent, delivered any
	if err := errors.Join(json.Unmarshal(text, &sent), json.Unmarshal(e.Value, &delivered)); err != nil {
		return "", fmt.Errorf("%s became %s: %w", text, e.Value, err)
	}
	if !reflect.DeepEqual(sent, delivered) {
		return "", fmt.Errorf("%s came over the wire and %s was delivered", text, e.Value)
	}
	return string(text), nil
}
