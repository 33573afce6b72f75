package ws

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"waft/broker"
)

// badFrames is what is wrong, and what of it must be named.
var badFrames = []struct{ name, text, code, names string }{
	{"nothing", ``, "invalid", "missing"},
	{"no_json", `hello`, "invalid", "JSON"},
	{"half", `{"type":"ping"`, "invalid", "byte 14"},
	{"two", `{"type":"ping"}{"type":"ping"}`, "invalid", "JSON"},
	{"array", `[{"type":"ping"}]`, "invalid", "object"},
	{"text", `"ping"`, "invalid", "object"},
	{"deep", `{"type":"publish","channel":"/a","data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, "invalid", "128"},
	{"no_type", `{}`, "invalid", "no type"},
	{"type_of_no_kind", `{"type":"hello"}`, "invalid", `"hello"`},
	{"type_number", `{"type":7}`, "invalid", `"7"`},
	{"type_in_capitals", `{"type":"PING"}`, "invalid", `"PING"`},
	{"ref_object", `{"type":"ping","ref":{}}`, "invalid", "ref"},
	{"ref_null", `{"type":"ping","ref":null}`, "invalid", "ref"},
	{"ref_long", `{"type":"ping","ref":"` + strings.Repeat("x", 64) + `"}`, "too_large", "64"},
	{"member_twice", `{"type":"ping","ref":1,"ref":2}`, "invalid", `"ref" twice`},
	{"member_twice_in_disguise", `{"type":"unsubscribe","channel":"/a","ch\u0061nnel":"/b"}`, "invalid", `"channel" twice`},
	{"member_unknown", `{"type":"subscribe","channel":"/a","sins":"x"}`, "invalid", `"sins"`},
	{"member_of_another_type", `{"type":"unsubscribe","channel":"/a","since":"x"}`, "invalid", `"since"`},

	{"auth_without_token", `{"type":"auth"}`, "invalid", "token"},
	{"auth_with_number", `{"type":"auth","token":1}`, "invalid", "token"},

	{"subscribe_to_nothing", `{"type":"subscribe"}`, "invalid", "channel"},
	{"subscribe_to_both", `{"type":"subscribe","channel":"/a","channels":["/a"]}`, "invalid", "either"},
	{"subscribe_to_none", `{"type":"subscribe","channels":[]}`, "invalid", "0 entries"},
	{"subscribe_to_many", `{"type":"subscribe","channels":[` + strings.Repeat(`"/a",`, 100) + `"/a"]}`, "invalid", "101 entries"},
	{"subscribe_to_an_object", `{"type":"subscribe","channels":{"a":"/a"}}`, "invalid", "array"},
	{"subscribe_to_a_number", `{"type":"subscribe","channels":[1]}`, "invalid", "string"},
	{"subscribe_to_no_name", `{"type":"subscribe","channel":""}`, "invalid", ""},
	{"subscribe_outside_the_grammar", `{"type":"subscribe","channel":"/a b"}`, "invalid", "byte"},
	{"subscribe_in_the_middle", `{"type":"subscribe","channel":"/a/*/b"}`, "invalid", ""},
	{"subscribe_reserved", `{"type":"subscribe","channel":"/meta/connect"}`, "forbidden", "Bayeux"},
	{"since_number", `{"type":"subscribe","channel":"/a","since":7}`, "invalid", "since"},
	{"since_word", `{"type":"subscribe","channel":"/a","since":"hello"}`, "invalid", "hello"},
	{"since_position_of_a_wildcard", `{"type":"subscribe","channel":"/a/*","since":"a-1"}`, "invalid", "a-1"},
	{"seen_array", `{"type":"subscribe","channel":"/a","seen":[]}`, "invalid", "seen"},
	{"seen_no_channel", `{"type":"subscribe","channel":"/a","seen":{"/a b":"a-1"}}`, "invalid", "byte"},
	{"seen_no_position", `{"type":"subscribe","channel":"/a","seen":{"/a":"hello"}}`, "invalid", "hello"},
	{"seen_number", `{"type":"subscribe","channel":"/a","seen":{"/a":1}}`, "invalid", "/a"},
	{"seen_of_another", `{"type":"subscribe","channel":"/a","seen":{"/b":"a-1"}}`, "invalid", "/b"},
	{"seen_of_a_wildcard_without_its_place", `{"type":"subscribe","channel":"/a/*","seen":{"/a/b":"a-1"}}`, "invalid", "since"},

	{"unsubscribe_of_nothing", `{"type":"unsubscribe"}`, "invalid", "channel"},
	{"unsubscribe_of_what_is_not", `{"type":"unsubscribe","channel":"/never"}`, "not_found", "/never"},

	{"publish_nowhere", `{"type":"publish","data":1}`, "invalid", "channel"},
	{"publish_nothing", `{"type":"publish","channel":"/a"}`, "invalid", "data"},
	{"publish_to_a_wildcard", `{"type":"publish","channel":"/a/*","data":1}`, "invalid", ""},
	{"publish_to_a_number", `{"type":"publish","channel":1,"data":1}`, "invalid", "channel"},
	{"publish_reserved", `{"type":"publish","channel":"/service/x","data":1}`, "forbidden", "Bayeux"},
	{"publish_id_number", `{"type":"publish","channel":"/a","data":1,"id":1}`, "invalid", "id"},
	{"publish_id_with_a_bell", `{"type":"publish","channel":"/a","data":1,"id":"\u0007"}`, "invalid", "id"},
	{"publish_id_long", `{"type":"publish","channel":"/a","data":1,"id":"` + strings.Repeat("x", 513) + `"}`, "too_large", "512"},
	{"publish_large", `{"type":"publish","channel":"/a","data":"` + strings.Repeat("x", 3000) + `"}`, "too_large", "2000"},

	{"ack_nothing", `{"type":"ack"}`, "invalid", "positions"},
	{"ack_empty", `{"type":"ack","positions":{}}`, "invalid", "positions"},
	{"ack_without_window", `{"type":"ack","positions":{"/a":"a-1"}}`, "invalid", "window"},
}

// Whatever is wrong with a frame is named in an error with its ref; nothing is published, and the connection goes on.
func TestFrame_that_is_wrong_gets_an_error_and_the_connection_goes_on(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{MaxMessage: 2000})
	c := s.connect("")
	other := s.connect("")
	other.subscribe("/**")
	for _, bad := range badFrames {
		t.Run(bad.name, func(t *testing.T) {
			c.t = t
			x := c.ask(bad.text, "error")
			if x.Code != bad.code || !strings.Contains(x.Message, bad.names) || len(x.Message) > 400 {
				t.Errorf("%s %s", x.Code, x.Message)
			}
			c.nothing()
		})
	}
	if x := c.ask(`{"type":"pimg","ref":"r"}`, "error"); string(x.Ref) != `"r"` {
		t.Errorf("ref %s", x.Ref)
	}
	other.nothing()
	if n := s.handler.Stats().Failed[broker.Invalid]; n == 0 {
		t.Error("not counted")
	}
}

func TestFrame_ref_comes_back_as_it_was_written(t *testing.T) {
	c := newServer(t, Options{}, broker.Options{}).connect("")
	for _, ref := range []string{`1`, `-1.50`, `1e400`, `""`, `"a b"`, `"é"`} {
		if x := c.ask(`{"type":"ping","ref":`+ref+`}`, "pong"); string(x.Ref) != ref {
			t.Errorf("%s, want %s", x.Ref, ref)
		}
	}
}

// acks are written as parseAck reads them, and nearly so.
var acks = []string{
	`{"type":"ack","positions":{"/a":"z-7"}}`,
	`{"type":"ack","positions":{"a/b":"z-7"}}`,
	`{"type":"ack","positions":{"/a":"z-7","/b":"1x2y3z-12","/a":"z-8"}}`,
	`{"type":"ack","positions":{"/a":"z-7","/b":"1x2y3z-12"}}}`,
	`{"type":"ack","positions":{"/a":"z-7",}}`,
	`{"type":"ack","positions":{"/a":"z-7"},"ref":1}`,
	`{"type":"ack","positions":{"/a":"z-7"}} `,
	`{"type":"ack","positions":{"/a":"z-7"}`,
	`{"type":"ack","positions":{"/a":"z-7""/b":"z-7"}}`,
	`{"type":"ack","positions":{/a":"z-7"}}`,
	`{"type":"ack","positions":{"/a":""}}`,
	`{"type":"ack","positions":{"/a":"Z-7"}}`,
	`{"type":"ack","positions":{"/a":"z-07"}}`,
	`{"type":"ack","positions":{"/a":"0-0"}}`,
	`{"type":"ack","positions":{"/\u0061":"z-7"}}`,
	`{"type":"ack","positions":{"/a":"\u007a-7"}}`,
	`{"type":"ack","positions":{"/*":"z-7"}}`,
	`{"type":"ack","positions":{}}`,
	`{"type":"ack","positions":{"/a":7}}`,
	`{"type":"ack","positions":{"/a" : "z-7"}}`,
}

func TestFrame_that_acknowledges_is_read_at_once_as_it_would_be_piece_by_piece(t *testing.T) {
	for i, ack := range acks {
		quick, ok := parseAck([]byte(ack))
		if (i < 3) != ok {
			t.Errorf("%s is read at once: %v", ack, ok)
		}
		if slow, err := parseJSON([]byte(ack)); ok && (err != nil || !reflect.DeepEqual(quick, slow)) {
			t.Errorf("%s is %+v, and %+v, %v", ack, quick, slow, err)
		}
	}
	many := make([]string, maxSeen+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"/%d":"z-7"`, i)
	}
	for n, want := range map[int]bool{maxSeen: true, maxSeen + 1: false} {
		if _, ok := parseAck([]byte(ackHead + strings.Join(many[:n], ",") + "}}")); ok != want {
			t.Errorf("%d channels: %v", n, ok)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, bad := range badFrames {
		f.Add([]byte(bad.text))
	}
	f.Add([]byte(`{"type":"subscribe","ref":1,"channels":["/a","b/**"],"since":"x","seen":{"/a":"1-2"}}`))
	f.Add([]byte(`{"type":"publish","channel":"a","data":{"n":1.0},"id":"7"}`))
	for _, ack := range acks {
		f.Add([]byte(ack))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !isText(body) {
			return
		}
		x, err := parseFrame(body)
		if slow, problem := parseJSON(body); !reflect.DeepEqual(x, slow) || (err == nil) != (problem == nil) {
			t.Errorf("%+v, %v; read as any JSON it is %+v, %v", x, err, slow, problem)
		}
		if err != nil {
			if k := broker.KindOf(err); k != broker.Invalid && k != broker.TooLarge || len(broker.TextOf(err)) > 2000 {
				t.Errorf("%v", err)
			}
			return
		}
		if members[x.kind] == nil || x.kind == "publish" && !json.Valid(x.data) || x.kind == "ack" && len(x.at) == 0 ||
			x.ref != nil && !json.Valid(x.ref) || strings.HasSuffix(x.kind, "subscribe") && len(x.patterns) == 0 {
			t.Errorf("%+v", x)
		}
		if _, err := x.place(); err != nil && broker.KindOf(err) != broker.Invalid {
			t.Error(err)
		}
	})
}
