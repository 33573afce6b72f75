package bayeux

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/tidwall/gjson"
)

// Callback-polling, or JSONP: a page of another site asks by a script element, whose query holds the messages, and the answer is
// a program that calls one function of the page with the replies. Faye's client makes every handshake across origins so, even
// one that goes on over a WebSocket. (Bayeux 1.0, "callback-polling")

// defaultCallback is called when the query names no function.
const defaultCallback = "jsonpcallback"

// maxCallback is the length of the longest name that is called. Those of known clients have some twenty letters.
const maxCallback = 128

var errCallback = errors.New("the callback is not a name, or names joined by dots")

// serveCallback serves one request of a callback-polling client.
func (h *Handler) serveCallback(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.opts.NoJSONP:
		h.counters.refuse(RefusedMalformed)
		refuse(w, http.StatusForbidden, "callback-polling (JSONP) is switched off on this server")
		return
	case len(r.URL.RawQuery) > h.opts.MaxBody:
		h.counters.refuse(RefusedTooLarge)
		refuse(w, http.StatusRequestURITooLong, "the query is too long")
		return
	}
	x := h.newExchange(r.Context(), nil, nil)
	defer x.done()
	x.own = h.peerOf(r)
	x.peer = &x.own
	var err error
	x.messages, x.callback, err = parseQuery(x.messages, r.URL.RawQuery, h.opts.MaxBatch)
	x.serve(w, r, err)
}

// parseQuery reads the messages of a query, and the name of the function to call. A query is a form: a plus is a space, as
// Faye's client since 1.4.3 has it, and so is %20.
func parseQuery(dst []message, query string, limit int) (_ []message, callback string, err error) {
	form, err := url.ParseQuery(query)
	if err != nil {
		return dst, "", errMalformed
	}
	callback = cmp.Or(form.Get("jsonp"), defaultCallback)
	if !isCallback(callback) {
		return dst, "", errCallback
	}
	dst, err = parseFields(dst, form["message"], limit)
	return dst, callback, err
}

// isCallback tells whether name is one identifier, or several joined by dots. Everything else could be a program of
// the page that asks, and would be run with the rights of this server's origin if its answer were taken for a document.
func isCallback(name string) bool {
	if len(name) > maxCallback {
		return false
	}
	first := true // of an identifier
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_' || c == '$' || 'a' <= c|0x20 && c|0x20 <= 'z':
			first = false
		case first:
			return false
		case c == '.':
			first = true
		case c < '0' || c > '9':
			return false
		}
	}
	return !first
}

// appendCall appends the program that calls callback with array. The comment in front keeps the page from choosing how the
// answer begins: some plug-ins take a file for what its first bytes say.
func appendCall(b []byte, callback string, array []byte) []byte {
	b = append(b, "/**/"...)
	b = append(b, callback...)
	b = append(b, '(')
	b = appendScript(b, array)
	return append(b, ");"...)
}

// appendScript appends JSON as JavaScript that evaluates to what JSON.parse gives. They differ in three points: old browsers
// take U+2028 and U+2029 for line ends; "</script>" would end a script that is part of a page; and a member named
// __proto__ sets the prototype, and written twice is a syntax error, with which one message would cost a subscriber all
// that came in the same answer. A computed name is a name like any other.
func appendScript(b, json []byte) []byte {
	for {
		begin := bytes.IndexByte(json, '"')
		if begin < 0 {
			return append(b, json...)
		}
		b = append(b, json[:begin]...)
		end := begin + stringLen(json[begin:])
		text, rest := json[begin:end], json[end:]
		if isPrototype(text) && isName(rest) {
			b = append(append(append(b, '['), text...), ']')
		} else {
			b = appendScriptString(b, text)
		}
		json = rest
	}
}

// stringLen is the length of the JSON string at the beginning of json, with its quotes.
func stringLen(json []byte) int {
	for i := 1; i < len(json); i++ {
		switch json[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(json)
}

// isName tells whether the string before rest is the name of a member.
func isName(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

func isPrototype(text []byte) bool {
	const name = "__proto__"
	if bytes.IndexByte(text, '\\') >= 0 {
		return gjson.ParseBytes(text).Str == name
	}
	return len(text) == len(name)+2 && string(text[1:len(text)-1]) == name
}

func appendScriptString(b, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		switch rest := text[i:]; {
		case rest[0] == '<':
			b = append(b, `\u003c`...)
		case rest[0] == 0xe2 && bytes.HasPrefix(rest, []byte("\u2028")):
			b = append(b, `\u2028`...)
			i += 2
		case rest[0] == 0xe2 && bytes.HasPrefix(rest, []byte("\u2029")):
			b = append(b, `\u2029`...)
			i += 2
		default:
			b = append(b, rest[0])
		}
	}
	return b
}
