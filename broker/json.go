package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxJSONDepth is how deep arrays and objects may nest, on every protocol: deep enough for any document, and far
// from what would trouble a parser behind us.
const MaxJSONDepth = 128

// CompactJSON checks that src is one valid JSON value in valid UTF-8, nested at most MaxJSONDepth deep, and gives
// its text without insignificant white space. Nothing else changes: numbers, escapes, key order and repeated keys
// stay as they were written. The result is src itself when there was nothing to remove; else a copy.
// The error is of kind Invalid and names the place.
func CompactJSON(src []byte) (json.RawMessage, error) {
	if len(src) == 0 {
		return nil, Errorf(Invalid, "the JSON value is missing")
	}
	if !utf8.Valid(src) {
		return nil, Errorf(Invalid, "the JSON is not valid UTF-8")
	}
	scan := jsonScan[[]byte]{text: src}
	switch valid := scan.whole(MaxJSONDepth); {
	case scan.deep:
		return nil, Errorf(Invalid, "the JSON nests deeper than %d at byte %d", MaxJSONDepth, scan.at)
	case valid && !scan.spaces:
		return src, nil
	}
	var out bytes.Buffer
	out.Grow(len(src))
	if err := json.Compact(&out, src); err != nil {
		return nil, Errorf(Invalid, "the JSON is wrong%s: %s", place(src), err.Error())
	}
	return out.Bytes(), nil
}

// place says where src stops being JSON. json.Compact does not tell; decoding does.
func place(src []byte) string {
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(src, new(json.RawMessage)))
	if !ok {
		return ""
	}
	return fmt.Sprintf(" at byte %d", syntax.Offset)
}
