package httppub

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"waft/broker"
)

// TestItems_read publishes one body and looks at what a subscriber gets.
func TestItems_read(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"no items", `{"items":[]}`, nil},
		{
			"several items keep their order", `{"items":[{"fpp":1,"channel":"b"},{"fpp":2,"channel":"a"},{"fpp":3,"channel":"b"}]}`,
			[]string{"/b 1", "/a 2", "/b 3"},
		},
		{"a name with its slash", `{"items":[{"fpp":1,"channel":"/news"}]}`, []string{"/news 1"}},
		{"an escaped name", `{"items":[{"fpp":1,"channel":"\u006eews"}]}`, []string{"/news 1"}},
		{"escaped field names", `{"it\u0065ms":[{"json\u002dobject":1,"chann\u0065l":"news"}]}`, []string{"/news 1"}},
		{
			"every known format", `{"items":[{"channel":"a","json-object":1,"http-stream":2,"http-response":3,"ws-message":4,"http-request":5,"xmpp-stanza":"6"}]}`,
			[]string{"/a 1 http-request=5 http-response=3 http-stream=2 ws-message=4 xmpp-stanza=\"6\""},
		},
		{
			"every known format, nested", `{"items":[{"channel":"a","formats":{"json-object":1,"http-stream":2,"http-response":3,"ws-message":4,"http-request":5,"xmpp-stanza":"6"}}]}`,
			[]string{"/a 1 http-request=5 http-response=3 http-stream=2 ws-message=4 xmpp-stanza=\"6\""},
		},
		{"both nestings count", `{"items":[{"channel":"a","json-object":1,"formats":{"http-stream":2}}]}`, []string{"/a 1 http-stream=2"}},
		{"formats wins, written last", `{"items":[{"channel":"a","json-object":1,"http-stream":1,"formats":{"json-object":2,"http-stream":2}}]}`, []string{"/a 2 http-stream=2"}},
		{"formats wins, written first", `{"items":[{"formats":{"json-object":2,"http-stream":2},"channel":"a","json-object":1,"http-stream":1}]}`, []string{"/a 2 http-stream=2"}},
		{"json-object wins over fpp", `{"items":[{"channel":"a","json-object":1,"fpp":2}]}`, []string{"/a 1"}},
		{"json-object wins over fpp in formats", `{"items":[{"channel":"a","json-object":1,"formats":{"fpp":2}}]}`, []string{"/a 1"}},
		{"json-object in formats wins over fpp", `{"items":[{"channel":"a","fpp":2,"formats":{"json-object":1}}]}`, []string{"/a 1"}},
		{"fpp in formats", `{"items":[{"channel":"a","formats":{"fpp":2}}]}`, []string{"/a 2"}},
		{"null is a message", `{"items":[{"channel":"a","json-object":null}]}`, []string{"/a null"}},
		{"an empty string is a message", `{"items":[{"channel":"a","json-object":""}]}`, []string{`/a ""`}},
		{"unknown fields", `{"extra":1,"items":[{"channel":"a","fpp":1,"exports":{},"size":3,"no-seq":true,"formats":{"carrier-pigeon":1}}]}`, []string{"/a 1"}},
		{"meta, whatever it is", `{"items":[{"channel":"a","fpp":1,"meta":{"sender":"x"}},{"channel":"a","fpp":2,"meta":7}]}`, []string{"/a 1", "/a 2"}},
		{"an empty prev-id is none", `{"items":[{"channel":"a","fpp":1,"id":"1"},{"channel":"a","fpp":2,"prev-id":""}]}`, []string{"/a #1 1", "/a 2"}},
		{"unknown actions are the transport's business", `{"items":[{"channel":"a","http-stream":{"action":"dance"}}]}`, []string{`/a http-stream={"action":"dance"}`}},
		{"an empty id is none", `{"items":[{"channel":"a","fpp":1,"id":""},{"channel":"a","fpp":1,"id":""}]}`, []string{"/a 1", "/a 1"}},
		{"a repeated field that nobody knows", `{"x":1,"x":2,"items":[{"channel":"a","fpp":{"a":1,"a":2},"x":1,"x":2}]}`, []string{`/a {"a":1,"a":2}`}},
		{"white space", " \r\n\t{ \"items\" : [ { \"channel\" : \"a\" , \"fpp\" : [ 1 , \" 2 \" ] } ] } \n", []string{`/a [1," 2 "]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			expectAnswer(t, d.post("/realm/myrealm/publish/", c.body), 200, "Published")
			d.expect(t, c.want...)
		})
	}
}

func TestItems_refused(t *testing.T) {
	const inBody, inPath = "/realm/myrealm/publish/", "/realm/myrealm/publish/news/"
	for _, c := range []struct{ name, path, body, want string }{
		{"empty", inBody, ``, "the body is empty"},
		{"blank", inBody, " \n", "the body is empty"},
		{"no JSON", inBody, `hello`, "the body is not valid JSON: invalid character 'h'"},
		{"cut off", inBody, `{"items":[{"fpp":1`, "the body is not valid JSON: unexpected end of JSON input (at byte 18)"},
		{"two values", inBody, `{"items":[]}{}`, "invalid character '{' after top-level value (at byte 13)"},
		{"a form", inBody, `items=%5B%5D`, "the body is not valid JSON"},
		{"a byte order mark", inBody, "\ufeff{}", "the body is not valid JSON"},
		{"an array", inBody, `[]`, `the body must be a JSON object like {"items":[…]}, not an array`},
		{"a string", inBody, `"items"`, "not a string"},
		{"null", inBody, `null`, "not null"},
		{"no items", inBody, `{}`, `the body has no "items"`},
		{"items in another case", inBody, `{"Items":[]}`, `the body has no "items"`},
		{"items is null", inBody, `{"items":null}`, `"items" must be an array, not null`},
		{"items is an object", inBody, `{"items":{"channel":"a","fpp":1}}`, `"items" must be an array, not an object`},
		{"item is null", inBody, `{"items":[null]}`, "items[0]: an item must be an object, not null"},
		{"item is a number", inBody, `{"items":[1]}`, "items[0]: an item must be an object, not a number"},
		{"item is an array", inBody, `{"items":[[]]}`, "items[0]: an item must be an object, not an array"},
		{"item is a boolean", inBody, `{"items":[true]}`, "items[0]: an item must be an object, not a boolean"},
		{"no channel", inBody, `{"items":[{"fpp":1}]}`, `items[0]: the item has no "channel"`},
		{"numeric channel", inBody, `{"items":[{"fpp":1,"channel":1}]}`, `items[0]: "channel" must be a string, not a number`},
		{"null channel", inBody, `{"items":[{"fpp":1,"channel":null}]}`, `items[0]: "channel" must be a string, not null`},
		{"empty channel", inBody, `{"items":[{"fpp":1,"channel":""}]}`, `items[0]: "channel" is empty`},
		{"channel with a dot", inBody, `{"items":[{"fpp":1,"channel":"a.b"}]}`, `items[0]: channel "/a.b" has "." at byte 2`},
		{"wildcard", inBody, `{"items":[{"fpp":1,"channel":"a/**"}]}`, `items[0]: channel "/a/**" has "*" at byte 3`},
		{"line break in a channel", inBody, `{"items":[{"fpp":1,"channel":"a\nb"}]}`, `items[0]: channel "/a\nb" has "\n"`},
		{"half a pair in a channel", inBody, `{"items":[{"fpp":1,"channel":"\ud800"}]}`, "items[0]: channel "},
		{"numeric id", inBody, `{"items":[{"fpp":1,"channel":"a","id":7}]}`, `items[0]: "id" must be a string, not a number`},
		{"null id", inBody, `{"items":[{"fpp":1,"channel":"a","id":null}]}`, `items[0]: "id" must be a string, not null`},
		{"id with a NUL", inBody, `{"items":[{"fpp":1,"channel":"a","id":"\u0000"}]}`, `items[0]: the id "\x00" has a character at byte 0`},
		{"half a pair in an id", inBody, `{"items":[{"fpp":1,"channel":"a","id":"\ud800"}]}`, "items[0]: the id "},
		{"no format", inBody, `{"items":[{"channel":"a"}]}`, "items[0]: the item has no known format"},
		{"unknown formats only", inBody, `{"items":[{"channel":"a","carrier-pigeon":1,"formats":{}}]}`, "items[0]: the item has no known format"},
		{"formats is null", inBody, `{"items":[{"channel":"a","fpp":1,"formats":null}]}`, `items[0]: "formats" must be an object, not null`},
		{"formats is a string", inBody, `{"items":[{"channel":"a","formats":"x"}]}`, `items[0]: "formats" must be an object, not a string`},
		{"text that is not UTF-8", inBody, "{\"items\":[{\"channel\":\"a\",\"fpp\":\"\xff\"}]}", "items[0]: the body is not valid UTF-8 (at byte 32)"},
		{"format that is not UTF-8", inBody, "{\"items\":[{\"channel\":\"a\",\"ws-message\":\"\xff\"}]}", "items[0]: the body is not valid UTF-8 (at byte 39)"},
		{"unknown field that is not UTF-8", inBody, "{\"items\":[{\"channel\":\"a\",\"fpp\":1},{\"channel\":\"a\",\"fpp\":1,\"x\":\"\xff\"}]}", "items[1]: the body is not valid UTF-8"},
		{"something beside the items that is not UTF-8", inBody, "{\"items\":[{\"channel\":\"a\",\"fpp\":1}],\"\xff\":1}", "the body is not valid UTF-8 (at byte 36)"},
		{"items twice", inBody, `{"items":[{"channel":"a","fpp":1}],"items":[]}`, `"items" occurs twice in one object`},
		{"channel twice", inBody, `{"items":[{"channel":"a","channel":"a","fpp":1}]}`, `items[0]: "channel" occurs twice`},
		{"channel twice, once escaped", inBody, `{"items":[{"channel":"a","ch\u0061nnel":"b","fpp":1}]}`, `items[0]: "channel" occurs twice`},
		{"id twice", inBody, `{"items":[{"channel":"a","fpp":1,"id":"1","id":"2"}]}`, `items[0]: "id" occurs twice`},
		{"prev-id twice", inBody, `{"items":[{"channel":"a","fpp":1,"prev-id":"1","prev-id":"2"}]}`, `items[0]: "prev-id" occurs twice`},
		{"formats twice", inBody, `{"items":[{"channel":"a","formats":{"fpp":1},"formats":{}}]}`, `items[0]: "formats" occurs twice`},
		{"json-object twice", inBody, `{"items":[{"channel":"a","json-object":1,"json-object":1}]}`, `items[0]: "json-object" occurs twice`},
		{"fpp twice", inBody, `{"items":[{"channel":"a","fpp":1,"fpp":1,"json-object":1}]}`, `items[0]: "fpp" occurs twice`},
		{"another format twice in formats", inBody, `{"items":[{"channel":"a","formats":{"ws-message":1,"ws-message":2}}]}`, `items[0]: "ws-message" occurs twice`},
		{"numeric prev-id", inBody, `{"items":[{"channel":"a","fpp":1,"prev-id":7}]}`, `items[0]: "prev-id" must be a string, not a number`},
		{"too deep", inBody, `{"items":[{"channel":"a","fpp":` + nested(broker.MaxJSONDepth+1) + `}]}`, "items[0]: the JSON nests deeper than 128"},
		{"far too deep", inBody, nested(400_000), "exceeded max depth"},
		{"the third of four", inBody, `{"items":[{"channel":"a","fpp":1},{"channel":"a","fpp":1},{"channel":"a"},{}]}`, "items[2]: the item has no known format"},
		{"channel beside the address", inPath, `{"items":[{"fpp":1,"channel":"other"}]}`, "items[0]: the item is for /other, but the address names /news"},
		{"empty channel beside the address", inPath, `{"items":[{"fpp":1,"channel":""}]}`, `items[0]: "channel" is empty`},
		{"numeric channel beside the address", inPath, `{"items":[{"fpp":1,"channel":1}]}`, `items[0]: "channel" must be a string`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			expectAnswer(t, d.post(c.path, c.body), 400, c.want)
			d.expect(t)
		})
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestItems_channelOfTheAddress(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":1},{"fpp":2,"channel":"a"},{"fpp":3,"channel":"/a"}]}`), 200, "Published")
	d.expect(t, "/a 1", "/a 2", "/a 3")
}

// TestItems_doNotKeepTheirRequest: a small message that is kept must not keep a large body alive.
func TestItems_doNotKeepTheirRequest(t *testing.T) {
	const requests, size = 50, 1 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, kept := heap(), [][]broker.Publication{}
	for range requests {
		body := `{"items":[{"channel":"/a","id":"1","fpp":1,"http-stream":2,"junk":"` + strings.Repeat("x", size) + `"}]}`
		batch, err := parseItems(body, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, batch.items)
	}
	if grown := int64(heap() - before); grown > requests*size/4 {
		t.Errorf("%d small messages keep %d bytes", requests, grown)
	}
	runtime.KeepAlive(kept)
}

// FuzzItems: whatever the body, reading it does not panic, and an accepted item is one that the broker can take.
func FuzzItems(f *testing.F) {
	f.Add(`{"items":[{"json-object":"hello","channel":"chat/room"}]}`, false)
	f.Add(`{"items":[{"exports":{},"id":"7","prev-id":"6","json-object":{"n":1},"channel":"news"}]}`, false)
	f.Add(`{"items":[{"formats":{"http-stream":{"content":"x\n"},"fpp":1.0},"channel":"\u006eews"},{"ws-message":null}]}`, true)
	f.Add(`{"items":[{"id":7}],"items":{}}`, false)
	f.Fuzz(func(t *testing.T, body string, inPath bool) {
		if checkJSON("body", []byte(body)) != nil {
			if json.Valid([]byte(body)) {
				t.Fatalf("valid JSON was refused: %q", body)
			}
			return
		}
		in := broker.Channel("")
		if inPath {
			in = "/news"
		}
		all, err := parseItems(body, in, 10)
		batch := all.items
		if err != nil {
			if broker.KindOf(err) == broker.Internal || batch != nil {
				t.Fatalf("%q: %v, with %d items", body, err, len(batch))
			}
			return
		}
		if len(batch) > 10 {
			t.Fatalf("%d items were let through", len(batch))
		}
		if all.prev != nil && len(all.prev) != len(batch) {
			t.Fatalf("%d items follow %d", len(batch), len(all.prev))
		}
		for i, p := range batch {
			m := p.Message
			if _, err := broker.ParseChannel(string(m.Channel)); err != nil {
				t.Fatalf("item %d: %v", i, err)
			}
			if inPath && m.Channel != in {
				t.Fatalf("item %d is for %s", i, m.Channel)
			}
			if m.Data == nil && len(m.Formats) == 0 {
				t.Fatalf("item %d has no payload", i)
			}
			if m.Data != nil && !json.Valid(m.Data) {
				t.Fatalf("item %d: json-object is %q", i, m.Data)
			}
			for name, raw := range m.Formats {
				if !json.Valid(raw) {
					t.Fatalf("item %d: %s is %q", i, name, raw)
				}
			}
			if p.IdempotencyKey != m.ID || p.Replace != (m.ID != "") {
				t.Fatalf("item %d with id %q has key %q, replace %v", i, m.ID, p.IdempotencyKey, p.Replace)
			}
		}
	})
}
