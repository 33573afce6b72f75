package bayeux

import (
	"errors"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// message is one Bayeux message as it came in. Its strings are parts of the body they were read from.
type message struct {
	notObject bool // an element that is no JSON object: everything else is empty

	channel      string // decoded; "" if it is missing or no string
	channelJSON  string // as written; "" if it is missing or no string
	id           string // as written: a JSON string or number; "" if there is none
	clientID     string // decoded; what is no string stands as written
	data         string // as written; "" if it is missing
	connType     string
	version      string
	timeout      time.Duration // the client's own advice.timeout; negative if it gave none
	subscription gjson.Result
	types        gjson.Result // supportedConnectionTypes
	ext          gjson.Result
}

var (
	errMalformed = errors.New("there is no Bayeux message and no array of them, as JSON or in a form field \"message\"")
	errTooMany   = errors.New("there are too many messages")
)

// parseBody reads the messages of a POST body: JSON, whatever the content type says, if it looks like it; else a form whose
// fields "message" hold JSON. So the forms of all known clients are met: application/json with any parameters
// and in any case, no type, and Faye's text/plain with "message=…" across origins.
func parseBody(dst []message, contentType, body string, limit int) ([]message, error) {
	if looksLikeJSON(body) || isJSONType(contentType) {
		return parseJSON(dst, body, limit)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return dst, errMalformed
	}
	return parseFields(dst, form["message"], limit)
}

// parseFields reads the fields "message" of a form, in order.
func parseFields(dst []message, fields []string, limit int) (_ []message, err error) {
	if len(fields) == 0 {
		return dst, errMalformed
	}
	for _, field := range fields {
		if dst, err = parseJSON(dst, field, limit); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func looksLikeJSON(body string) bool {
	body = strings.TrimLeft(body, " \t\r\n")
	return body != "" && (body[0] == '[' || body[0] == '{')
}

func isJSONType(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// parseJSON appends the messages of one JSON text, so that dst has at most limit. An array within the array, or
// anything else that is no object, becomes a message of its own, to be refused by itself; null is nothing.
func parseJSON(dst []message, text string, limit int) ([]message, error) {
	if m, ok := plainConnect(text); ok && len(dst) < limit {
		return append(dst, m), nil
	}
	return parseAnyJSON(dst, text, limit)
}

func parseAnyJSON(dst []message, text string, limit int) ([]message, error) {
	if !validJSON(text) {
		return dst, errMalformed
	}
	top := gjson.Parse(text)
	switch {
	case top.Type == gjson.Null:
		return dst, nil
	case top.IsObject():
		if len(dst) == limit {
			return dst, errTooMany
		}
		return appendMessage(dst, top), nil
	case !top.IsArray():
		return dst, errMalformed
	}
	var err error
	top.ForEach(func(_, element gjson.Result) bool {
		if element.Type == gjson.Null {
			return true
		}
		if len(dst) == limit {
			err = errTooMany
			return false
		}
		dst = appendMessage(dst, element)
		return true
	})
	return dst, err
}

// validJSON checks everything that gjson takes for granted.
func validJSON(text string) bool {
	return broker.IsJSON(text, broker.MaxJSONDepth+2) && utf8.ValidString(text)
}

func appendMessage(dst []message, v gjson.Result) []message {
	dst = append(dst, message{timeout: -1})
	m := &dst[len(dst)-1]
	if !v.IsObject() {
		m.notObject = true
		return dst
	}
	v.ForEach(func(key, v gjson.Result) bool {
		m.set(key.Str, v)
		return true
	})
	return dst
}

// set takes one member. Of repeated ones the last counts, as in JSON.parse. Members that waft does not know are dropped
// here: what is not read cannot be passed on.
func (m *message) set(key string, v gjson.Result) {
	switch key {
	case "channel":
		m.channel, m.channelJSON = "", ""
		if v.Type == gjson.String {
			m.channel, m.channelJSON = v.Str, v.Raw
		}
	case "id":
		m.id = ""
		if v.Type == gjson.String || v.Type == gjson.Number {
			m.id = v.Raw
		}
	case "clientId":
		switch v.Type {
		case gjson.String:
			m.clientID = v.Str
		case gjson.Null:
			m.clientID = ""
		default:
			m.clientID = v.Raw
		}
	case "data":
		m.data = v.Raw
	case "connectionType":
		m.connType = text(v)
	case "version":
		m.version = text(v)
	case "subscription":
		m.subscription = v
	case "supportedConnectionTypes":
		m.types = v
	case "ext":
		m.ext = v
	case "advice":
		m.timeout = -1
		if t := v.Get("timeout"); v.IsObject() && t.Type == gjson.Number {
			m.timeout = milliseconds(t.Num)
		}
	}
}

// text is a string's value, and of anything else what was written.
func text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Null:
		return ""
	default:
		return v.Raw
	}
}

// milliseconds reads a stranger's number: at least 0, at most a day.
func milliseconds(n float64) time.Duration {
	const day = 24 * time.Hour
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, float64(day/time.Millisecond)) * float64(time.Millisecond))
}
