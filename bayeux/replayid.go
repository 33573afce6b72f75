package bayeux

import (
	"strconv"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// withReplayID is the data of an event in the shape that Salesforce's clients expect, where a rule asks for it: an object with
// data.event.replayId, the position as a number (broker.Position.Number).
//
//	{"text":"hi"}              {"text":"hi","event":{"replayId":75153932305}}
//	{"event":{"type":"x"}}     {"event":{"type":"x","replayId":75153932305}}
//	"hi"                       {"payload":"hi","event":{"replayId":75153932305}}
//
// The last is the shape of Salesforce's generic events. It is that of everything else which has no place for the number: an
// event without one would be repeated to everybody who resumes behind the event before it. A position without a number
// leaves the data as it is.
func withReplayID(data []byte, at broker.Position) []byte {
	n, ok := at.Number()
	if !ok {
		return data
	}
	const room = len(`{"payload":,"event":{"replayId":9007199254740991}}`)
	dst := make([]byte, 0, len(data)+room)
	event, ok := eventOf(data)
	switch {
	case !ok:
		dst = append(dst, `{"payload":`...)
		dst = append(dst, data...)
	case event.Raw == "":
		dst = append(dst, data[:len(data)-1]...)
	default:
		dst = append(dst, '{')
		gjson.ParseBytes(data).ForEach(func(key, value gjson.Result) bool {
			if key.Str == "event" {
				dst = appendKey(dst, key)
				dst = appendEvent(dst, value, n)
			} else {
				dst = append(appendKey(dst, key), value.Raw...)
			}
			return true
		})
		return append(dst, '}')
	}
	if len(dst) > len(`{`) {
		dst = append(dst, ',')
	}
	return append(appendEvent(append(dst, `"event":`...), event, n), '}')
}

// eventOf is the member event of an object, or nothing where there is none. ok is false if it has no place for a replayId: data
// is no object, event is none, or there are several.
func eventOf(data []byte) (event gjson.Result, ok bool) {
	object := gjson.ParseBytes(data)
	if !object.IsObject() {
		return event, false
	}
	several := false
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "event" {
			several = event.Exists()
			event = value
		}
		return !several
	})
	if several || event.Exists() && !event.IsObject() {
		return gjson.Result{}, false
	}
	return event, true
}

// appendEvent writes the members of event, which may be nothing, with the replayId n instead of theirs.
func appendEvent(dst []byte, event gjson.Result, n int64) []byte {
	dst = append(dst, '{')
	event.ForEach(func(key, value gjson.Result) bool {
		if key.Str != "replayId" {
			dst = append(appendKey(dst, key), value.Raw...)
		}
		return true
	})
	dst = appendKey(dst, gjson.Result{Raw: `"replayId"`})
	return append(strconv.AppendInt(dst, n, 10), '}')
}

// appendKey writes a key behind the brace or what stands there already.
func appendKey(dst []byte, key gjson.Result) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(append(dst, key.Raw...), ':')
}
