package bayeux

import (
	"fmt"
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

// What a form reads is what is read without one.
func TestConnectForm(t *testing.T) {
	faye := `[{"channel":"/meta/connect","clientId":"CLIENT","connectionType":"long-polling","id":ID}]`
	cometd := `{"id":ID,"channel":"/meta/connect","connectionType":"long-polling","clientId":"CLIENT"}`
	with := func(form, client, id string) string {
		return strings.NewReplacer("CLIENT", client, "ID}", id+"}", "ID,", id+",").Replace(form)
	}
	for _, form := range []string{faye, cometd} {
		m, _ := plainConnect(with(form, "abc", `"9"`))
		f := formOf(with(form, "abc", `"9"`), &m)
		if f == nil {
			t.Fatal("no form of", form)
		}
		for _, c := range []struct {
			name, text, client string
			read               bool
		}{
			{"another client and id", with(form, "xyz", `"1z"`), "xyz", true},
			{"no letter in the id", with(form, "xyz", `""`), "xyz", true},
			{"a client that is not the one", with(form, "xyz", `"1"`), "xya", true},
			{"a client with a quote", with(form, `x"z`, `"1"`), "xyz", false},
			{"a client with an escape", with(form, `x\\z`, `"1"`), "xyz", false},
			{"a longer client", with(form, "xyz1", `"1"`), "xyz", false},
			{"an id that is a number", with(form, "xyz", `12`), "xyz", false},
			{"an id with an escape", with(form, "xyz", `"\u0031"`), "xyz", false},
			{"an id that ends the string", with(form, "xyz", `"1","id":"2"`), "xyz", false},
			{"an id beyond ASCII", with(form, "xyz", `"ü"`), "xyz", false},
			{"an id without its end", with(form, "xyz", `"1`), "xyz", false},
			{"another channel", strings.Replace(with(form, "xyz", `"1"`), "connect", "connecT", 1), "xyz", false},
			{"a space more", strings.Replace(with(form, "xyz", `"1"`), "}", " }", 1), "xyz", false},
			{"nothing", "", "", false},
		} {
			var got message
			equal(t, c.name, f.read([]byte(c.text), c.client, &got), c.read)
			if want, ok := plainConnect(c.text); c.read && (!ok || !reflect.DeepEqual(got, want)) {
				t.Errorf("%s: %+v, without a form: %+v", c.name, got, want)
			}
		}
	}
	for name, text := range map[string]string{
		"an id that is there twice":       `{"id":"1","id":"1","channel":"/meta/connect","clientId":"abc"}`,
		"a client that is an id":          `{"id":"abc","channel":"/meta/connect","clientId":"abc"}`,
		"a client that is a name, nearly": `{"id":"1","channel":"/meta/connect","clientId":"conn"}`,
		"no id":                           `{"channel":"/meta/connect","clientId":"abc"}`,
		"no client":                       `{"id":"1","channel":"/meta/connect"}`,
	} {
		m, ok := plainConnect(text)
		if !ok || formOf(text, &m) != nil {
			t.Error("a form of", name)
		}
	}
}

// The forms of some kinds of clients are known at a time, those that came last.
func TestForms(t *testing.T) {
	var known forms
	text := func(kind int) string {
		return fmt.Sprintf(`{"id":"%d","channel":"/meta/connect","connectionType":"kind %d","clientId":"abc"}`, 100+kind, kind)
	}
	kinds := len(known.known)
	for i := range kinds + 1 {
		m, _ := plainConnect(text(i))
		known.add(formOf(text(i), &m))
		known.add(nil)
	}
	for i := range kinds + 1 {
		var m message
		equal(t, text(i), known.read([]byte(text(i)), "abc", &m), i > 0)
		equal(t, "connection type", m.connType, map[bool]string{true: fmt.Sprint("kind ", i)}[i > 0])
	}
}

// Whatever a form was made of, it reads nothing otherwise than it is read without.
func FuzzConnectForm(f *testing.F) {
	f.Add(`[{"channel":"/meta/connect","clientId":"abc","id":"1"}]`, `[{"channel":"/meta/connect","clientId":"xyz","id":"12"}]`, "xyz")
	f.Add(`{"id":"1","channel":"/meta/connect","clientId":"abc"}`, `{"id":"\"","channel":"/meta/connect","clientId":"x"}`, "x")
	f.Add(`{"id":"1","clientId":"abc","id":"2","channel":"/meta/connect"}`, `{"id":"1","clientId":"abd","id":"3","channel":"/meta/connect"}`, "abd")
	f.Fuzz(func(t *testing.T, text, other, client string) {
		m, ok := plainConnect(text)
		if !ok {
			return
		}
		form := formOf(text, &m)
		p := plainText{text: `"` + client + `"`}
		if word, _ := p.word(); form == nil || word != client { // a session's id is a plain word
			return
		}
		for _, other := range []string{other, form.start + client + form.middle + `"` + other + `"` + form.end, form.start + `"` + other + `"` + form.middle + client + form.end} {
			var got message
			if !form.read([]byte(other), client, &got) {
				continue
			}
			if want, ok := plainConnect(other); !ok || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q as %q: %+v, without a form: %+v, %v", other, text, got, want, ok)
			}
		}
	})
}
