package httppub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waft/broker"
)

func debugLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestPublish_exactText: the text that went in comes out.
func TestPublish_exactText(t *testing.T) {
	for _, text := range []string{
		`9007199254740993`, `-9223372036854775808`, `18446744073709551615`, `123456789012345678901234567890`,
		`1.0`, `[1.10,1E+2,1e-7,-0.0,0e0]`, `{"a":1,"a":2}`, `{"z":1,"a":2,"10":3,"2":4}`,
		`"<&>\"'</script>"`, `"\u003c\u0026\u003e"`, `"\u00e9 é \/ /"`, `"\ud83c\udf89 🎉"`, `"\u2028` + "\u2028" + `"`, `"\u0000"`, `"\ud800"`,
		`""`, `"  "`, `null`, `true`, `false`, `0`, `[]`, `{}`, `{"":""}`, `"items"`, `{"items":[{"channel":"x","fpp":1}]}`,
		nested(broker.MaxJSONDepth), `"` + strings.Repeat("long ", 10_000) + `"`,
	} {
		d := openDoor(t, Options{}, broker.Options{})
		body := fmt.Sprintf(`{"items":[{"channel":"a","json-object":%s},{"channel":"a","formats":{"json-object":%[1]s,"http-stream":%[1]s}}]}`, text)
		expectAnswer(t, d.post("/realm/myrealm/publish/", body), 200, "Published")
		d.expect(t, "/a "+text, "/a "+text+" http-stream="+text)
	}
}

func TestPublish_sameIDTwiceIsDeliveredOnce(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	first := d.post("/realm/myrealm/publish/", `{"items":[{"channel":"a","id":"1","fpp":"first"}]}`, wantsJSON)
	again := d.post("/realm/myrealm/publish/", `{"items":[{"channel":"a","id":"1","fpp":"again"}]}`, wantsJSON)
	d.expect(t, `/a #1 "first"`)

	position := replyOf(t, first.Body.Bytes()).Receipts[0].Position
	if got := replyOf(t, again.Body.Bytes()).Receipts[0]; !got.Duplicate || got.Position != position {
		t.Errorf("the second receipt is %+v and should be a duplicate at %s", got, position)
	}
}

func TestPublish_sameIDTwiceInOneRequest(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"id":"1","fpp":1},{"id":"1","fpp":2},{"id":"2","fpp":3}]}`), 200, "Published")
	d.expect(t, "/a #1 1", "/a #2 3")
}

func TestPublish_sameIDOnTwoChannels(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	expectAnswer(t, d.post("/realm/myrealm/publish/", `{"items":[{"channel":"a","id":"1","fpp":1},{"channel":"b","id":"1","fpp":1}]}`), 200, "Published")
	d.expect(t, "/a #1 1", "/b #1 1")
}

// TestPublish_badItemPublishesNothing: wherever it stands, and whether this package or the broker finds the fault.
func TestPublish_badItemPublishesNothing(t *testing.T) {
	const good = `{"channel":"news","fpp":1}`
	for name, c := range map[string]struct {
		bad    string
		status int
	}{
		"no format":        {`{"channel":"news"}`, 400},
		"numeric id":       {`{"channel":"news","fpp":1,"id":1}`, 400},
		"bad channel":      {`{"channel":"a b","fpp":1}`, 400},
		"reserved channel": {`{"channel":"meta/handshake","fpp":1}`, 403},
		"forbidden":        {`{"channel":"other","fpp":1}`, 403},
		"not UTF-8":        {"{\"channel\":\"news\",\"fpp\":\"\xff\"}", 400},
		"too large":        {`{"channel":"news","fpp":"` + strings.Repeat("x", 200) + `"}`, 413},
		"long id":          {`{"channel":"news","fpp":1,"id":"` + strings.Repeat("x", 600) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range 3 {
				d := openDoor(t, Options{}, broker.Options{MaxMessage: 100})
				items := []string{good, good, good}
				items[at] = c.bad
				w := d.post("/realm/myrealm/publish/", `{"items":[`+strings.Join(items, ",")+`]}`,
					header("Authorization", "Bearer "+narrowToken))
				expectAnswer(t, w, c.status, fmt.Sprintf("items[%d]: ", at))
				d.expect(t)
			}
		})
	}
}

// failing is an engine that breaks after some messages.
type failing struct {
	broker.Engine
	left int
	err  error
}

func (e *failing) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	if e.left--; e.left < 0 {
		return broker.Receipt{}, e.err
	}
	return e.Engine.Publish(ctx, a)
}

func TestPublish_engineFails(t *testing.T) {
	broken := errors.New("disk on fire")
	away := broker.Errorf(broker.Unavailable, "the stream does not answer")
	for _, c := range []struct {
		name   string
		after  int
		err    error
		status int
		text   string
	}{
		{"at once, for a reason of its own", 0, broken, 500, "items[0]: internal error"},
		{"at once, for now", 0, away, 503, "items[0]: the stream does not answer"},
		{"half-way, for a reason of its own", 2, broken, 503, "items[2]: internal error (the 2 before it were published)"},
		{"half-way, for now", 2, away, 503, "items[2]: the stream does not answer (the 2 before it were published)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			d := openDoor(t, Options{Logger: debugLogger(&log)}, broker.Options{
				Engine: &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: c.after, err: c.err},
			})
			w := d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":0},{"fpp":1},{"fpp":2},{"fpp":3}]}`, wantsJSON)
			got := replyOf(t, w.Body.Bytes())
			if w.Code != c.status || got.Message != c.text || got.Item == nil || *got.Item != c.after || len(got.Receipts) != c.after {
				t.Errorf("the answer is %d %s", w.Code, w.Body)
			}
			if n := len(d.received()); n != c.after {
				t.Errorf("%d messages were delivered", n)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), c.err.Error()) {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

func TestPublish_afterShutdown(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	if err := d.broker.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":0}]}`), 503, "the server has shut down")
}

// TestPublish_anyJSON: property form of TestPublish_exactText, through the whole door.
func TestPublish_anyJSON(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		text := jsonText(3).Draw(rt, "json")
		d.post("/realm/myrealm/publish/", `{"items":[{"json-object": `+text+` ,"channel":"a"}]}`)
		if got := d.received(); len(got) != 1 || got[0] != "/a "+text {
			rt.Fatalf("%s came out as %q", text, got)
		}
	})
}

// jsonText draws compact JSON in the spellings that parsers like to change.
func jsonText(depth int) *rapid.Generator[string] {
	leaf := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?`),
		rapid.StringMatching(`"([a-zé🎉<&>/ ,:\[\]{}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,12}"`),
		rapid.SampledFrom([]string{"null", "true", "false", "[]", "{}", `""`}),
	)
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(jsonText(depth-1), 0, 3).Draw(t, "parts")
		if rapid.Bool().Draw(t, "array") {
			return "[" + strings.Join(parts, ",") + "]"
		}
		for i, p := range parts {
			parts[i] = rapid.SampledFrom([]string{`"a":`, `"b\u0061":`, `"channel":`, `"items":`}).Draw(t, "key") + p
		}
		return "{" + strings.Join(parts, ",") + "}"
	}))
}

// reply is a JSON answer as a client reads it.
type reply struct {
	Message  string
	Item     *int
	Receipts []struct {
		Position  string
		Duplicate bool
	}
}

func replyOf(t *testing.T, body []byte) (r reply) {
	t.Helper()
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return r
}

// batching counts what it is asked to store at once.
type batching struct {
	broker.Engine
	one, several int
}

func (e *batching) Publish(ctx context.Context, a broker.Append) (broker.Receipt, error) {
	e.one++
	return e.Engine.Publish(ctx, a)
}

func (e *batching) PublishAll(ctx context.Context, batch []broker.Append) ([]broker.Receipt, error) {
	e.several++
	receipts := make([]broker.Receipt, len(batch))
	for i, a := range batch {
		var err error
		if receipts[i], err = e.Engine.Publish(ctx, a); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// A request waits for the disk once, however many items it has; but for items that wait for others, which go one by one.
func TestPublish_batch_is_stored_in_one_step(t *testing.T) {
	for items, want := range map[string]batching{
		`{"channel":"/a","json-object":1},{"channel":"/b","json-object":2},{"channel":"/a","json-object":3}`: {several: 1},
		`{"channel":"/a","json-object":1}`: {one: 1},
		`{"channel":"/a","id":"1","json-object":1},{"channel":"/b","id":"2","json-object":2},{"channel":"/a","id":"3","prev-id":"1","json-object":3}`: {one: 3},
	} {
		e := &batching{Engine: broker.NewMemoryEngine(broker.MemoryOptions{})}
		d := openDoor(t, Options{}, broker.Options{Engine: e})
		if w := d.post("/realm/myrealm/publish/", `{"items":[`+items+`]}`); w.Code != 200 {
			t.Fatalf("%s: %d %s", items, w.Code, w.Body)
		}
		if e.one != want.one || e.several != want.several {
			t.Errorf("%s: %d alone and %d batches, want %d and %d", items, e.one, e.several, want.one, want.several)
		}
	}
}
