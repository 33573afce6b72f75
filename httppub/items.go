package httppub

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// otherFormats are the formats kept beside json-object, each for the transport it is meant for.
var otherFormats = []string{"http-stream", "http-response", "ws-message", "http-request", xmppStanza}

// parseItems turns a body, which must be valid JSON, into a batch: its items in order, all of them or an error. in is the
// channel that the address names, if it does; limit is the most items, 0 for no limit. What it returns shares no memory
// with body: a kept message must not keep the whole request it came in. Errors: Invalid, TooLarge, and for an item
// *broker.BatchError.
func parseItems(body string, in broker.Channel, limit int) ([]broker.Publication, error) {
	top := gjson.Parse(body)
	if !top.IsObject() {
		return nil, broker.Errorf(broker.Invalid, `the body must be a JSON object like {"items":[…]}, not %s`, typeOf(top))
	}
	var items gjson.Result
	top.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "items" {
			items = value
		}
		return true
	})
	if !items.Exists() {
		return nil, broker.Errorf(broker.Invalid, `the body has no "items"; it must be a JSON object like {"items":[…]}`)
	}
	if !items.IsArray() {
		return nil, broker.Errorf(broker.Invalid, `"items" must be an array, not %s`, typeOf(items))
	}
	var batch []broker.Publication
	var err error
	items.ForEach(func(_, value gjson.Result) bool {
		if limit > 0 && len(batch) == limit {
			err = broker.Errorf(broker.TooLarge, "the body has more items than the limit of %d", limit)
			return false
		}
		p, fault := parseItem(value, in)
		if fault != nil {
			err = &broker.BatchError{Index: len(batch), Err: fault}
			return false
		}
		batch = append(batch, p)
		return true
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// item is an item's fields as they stand in the body.
type item struct {
	channel, id, formats gjson.Result

	data    string // of json-object, or else fpp
	current bool   // data is json-object's, not fpp's
	others  map[string]json.RawMessage
}

func parseItem(value gjson.Result, in broker.Channel) (broker.Publication, error) {
	none := broker.Publication{}
	if !value.IsObject() {
		return none, broker.Errorf(broker.Invalid, "an item must be an object, not %s", typeOf(value))
	}
	var it item
	value.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "channel":
			it.channel = value
		case "id":
			it.id = value
		case "formats":
			it.formats = value
		default:
			it.take(key.Str, value.Raw)
		}
		return true
	})
	if it.formats.Exists() {
		if !it.formats.IsObject() {
			return none, broker.Errorf(broker.Invalid, `"formats" must be an object, not %s`, typeOf(it.formats))
		}
		it.formats.ForEach(func(key, value gjson.Result) bool {
			it.take(key.Str, value.Raw)
			return true
		})
	}
	return it.publication(in)
}

// take notes one format, and leaves what it does not know. Of two with one name the later call counts.
func (it *item) take(name, raw string) {
	switch name {
	case "json-object":
		it.data, it.current = raw, true
	case "fpp":
		if !it.current {
			it.data = raw
		}
	default:
		i := slices.Index(otherFormats, name)
		if i < 0 {
			return
		}
		if it.others == nil {
			it.others = map[string]json.RawMessage{}
		}
		it.others[otherFormats[i]] = json.RawMessage(raw)
	}
}

// publication is the item as the broker takes it.
func (it *item) publication(in broker.Channel) (p broker.Publication, err error) {
	m := &broker.Message{Formats: it.others}
	if m.Channel, err = it.target(in); err != nil {
		return p, err
	}
	if it.id.Exists() && it.id.Type != gjson.String {
		return p, broker.Errorf(broker.Invalid, `"id" must be a string, not %s`, typeOf(it.id))
	}
	m.ID = strings.Clone(it.id.Str)
	if it.data != "" {
		m.Data = json.RawMessage(it.data)
	} else if it.others == nil {
		return p, broker.Errorf(broker.Invalid, `the item has no known format; give it a "json-object"`)
	}
	// A client that repeats a request after a broken connection (Python's does) must not publish twice.
	return broker.Publication{Message: m, PublishOptions: broker.PublishOptions{IdempotencyKey: m.ID, Replace: m.ID != ""}}, nil
}

// target is the channel the item is for.
func (it *item) target(in broker.Channel) (broker.Channel, error) {
	switch {
	case !it.channel.Exists() && in != "":
		return in, nil
	case !it.channel.Exists():
		return "", broker.Errorf(broker.Invalid, `the item has no "channel"`)
	case it.channel.Type != gjson.String:
		return "", broker.Errorf(broker.Invalid, `"channel" must be a string, not %s`, typeOf(it.channel))
	case it.channel.Str == "":
		return "", broker.Errorf(broker.Invalid, `"channel" is empty`)
	}
	c, err := broker.ParseName(strings.Clone(it.channel.Str))
	if err != nil {
		return "", err
	}
	if in != "" && c != in {
		return "", broker.Errorf(broker.Invalid, "the item is for %s, but the address names %s", c, in)
	}
	return c, nil
}

// typeOf names a value's type in a sentence.
func typeOf(v gjson.Result) string {
	switch {
	case v.Type == gjson.Null:
		return "null"
	case v.Type == gjson.Number:
		return "a number"
	case v.Type == gjson.String:
		return "a string"
	case v.IsBool():
		return "a boolean"
	case v.IsArray():
		return "an array"
	default:
		return "an object"
	}
}
