package httppub

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// buffers are what bodies are read into. Those that a large body has grown are not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBuffer = 64 << 10 // bytes

// readBody reads the request's body, which is JSON in UTF-8 when the error is nil. Errors: TooLarge, Invalid, errEncoding, errSlow.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.ContentLength > h.opts.MaxBody { // before a client that expects 100-continue sends it all
		return "", h.tooLarge()
	}
	from := http.MaxBytesReader(w, r.Body, h.opts.MaxBody)
	unpack, err := packed(r)
	if err != nil {
		return "", err
	}
	if unpack {
		from = &gunzip{from: from}
		defer from.Close()
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= keptBuffer {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	if unpack {
		_, err = buf.ReadFrom(io.LimitReader(from, h.opts.MaxBody+1))
	} else {
		_, err = buf.ReadFrom(from)
	}
	if err != nil {
		return "", h.readError(err)
	}
	if int64(buf.Len()) > h.opts.MaxBody {
		return "", h.tooLarge()
	}
	if err := checkJSON("body", buf.Bytes()); err != nil {
		return "", err
	}
	body := buf.String()
	if !utf8.ValidString(body) {
		return "", errNotUTF8(body)
	}
	return body, nil
}

// readError says what became of a body that could not be read.
func (h *handler) readError(err error) error {
	if _, ok := errors.AsType[*wireError](err); ok {
		return err
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return h.tooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	if bad := badGzip(err); bad != nil {
		return bad
	}
	return &broker.Error{Kind: broker.Invalid, Text: "the body broke off before its end", Err: err}
}

// errNotUTF8 finds the item that is not, if it is one.
func errNotUTF8(body string) error {
	at := 0
	for i, r := range body {
		if _, n := utf8.DecodeRuneInString(body[i:]); r == utf8.RuneError && n == 1 {
			at = i
			break
		}
	}
	bad := broker.Errorf(broker.Invalid, "the body is not valid UTF-8 (at byte %d)", at)
	var found error = bad
	i := 0
	gjson.Get(body, "items").ForEach(func(_, value gjson.Result) bool {
		if !utf8.ValidString(value.Raw) {
			found = &broker.BatchError{Index: i, Err: bad}
			return false
		}
		i++
		return true
	})
	return found
}

func (h *handler) tooLarge() error {
	return broker.Errorf(broker.TooLarge, "the body has more than the limit of %d bytes", h.opts.MaxBody)
}

// usualDepth is that of a body of items as deep as they may be, and some more. What is deeper is refused with the item, if it is one.
const usualDepth = broker.MaxJSONDepth + 8

// checkJSON checks that text, which errors call what, is one JSON value. It is the standard library's check and not gjson's, which
// recurses with the nesting (a megabyte of "[" grows its stack by hundreds) and does not say where the fault is.
func checkJSON(what string, text []byte) error {
	if broker.IsJSON(text, usualDepth) || json.Valid(text) {
		return nil
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return broker.Errorf(broker.Invalid, `the %s is empty; it must be a JSON object like {"items":[…]}`, what)
	}
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return broker.Errorf(broker.Invalid, "the %s is not valid JSON: %v (at byte %d)", what, syntax, syntax.Offset)
	}
	return broker.Errorf(broker.Invalid, "the %s is not valid JSON: %v", what, err)
}
