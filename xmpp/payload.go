package xmpp

import (
	"bytes"
	"fmt"
	"strings"

	"waft/broker"
	"waft/xmpp/component"
)

const nsJSON = "urn:xmpp:json:0" // XEP-0335

// payload takes the JSON out of an item: exactly one <json/> with nothing but text in it. The text is kept as it is,
// but for white space around it; whether it is JSON is for the broker to say.
func payload(item *component.Element, most int) ([]byte, error) {
	switch {
	case len(item.Children) == 0:
		return nil, errPayloadRequired
	case len(item.Children) > 1 || strings.TrimSpace(item.Text) != "":
		return nil, errInvalidPayload
	}
	p := item.Children[0]
	if p.Name.Space != nsJSON || p.Name.Local != "json" {
		return nil, errInvalidPayload.saying(fmt.Sprintf("the payload is %s of %s; it must be <json xmlns='%s'>",
			broker.Quote(p.Name.Local), broker.Quote(p.Name.Space), nsJSON))
	}
	text := strings.TrimSpace(p.Text)
	if text == "" || len(p.Children) > 0 {
		return nil, errInvalidPayload
	}
	return within(text, most)
}

// within is JSON that must not be longer than most; white space does not count.
func within(text string, most int) ([]byte, error) {
	data := []byte(text)
	if len(data) > most { // it may be white space that makes it so
		compact, err := broker.CompactJSON(data)
		if err != nil {
			return nil, errInvalidPayload.saying(broker.TextOf(err))
		}
		if data = compact; len(data) > most {
			return nil, errPayloadTooBig.saying(fmt.Sprintf("the payload has %d bytes, more than the limit of %d", len(data), most))
		}
	}
	return data, nil
}

// appendJSON appends compact JSON as character data. XML cannot carry U+FFFE and U+FFFF (XML 1.0 §2.2); in JSON they
// stand in strings only, where an escape means the same.
func appendJSON(b, data []byte) []byte {
	for {
		i := bytes.Index(data, []byte("\uFFFE"[:2])) // both begin with the same two bytes
		if i < 0 || len(data) < i+3 {
			return component.AppendText(b, data)
		}
		b = component.AppendText(b, data[:i])
		switch data[i+2] {
		case 0xBE:
			b = append(b, `\ufffe`...)
		case 0xBF:
			b = append(b, `\uffff`...)
		default:
			b = component.AppendText(b, data[i:i+3])
		}
		data = data[i+3:]
	}
}
