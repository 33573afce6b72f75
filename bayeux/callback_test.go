package bayeux

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// callbackGrammar is Faye's pattern of a callback.
var callbackGrammar = regexp.MustCompile(`(?i)^[a-z_$][a-z0-9_$]*(\.[a-z_$][a-z0-9_$]*)*$`)

func TestIsCallback(t *testing.T) {
	for name, want := range map[string]bool{
		"__jsonp1__": true, "_cometd_jsonp_0": true, "jQuery19_17": true, "a.b.c": true, "$x": true, "$": true, "Z9": true,
		strings.Repeat("a", 100): true, strings.Repeat("a", maxCallback): true, strings.Repeat("a", maxCallback+1): false,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "1a": false, "a.1": false, "a-b": false, "a[0]": false,
		"alert(1)": false, "<script>": false, "a b": false, "a\n": false, "ä": false, "a@": false, "a`": false, "a{": false, "[a": false,
	} {
		equal(t, name, isCallback(name), want)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("aZ_$.09-[`{@(<ä\n")), 0, 8, -1).Draw(t, "name")
		if got := isCallback(name); got != callbackGrammar.MatchString(name) {
			t.Fatalf("%q: %v", name, got)
		}
	})
}

// evaluate gives the JSON that JavaScript reads from the argument of a call. It knows what appendScript writes, and nothing else.
func evaluate(t testing.TB, script, callback string) string {
	t.Helper()
	array, ok := strings.CutPrefix(script, "/**/"+callback+"(")
	array, end := strings.CutSuffix(array, ");")
	if !ok || !end {
		t.Fatalf("not a call of %s: %s", callback, script)
	}
	if strings.ContainsAny(array, "<\u2028\u2029") {
		t.Errorf("something that ends a line or a script: %q", array)
	}
	var b []byte
	for i := 0; i < len(array); {
		n := 1
		switch rest := array[i:]; {
		case rest[0] == '"':
			n = stringLen([]byte(rest))
			if isName([]byte(rest[n:])) && isPrototype([]byte(rest[:n])) {
				t.Errorf("a member that sets the prototype: %s", array)
			}
			b = append(b, rest[:n]...)
		case strings.HasPrefix(rest, `["`):
			n = 1 + stringLen([]byte(rest[1:]))
			if strings.HasPrefix(rest[n:], "]:") { // a computed name
				b = append(b, rest[1:n]...)
				n++
			} else {
				n = 1
				b = append(b, '[')
			}
		default:
			b = append(b, rest[0])
		}
		i += n
	}
	return string(b)
}

func TestAppendScript(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                              `[]`,
		`[{"a":"x"},7,null]`:              `[{"a":"x"},7,null]`,
		`["</script><!--"]`:               `["\u003c/script>\u003c!--"]`,
		"[\"a\u2028b\u2029\"]":            `["a\u2028b\u2029"]`,
		`["\\<","\"<"]`:                   `["\\\u003c","\"\u003c"]`,
		"[\"\u2027\u202a\"]":              "[\"\u2027\u202a\"]",
		`[{"__proto__":1,"__proto__":2}]`: `[{["__proto__"]:1,["__proto__"]:2}]`,
		`[{"\u005f_proto__" :1}]`:         `[{["\u005f_proto__"] :1}]`,
		`["__proto__",{"a":"__proto__"}]`: `["__proto__",{"a":"__proto__"}]`,
		`[{"__proto":1,"\\__proto__":1}]`: `[{"__proto":1,"\\__proto__":1}]`,
		`[{"<":{"a\"":["]:"]}}]`:          `[{"\u003c":{"a\"":["]:"]}}]`,
	} {
		equal(t, text, string(appendScript(nil, []byte(text))), want)
	}
}

func TestAppendScript_evaluates_to_the_same(t *testing.T) {
	rapid.Check(t, func(draw *rapid.T) {
		member := rapid.OneOf(rapid.SampledFrom([]string{"__proto__", "a", "<", "\u2028"}), rapid.String())
		values := rapid.SliceOfN(rapid.MapOfN(member, rapid.String(), 0, 3), 0, 3).Draw(draw, "values")
		marshalled, _ := json.Marshal(values)
		text := strings.NewReplacer(`\u003c`, "<", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(string(marshalled))
		script := string(appendCall(nil, "f", []byte(text)))
		var want, got []map[string]string
		if err := errors.Join(json.Unmarshal([]byte(text), &want), json.Unmarshal([]byte(evaluate(t, script, "f")), &got)); err != nil {
			t.Fatal(err)
		}
		equal(t, "value", fmt.Sprint(got), fmt.Sprint(want))
	})
}

// FuzzQuery asks for messages in a query. Whatever it is, the answer is one sentence that repeats nothing of it, or a call of a
// name with an array in which every message keeps to the rules.
func FuzzQuery(f *testing.F) {
	for _, message := range []string{
		"[" + handshakeMessage + "]", handshakeMessage, "[]", "null", `[{"channel":"/a","data":{"__proto__":"</script>","x":"\u2028"},"id":"<"}]`,
		`[{"channel":"/meta/connect","clientId":"x","connectionType":"callback-polling","advice":{"timeout":0},"id":"1"}]`,
		`[{"channel":"/meta/subscribe","clientId":"x","subscription":["/a","<!--"],"id":7}]`, "[[[",
	} {
		for _, callback := range []string{"__jsonp1__", "a.b", "alert(1)", ""} {
			f.Add(url.Values{"message": {message}, "jsonp": {callback}}.Encode())
		}
	}
	f.Add("message=%5B%5D&message=%7B%7D&jsonp=a&jsonp=b")
	f.Add("message=[]+%20;%zz")
	f.Add("jsonp=a")
	s := hurried(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/bayeux", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, r)
		answer := w.Body.String()
		switch w.Code {
		case http.StatusOK:
			callback, _, _ := strings.Cut(strings.TrimPrefix(answer, "/**/"), "(")
			if !callbackGrammar.MatchString(callback) || len(callback) > maxCallback {
				t.Fatalf("calls %q", callback)
			}
			parseReply(t, evaluate(t, answer, callback))
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
			if strings.Count(answer, "\n") != 1 || strings.Contains(answer, "<") {
				t.Fatalf("not one harmless line: %s", answer)
			}
		default:
			t.Fatal("status " + strconv.Itoa(w.Code))
		}
	})
}
