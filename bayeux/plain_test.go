package bayeux

import (
	"reflect"
	"strings"
	"testing"
)

func TestPlainConnect(t *testing.T) {
	for text, plain := range map[string]bool{
		`[{"channel":"/meta/connect","clientId":"c","connectionType":"long-polling","id":"1"}]`:               true,
		`{"id":"1","channel":"/meta/connect","connectionType":"long-polling","clientId":"c"}`:                 true,
		` [ { "channel" : "/meta/connect", "clientId": "c", "connectionType": "long-polling", "id": "1" } ] `: true,
		`[{"channel":"/meta/connect"}]`:                                                                       true,
		`[{"channel":"/meta/publish","id":"2","channel":"/meta/connect","id":""}]`:                            false, // the parser's: the last counts
		`[{"channel":"/meta/connect","clientId":"c","connectionType":"long-polling","id":1}]`:                 false,
		`[{"channel":"/meta/connect","clientId":"c","connectionType":"long-polling","advice":{"timeout":0}}]`: false,
		`[{"channel":"/meta/connect","clientId":"c","connectionType":"long-polling","ext":{"token":"t"}}]`:    false,
		`[{"channel":"/meta/connect","clientId":"\u0063","connectionType":"long-polling","id":"1"}]`:          false,
		`[{"channel":"/meta/connect","clientId":"ü","connectionType":"long-polling","id":"1"}]`:               false,
		`[{"channel":"/meta/connect"},{"channel":"/meta/connect"}]`:                                           false,
		`[{"channel":"/meta/subscribe","clientId":"c","id":"1"}]`:                                             false,
		`[{"channel":"/meta/connect"}`:                                                                        false, `{"channel":"/meta/connect"}]`: false, `[{"channel":"/meta/connect"}]]`: false,
		`[{"channel":"/meta/connect",}]`: false, `[{"channel":"/meta/connect}]`: false, `[{"channel":"/meta/connect" "id":"1"}]`: false,
		`[{}]`: false, `[{`: false, `[`: false, ``: false, `"`: false,
	} {
		m, ok := plainConnect(text)
		equal(t, text, ok, plain)
		if ok {
			same, err := parseAnyJSON(nil, text, 1)
			if err != nil || len(same) != 1 || !reflect.DeepEqual(same[0], m) {
				t.Errorf("%s: %+v, the parser: %+v, %v", text, m, same, err)
			}
		}
	}
}

// What is read in one pass is what the parser reads.
func FuzzPlainConnect(f *testing.F) {
	f.Add(`[{"channel":"/meta/connect","clientId":"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567","connectionType":"long-polling","id":"1a"}]`)
	f.Add(`{"id":"1","channel":"/meta/connect","connectionType":"long-polling","clientId":"c"}`)
	f.Add(` [ {"channel" : "/meta/connect" , "id" : "" } ] `)
	f.Add(`[{"channel":"/meta/connect","clientId":"a","clientId":"","id":"\""}]`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, text := range []string{text, strings.Replace(`[{"channel":"/meta/connect",TEXT}]`, "TEXT", text, 1), `[{"channel":"/meta/connect","id":"` + text + `"}]`} {
			m, ok := plainConnect(text)
			if !ok {
				continue
			}
			same, err := parseAnyJSON(nil, text, 1)
			if err != nil || len(same) != 1 || !reflect.DeepEqual(same[0], m) {
				t.Fatalf("%q: %+v, the parser: %+v, %v", text, m, same, err)
			}
		}
	})
}
