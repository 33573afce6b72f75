package broker_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"waft/broker"
)

func TestCompactJSON_keeps_the_text(t *testing.T) {
	for in, want := range map[string]string{
		`null`: `null`, `""`: `""`, ` 1.0 `: `1.0`, `-0`: `-0`, `1e400`: `1e400`,
		`9007199254740993`:              `9007199254740993`,
		"{ \"b\" : 1,\r\n\t\"a\" : 2 }": `{"b":1,"a":2}`,
		`{"a":1,"a":2}`:                 `{"a":1,"a":2}`,
		`"a b\u0000\ud800 \" ] }"`:      `"a b\u0000\ud800 \" ] }"`,
		`"<&> 🙂 ` + "\u2028" + `"`:      `"<&> 🙂 ` + "\u2028" + `"`,
		`[ [ ] , { } ]`:                 `[[],{}]`,
	} {
		got, err := broker.CompactJSON([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("CompactJSON(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestCompactJSON_does_not_count_brackets_in_strings(t *testing.T) {
	for _, in := range []string{
		`"` + strings.Repeat("[", 2*broker.MaxJSONDepth) + `"`,
		`"\"` + strings.Repeat("[", 2*broker.MaxJSONDepth) + `"`,        // behind an escaped quote
		`["\\",` + strings.Repeat(`"{",`, 2*broker.MaxJSONDepth) + `0]`, // behind an escaped backslash
	} {
		if got, err := broker.CompactJSON([]byte(in)); err != nil || string(got) != in {
			t.Errorf("CompactJSON(%.20s…) = %.20s…, %v", in, got, err)
		}
	}
}

func TestCompactJSON_refuses_what_is_not_JSON(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := broker.CompactJSON([]byte(nested(broker.MaxJSONDepth))); err != nil {
		t.Errorf("at the depth limit: %v", err)
	}
	for in, says := range map[string]string{
		"": "missing", " ": "wrong", "{": "wrong", `{"a":`: "wrong at byte 5", "1 2": "wrong at byte 3", "01": "wrong", "nul": "wrong",
		`{a:1}`: "wrong at byte 2", `"\x"`: "wrong", "\"\xff\"": "UTF-8", "[1,]": "wrong", "NaN": "wrong", "\"a\nb\"": "wrong",
		nested(broker.MaxJSONDepth + 1):        "deeper than 128",
		strings.Repeat(`{"a":`, 100_000) + "1": "deeper than 128",
	} {
		got, err := broker.CompactJSON([]byte(in))
		if broker.KindOf(err) != broker.Invalid || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("CompactJSON(%.40q) = %.40q, %v; want it to say %q", in, got, err, says)
		}
	}
}

func FuzzCompactJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.0,"x\u0000"],"b":null}`, ` [ ] `, `"`, `{`, `1e5`, `"\\"`, `["\"",{}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := broker.CompactJSON(bytes.Clone(in))
		valid := json.Valid(in) && utf8.Valid(in)
		if err != nil {
			if valid && !strings.Contains(err.Error(), "deeper") {
				t.Fatalf("refuses %q: %v", in, err)
			}
			return
		}
		var want bytes.Buffer
		if !valid || json.Compact(&want, in) != nil || !bytes.Equal(out, want.Bytes()) {
			t.Fatalf("%q came out as %q", in, out)
		}
	})
}
