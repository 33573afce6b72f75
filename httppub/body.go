package httppub

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"waft/broker"
)

// buffers are what bodies are read into. Those that a large body has grown are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBuffer = 64 << 10 // bytes

// readBody reads the request's body, which is JSON when the error is nil. Errors: TooLarge, Invalid, errEncoding.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request) (string, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return "", errEncoding
	}
	if r.ContentLength > h.opts.MaxBody { // before a client that expects 100-continue sends it all
		return "", h.tooLarge()
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= keptBuffer {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, h.opts.MaxBody)); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return "", h.tooLarge()
		}
		return "", &broker.Error{Kind: broker.Invalid, Text: "the body broke off before its end", Err: err}
	}
	if err := checkJSON(buf.Bytes()); err != nil {
		return "", err
	}
	return buf.String(), nil
}

func (h *handler) tooLarge() error {
	return broker.Errorf(broker.TooLarge, "the body has more than the limit of %d bytes", h.opts.MaxBody)
}

// checkJSON checks that body is one JSON value. It is the standard library's check and not gjson's, which recurses with
// the nesting (a megabyte of "[" grows its stack by hundreds) and does not say where the fault is.
func checkJSON(body []byte) error {
	if json.Valid(body) {
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return broker.Errorf(broker.Invalid, `the body is empty; it must be a JSON object like {"items":[…]}`)
	}
	var value json.RawMessage
	err := json.Unmarshal(body, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return broker.Errorf(broker.Invalid, "the body is not valid JSON: %v (at byte %d)", syntax, syntax.Offset)
	}
	return broker.Errorf(broker.Invalid, "the body is not valid JSON: %v", err)
}
