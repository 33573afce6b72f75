package ws

import (
	"bytes"
	"strings"

	"waft/broker"
)

const ackHead = `{"type":"ack","positions":{`

// parseAck reads an acknowledgement as nearly all clients write it, for there may be one for each message:
//
//	{"type":"ack","positions":{"/a":"1x2y3z-12","/b":"1x2y3z-7"}}
//
// False: it is written in another way, or is something else, or wrong, and parseJSON tells.
func parseAck(body []byte) (f frame, ok bool) {
	if !bytes.HasPrefix(body, []byte(ackHead)) {
		return f, false
	}
	rest := string(body[len(ackHead):])
	at := map[broker.Channel]broker.Position{}
	for {
		name, tail, ok := strings.Cut(rest, `":"`)
		text, tail, closed := strings.Cut(tail, `"`)
		if !ok || !closed || name == "" || name[0] != '"' {
			return f, false
		}
		c, err := broker.ParseName(name[1:]) // whose grammar has neither quotes nor escapes, as that of a position
		p, wrong := broker.ParsePosition(text)
		if at[c] = p; err != nil || wrong != nil || p.IsZero() || len(at) > maxSeen {
			return f, false
		}
		if tail == "}}" {
			return frame{kind: "ack", at: at}, true
		}
		if rest, ok = strings.CutPrefix(tail, ","); !ok {
			return f, false
		}
	}
}
