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

// batch is what a request publishes.
type batch struct {
	items []broker.Publication
	prev  []string // by the item's number, the id of the one that it follows or ""; nil: none follows any
}

// follows is the id of the item that item i follows.
func (b *batch) follows(i int) string {
	if b.prev == nil {
		return ""
	}
	return b.prev[i]
}

func (b *batch) add(p broker.Publication, prev string) {
	if prev != "" && b.prev == nil {
		b.prev = make([]string, len(b.items), max(cap(b.items), len(b.items)+1))
	}
	b.items = append(b.items, p)
	if b.prev != nil {
		b.prev = append(b.prev, prev)
	}
}

// parseItems turns a body, which must be valid JSON, into a batch: its items in order, all of them or an error. in is the
// channel that the address names, if it does; limit is the most items, 0 for no limit. What it returns shares no memory
// with body: a kept message must not keep the whole request it came in. Errors: Invalid, TooLarge, and for an item
// *broker.BatchError.
func parseItems(body string, in broker.Channel, limit int) (b batch, err error) {
	top := gjson.Parse(body)
	if !top.IsObject() {
		return b, broker.Errorf(broker.Invalid, `the body must be a JSON object like {"items":[…]}, not %s`, typeOf(top))
	}
	var items gjson.Result
	top.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "items" {
			if items.Exists() {
				err = errTwice("items")
			}
			items = value
		}
		return err == nil
	})
	if err != nil {
		return b, err
	}
	if !items.Exists() {
		return b, broker.Errorf(broker.Invalid, `the body has no "items"; it must be a JSON object like {"items":[…]}`)
	}
	if !items.IsArray() {
		return b, broker.Errorf(broker.Invalid, `"items" must be an array, not %s`, typeOf(items))
	}
	items.ForEach(func(_, value gjson.Result) bool {
		if limit > 0 && len(b.items) == limit {
			err = broker.Errorf(broker.TooLarge, "the body has more items than the limit of %d", limit)
			return false
		}
		p, prev, fault := parseItem(value, in)
		if fault != nil {
			err = &broker.BatchError{Index: len(b.items), Err: fault}
			return false
		}
		b.add(p, prev)
		return true
	})
	if err != nil {
		return batch{}, err
	}
	return b, nil
}

func errTwice(field string) error {
	return broker.Errorf(broker.Invalid, "%q occurs twice in one object; which of the two counts?", field)
}

// item is an item's fields as they stand in the body.
type item struct {
	channel, id, prev, formats gjson.Result

	data    string // of json-object, or else fpp
	current bool   // data is json-object's, not fpp's
	others  map[string]json.RawMessage
}

// parseItem reads one item, and the id of the one that it follows. What the fields that are not known hold, and how often they
// occur, is nobody's business.
func parseItem(value gjson.Result, in broker.Channel) (p broker.Publication, prev string, err error) {
	if !value.IsObject() {
		return p, "", broker.Errorf(broker.Invalid, "an item must be an object, not %s", typeOf(value))
	}
	var it item
	var seen fields
	value.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "channel":
			err = it.set(&it.channel, "channel", value)
		case "id":
			err = it.set(&it.id, "id", value)
		case "prev-id":
			err = it.set(&it.prev, "prev-id", value)
		case "formats":
			err = it.set(&it.formats, "formats", value)
		default:
			err = it.take(key.Str, value.Raw, &seen)
		}
		return err == nil
	})
	if err != nil {
		return p, "", err
	}
	if it.formats.Exists() {
		if !it.formats.IsObject() {
			return p, "", broker.Errorf(broker.Invalid, `"formats" must be an object, not %s`, typeOf(it.formats))
		}
		seen = 0
		it.formats.ForEach(func(key, value gjson.Result) bool {
			err = it.take(key.Str, value.Raw, &seen)
			return err == nil
		})
		if err != nil {
			return p, "", err
		}
	}
	return it.publication(in)
}

func (it *item) set(field *gjson.Result, name string, value gjson.Result) error {
	if field.Exists() {
		return errTwice(name)
	}
	*field = value
	return nil
}

// fields is a set of formats: those of one object.
type fields uint16

func (f *fields) add(i int, name string) error {
	if *f&(1<<i) != 0 {
		return errTwice(name)
	}
	*f |= 1 << i
	return nil
}

// take notes one format, and leaves what it does not know. Of two with one name the later call counts.
func (it *item) take(name, raw string, seen *fields) error {
	switch name {
	case "json-object":
		it.data, it.current = raw, true
		return seen.add(0, name)
	case "fpp":
		if !it.current {
			it.data = raw
		}
		return seen.add(1, name)
	}
	i := slices.Index(otherFormats, name)
	if i < 0 {
		return nil
	}
	if it.others == nil {
		it.others = map[string]json.RawMessage{}
	}
	it.others[otherFormats[i]] = json.RawMessage(raw)
	return seen.add(2+i, name)
}

// publication is the item as the broker takes it, and the id of the one that it follows.
func (it *item) publication(in broker.Channel) (p broker.Publication, prev string, err error) {
	m := &broker.Message{Formats: it.others}
	if m.Channel, err = it.target(in); err != nil {
		return p, "", err
	}
	if it.id.Exists() && it.id.Type != gjson.String {
		return p, "", broker.Errorf(broker.Invalid, `"id" must be a string, not %s`, typeOf(it.id))
	}
	if it.prev.Exists() && it.prev.Type != gjson.String {
		return p, "", broker.Errorf(broker.Invalid, `"prev-id" must be a string, not %s`, typeOf(it.prev))
	}
	if n := len(it.prev.Str); n > broker.MaxIDBytes {
		return p, "", broker.Errorf(broker.TooLarge, `"prev-id" has %d bytes, more than the limit of %d`, n, broker.MaxIDBytes)
	}
	m.ID = strings.Clone(it.id.Str)
	if it.data != "" {
		m.Data = json.RawMessage(it.data)
	} else if it.others == nil {
		return p, "", broker.Errorf(broker.Invalid, `the item has no known format; give it a "json-object"`)
	}
	// A client that repeats a request after a broken connection (Python's does) must not publish twice.
	p = broker.Publication{Message: m, PublishOptions: broker.PublishOptions{IdempotencyKey: m.ID, Replace: m.ID != ""}}
	return p, it.prev.Str, nil
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
