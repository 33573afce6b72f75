package bench

import (
	"fmt"
	"strconv"
	"strings"
)

// voice publishes as a user of the XMPP server that is played here (XEP-0060 §7.1), with one item a stanza. The component's link belongs
// to a worker, which is told what to say there, and tells what came back.
type voice struct {
	out       *hand
	publisher int
	head      string // of a stanza, up to the number in its id
	rest      string // from there to the node's name
}

// newVoice gives a publisher a user of his own.
func newVoice(out *hand, publisher int, k Component) *voice {
	number := strconv.Itoa(publisher)
	return &voice{
		out: out, publisher: publisher,
		head: "<iq type='set' id='" + voiceMark + number + ".",
		rest: "' from='" + voiceMark + number + "@" + k.Host + "/bench' to='" + k.Domain + "'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='",
	}
}

// voiceMark is what the ids of published stanzas begin with, and those of subscriptions do not.
const voiceMark = "p"

// send publishes data, in which there is nothing to escape: payloads are letters, digits, quotes and braces.
func (v *voice) send(serial uint64, channel string, data []byte) error {
	return v.out.tell(order{Say: v.head + strconv.FormatUint(serial, 10) + v.rest + channel +
		"'><item><json xmlns='urn:xmpp:json:0'>" + string(data) + "</json></item></publish></pubsub></iq>"})
}

// close leaves the link to the worker, whose end is its own.
func (v *voice) close() {}

// said is the component's answer to a voice.
type said struct {
	Publisher int    `json:"p"`
	Serial    uint64 `json:"j"`
	Refused   string `json:"no,omitempty"`
	Over      string `json:"over,omitempty"` // why there will be no further answers
}

// toVoice makes what the component said to an id of a voice's; not ok if that is none.
func toVoice(id []byte) (s said, ok bool) {
	publisher, serial, ok := strings.Cut(strings.TrimPrefix(string(id), voiceMark), ".")
	p, bad := strconv.Atoi(publisher)
	j, worse := strconv.ParseUint(serial, 10, 64)
	return said{Publisher: p, Serial: j}, ok && bad == nil && worse == nil
}

// heard keeps an answer until it is told. f.mu is held.
func (f *fleet) heard(s said) {
	f.answers = append(f.answers, s)
	f.awaken()
}

// speak writes what a publisher says to the link.
func (f *fleet) speak(stanza string) {
	f.mu.Lock()
	r := f.roster
	f.mu.Unlock()
	if r == nil || r.over.Load() {
		return // publishers have been told, or hear of it in a moment
	}
	if err := r.link.send(stanza); err != nil {
		f.mu.Lock()
		f.unlinked(r, fmt.Errorf("writing to the component: %w", err))
		f.mu.Unlock()
	}
}
