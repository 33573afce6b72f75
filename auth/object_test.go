package auth

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzObject holds object against encoding/json, which knows everything but that a name must not occur twice.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : [ 1 , -2.5e+7 , "x" , [ ] , { } , null , true , false ] } `, `{"a":{"b":{"c":[[{"d":""}]]}}}`,
		`{"a\"b\\":"\u00e9\ud83d\ude00\n\/"}`, `{"a":1,"\u0061":2}`, `{"a":"\ud800"}`, `{"a":1}{`, `[]`, `"{}"`, "{\"a\":\"\x00\"}",
		`{"a":1,}`, `{"a":01}`, "{\"\xff\":1}", `{"a":nul}`, "\ufeff{}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > MaxToken {
			return
		}
		got, err := object(src)
		dec := json.NewDecoder(bytes.NewReader(src))
		dec.UseNumber()
		var want map[string]any
		sound := json.Valid(src) && dec.Decode(&want) == nil && want != nil
		switch {
		case err == nil && !sound:
			t.Errorf("%q was read as %v", src, got)
		case err == nil && !reflect.DeepEqual(got, want):
			t.Errorf("%q was read as %v, not as %v", src, got, want)
		case err != nil && sound && bytes.Equal(src, bytes.ToValidUTF8(src, nil)) && !strings.HasSuffix(err.Error(), " twice"):
			t.Errorf("%q was refused: %v", src, err)
		}
	})
}
