//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// payload is one JSON value to publish.
type payload struct {
	// text is what a publisher sends that has text in its hand: curl, slixmpp.
	text string

	// js is what a JavaScript publisher sends after JSON.parse and
	// JSON.stringify, where that is not the text without its white space. Such
	// a publisher is held to what it can express, and waft to what it sent.
	js string
}

// payloads are the JSON texts that somebody's software was seen to change.
//
// A lone surrogate ("\ud800") is absent: the JSON parser of Faye's Ruby client
// refuses it and the client then drops the whole frame without a word.
var payloads = []payload{
	{text: `{"nested":{"list":[1,{"deep":[[],{}]}],"yes":true,"no":false,"nil":null}}`},
	{text: `"日本語, ελληνικά, עברית"`},
	{text: `"🎉 👩‍👩‍👧 e` + "\u0301" + ` Å"`},                                  // pairs, joiners, combining marks
	{text: `"line` + "\u2028" + `paragraph` + "\u2029" + `end"`},             // legal in JSON, not in old JavaScript
	{text: `"\u00e9 \ud83c\udf89 \u2028"`, js: `"é 🎉 ` + "\u2028" + `"`},     // escapes need not be there, and must stay
	{text: `9007199254740993`, js: `9007199254740992`},                       // 2⁵³+1
	{text: `-9223372036854775808`, js: `-9223372036854776000`},               // the least 64-bit integer
	{text: `{"id":18446744073709551615}`, js: `{"id":18446744073709552000}`}, // the greatest unsigned one
	{text: `1.0`, js: `1`},
	{text: `[1.10,1E+2,1e-7,-0.0]`, js: `[1.1,100,1e-7,0]`},
	{text: `{"z":1,"a":2,"10":3,"2":4}`, js: `{"2":4,"10":3,"z":1,"a":2}`}, // order of the members
	{text: `"<&>\"'</script>]]>&amp;&#x41;"`},
	{text: `"tab\t nl\n cr\r nul\u0000 slash\/ back\\"`, js: `"tab\t nl\n cr\r nul\u0000 slash/ back\\"`},
	{text: `"  blanks  at  both  ends  "`},
	{text: `{ "white" : [ 1 , 2 ] }`}, // only white space outside strings may go
	{text: `""`},
	{text: `null`},
	{text: `[]`},
	{text: `{}`},
	{text: `true`},
	{text: `false`},
	{text: `0`},
	{text: `[1,"two",[3,[4]],{"five":5}]`},
	{text: `"` + strings.Repeat("long ", 1000) + `"`}, // past the short length forms of a WebSocket frame
}

// sequence is n payloads: the above in turn, every third place a numbered one,
// and at the end one that occurs once.
func sequence(n int) []payload {
	seq := make([]payload, 0, n)
	for i, turn := 0, 0; i < n-1; i++ {
		if i%3 == 0 {
			seq = append(seq, payload{text: fmt.Sprintf(`{"n":%d}`, i)})
			continue
		}
		seq = append(seq, payloads[turn%len(payloads)])
		turn++
	}
	return append(seq, payload{text: `{"last":true}`})
}

// exact is what a subscriber must see of p when its publisher sent text.
func (p payload) exact() string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(p.text)); err != nil {
		panic(fmt.Sprintf("the payload %s is not JSON: %v", p.text, err))
	}
	return compact.String()
}

// expressed is what a subscriber must see of p when its publisher is JavaScript.
func (p payload) expressed() string {
	if p.js != "" {
		return p.js
	}
	return p.exact()
}
