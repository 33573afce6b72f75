package ws

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/httppub/place"
)

// frame is what a client says.
type frame struct {
	kind string
	ref  json.RawMessage // as it was written; nil: none

	patterns []broker.Pattern // each once, in order
	since    string
	at       map[broker.Channel]broker.Position // seen, or positions

	channel broker.Channel // of a publish
	id      string
	data    json.RawMessage

	token string
}

// members says what a frame of each type may have, beside type and ref.
var members = map[string][]string{
	"auth":        {"token"},
	"subscribe":   {"channel", "channels", "since", "seen"},
	"unsubscribe": {"channel", "channels"},
	"publish":     {"channel", "data", "id"},
	"ack":         {"positions"},
	"ping":        {},
}

const (
	maxRef  = 64   // bytes, as it is written
	maxSeen = 1000 // channels in seen or positions
)

// parseFrame reads a frame. With an error, of kind Invalid or TooLarge, f has its ref, if that could be read.
func parseFrame(body []byte) (f frame, err error) {
	if f, ok := parseAck(body); ok {
		return f, nil
	}
	return parseJSON(body)
}

func parseJSON(body []byte) (f frame, err error) {
	text, err := broker.CompactJSON(body)
	if err != nil {
		return f, err
	}
	top := gjson.Parse(string(text))
	if !top.IsObject() {
		return f, broker.Errorf(broker.Invalid, `a frame must be a JSON object like {"type":"subscribe","channel":"/news"}`)
	}
	has := map[string]gjson.Result{}
	var twice string
	top.ForEach(func(key, value gjson.Result) bool {
		if _, known := has[key.Str]; known {
			twice = key.Str
		}
		has[key.Str] = value
		return true
	})
	if err = f.head(has); err != nil {
		return f, err
	}
	if twice != "" {
		return f, broker.Errorf(broker.Invalid, "the frame has the member %s twice", broker.Quote(twice))
	}
	for name := range has {
		if name != "type" && name != "ref" && !slices.Contains(members[f.kind], name) {
			return f, broker.Errorf(broker.Invalid, "a frame of type %s has no member %s", f.kind, broker.Quote(name))
		}
	}
	return f, f.body(has)
}

// head reads the ref and the type.
func (f *frame) head(has map[string]gjson.Result) error {
	if ref, ok := has["ref"]; ok {
		switch {
		case ref.Type != gjson.String && ref.Type != gjson.Number:
			return broker.Errorf(broker.Invalid, "the ref must be a string or a number")
		case len(ref.Raw) > maxRef:
			return broker.Errorf(broker.TooLarge, "the ref has more than %d bytes", maxRef)
		}
		f.ref = json.RawMessage(ref.Raw)
	}
	kind, ok := has["type"]
	switch {
	case !ok:
		return broker.Errorf(broker.Invalid, "the frame has no type; there are auth, subscribe, unsubscribe, publish, ack and ping")
	case kind.Type != gjson.String || members[kind.Str] == nil:
		return broker.Errorf(broker.Invalid, "the frame's type is %s; there are auth, subscribe, unsubscribe, publish, ack and ping", broker.Quote(kind.String()))
	}
	f.kind = strings.Clone(kind.Str)
	return nil
}

// body reads the members that a frame of the type has.
func (f *frame) body(has map[string]gjson.Result) (err error) {
	switch f.kind {
	case "auth":
		f.token, err = text(has, "token")
		if err == nil && f.token == "" {
			err = broker.Errorf(broker.Invalid, "the frame has no token")
		}
	case "subscribe":
		if err = f.names(has); err == nil {
			f.since, err = text(has, "since")
		}
		if err == nil {
			err = f.positions(has, "seen")
		}
	case "unsubscribe":
		err = f.names(has)
	case "publish":
		err = f.message(has)
	case "ack":
		err = f.positions(has, "positions")
		if err == nil && len(f.at) == 0 {
			err = broker.Errorf(broker.Invalid, `the frame acknowledges nothing; it needs "positions":{"/news":"…"}`)
		}
	}
	return err
}

// text is a member that must be a string if it is there.
func text(has map[string]gjson.Result, name string) (string, error) {
	v, ok := has[name]
	if ok && v.Type != gjson.String {
		return "", broker.Errorf(broker.Invalid, "%s must be a string", name)
	}
	return strings.Clone(v.Str), nil
}

// names reads channel and channels.
func (f *frame) names(has map[string]gjson.Result) error {
	one, isOne := has["channel"]
	list, isList := has["channels"]
	var all []gjson.Result
	switch {
	case isOne == isList:
		return broker.Errorf(broker.Invalid, `the frame needs either "channel":"/news" or "channels":["/news","/chat/**"]`)
	case isOne:
		all = []gjson.Result{one}
	case !list.IsArray():
		return broker.Errorf(broker.Invalid, "channels must be an array")
	default:
		if all = list.Array(); len(all) == 0 || len(all) > place.MostChannels {
			return broker.Errorf(broker.Invalid, "channels has %d entries; it can have 1 to %d", len(all), place.MostChannels)
		}
	}
	for _, v := range all {
		if v.Type != gjson.String {
			return broker.Errorf(broker.Invalid, "a channel must be a string")
		}
		p, err := broker.ParsePatternName(strings.Clone(v.Str))
		if err != nil {
			return err
		}
		if !slices.Contains(f.patterns, p) {
			f.patterns = append(f.patterns, p)
		}
	}
	return nil
}

// positions reads an object of positions by channel.
func (f *frame) positions(has map[string]gjson.Result, name string) (err error) {
	v, ok := has[name]
	if !ok {
		return nil
	}
	if !v.IsObject() {
		return broker.Errorf(broker.Invalid, `%s must be an object like {"/news":"…"}`, name)
	}
	f.at = map[broker.Channel]broker.Position{}
	v.ForEach(func(key, value gjson.Result) bool {
		var c broker.Channel
		var at broker.Position
		if c, err = broker.ParseName(strings.Clone(key.Str)); err != nil {
			return false
		}
		if at, err = broker.ParsePosition(value.Str); err == nil && at.IsZero() {
			err = broker.Errorf(broker.Invalid, "%s of %s is no position", name, c)
		}
		f.at[c] = at
		if err == nil && len(f.at) > maxSeen {
			err = broker.Errorf(broker.TooLarge, "%s has more than %d channels", name, maxSeen)
		}
		return err == nil
	})
	return err
}

// message reads a publish.
func (f *frame) message(has map[string]gjson.Result) (err error) {
	name, err := text(has, "channel")
	if err != nil {
		return err
	}
	if name == "" {
		return broker.Errorf(broker.Invalid, "the frame names no channel")
	}
	if f.channel, err = broker.ParseName(name); err != nil {
		return err
	}
	if f.id, err = text(has, "id"); err != nil {
		return err
	}
	data, ok := has["data"]
	if !ok {
		return broker.Errorf(broker.Invalid, "the frame has no data")
	}
	f.data = json.RawMessage(data.Raw) // a copy: what is kept must not keep the frame
	return nil
}

// isText tells whether a body is what a text frame may have. (RFC 6455 §8.1)
func isText(body []byte) bool { return utf8.Valid(body) }
