package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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

func TestIsJSON(t *testing.T) {
	for text, depth := range map[string]int{
		`0`: 0, `-0.5e+10`: 0, ` "a" `: 0, `true`: 0, `false`: 0, `null`: 0, `[]`: 1, `{}`: 1, `[[],{"a":[]}]`: 3, `{"a":{"b":{"c":1}},"d":[2]}`: 3,
		`"\u00e9\"\\\/\b\f\n\r\t"`: 0, "\"\x7f\xff\"": 0, `{"a":1,"a":[{}]}`: 3,
	} {
		if !broker.IsJSON(text, depth) || !broker.IsJSON([]byte(text), depth) {
			t.Errorf("%s is not JSON", text)
		}
		if broker.IsJSON(text, depth-1) != (depth == 0) {
			t.Errorf("%s is no deeper than %d", text, depth-1)
		}
	}
	for _, text := range []string{
		``, ` `, `,`, `{`, `}`, `[`, `]`, `[}`, `{]`, `"`, `"\`, `"\"`, `"\u12`, `"\u12g4"`, `"\u123"`, `"\x"`, "\"\n\"", "\"\x00\"", `tru`, `truE`, `nul`, `True`, `nulll`, `-`, `+1`, `01`, `-01`,
		`1.`, `.1`, `1e`, `1e+`, `1.e1`, `0x1`, `1 2`, `1,`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, `{"a" 1}`, `{"a":1 "b":2}`, "[1]\x00", "\x00", "\v1", "[]]", "{}}", "Infinity",
	} {
		if broker.IsJSON(text, 10) {
			t.Errorf("%q is JSON", text)
		}
	}
}

// What is JSON is what encoding/json says.
func FuzzIsJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.0,"x\u0000"],"b":null}`, ` [ ] `, `"`, `{`, `1e5`, `"\\"`, `["\"",{}]`, `[true,false,-0]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		valid := json.Valid([]byte(text))
		if got := broker.IsJSON(text, len(text)); got != valid && strings.Count(text, "[")+strings.Count(text, "{") < 10_000 {
			t.Fatalf("%q: %v", text, got)
		}
		if broker.IsJSON([]byte(text), len(text)) != broker.IsJSON(text, len(text)) {
			t.Fatalf("%q: not the same as bytes", text)
		}
	})
}

func BenchmarkCompactJSON(b *testing.B) {
	for _, size := range []int{100, 1000, 10_000} {
		text := []byte(`{"text":"hello, and some more to make it a usual size","n":1234567,"tags":["a","b"],"more":"` + strings.Repeat("x", size) + `"}`)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := broker.CompactJSON(text); err != nil {
					b.Fatal(err)
				}
			}
		})
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
