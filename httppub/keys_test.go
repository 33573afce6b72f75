package httppub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

func withKey(key string) func(*http.Request) { return header("Idempotency-Key", key) }

const threeItems = `{"items":[{"channel":"a","fpp":1},{"channel":"a","fpp":1},{"channel":"b","id":"7","fpp":1}]}`

func TestKeys_a_repeated_request_is_published_once(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		first := d.post(publishPath, threeItems, withKey(`"k 1"`), wantsJSON)
		again := d.post(publishPath, threeItems, withKey(`"k 1"`), wantsJSON)
		d.expect(t, "/a 1", "/a 1", "/b #7 1")
		a, b := replyOf(t, first.Body.Bytes()).Receipts, replyOf(t, again.Body.Bytes()).Receipts
		for i := range a {
			if a[i].Duplicate || !b[i].Duplicate || a[i].Position != b[i].Position {
				t.Errorf("item %d: %+v and then %+v", i, a[i], b[i])
			}
		}
		if s := d.intake.Stats(); s.Repeats != 1 {
			t.Errorf("%+v", s)
		}
		expectAnswer(t, d.post(publishPath, threeItems, withKey("k2")), 200, "") // another key is another request
		d.expect(t, "/a 1", "/a 1")
		expectAnswer(t, d.post(publishPath, threeItems), 200, "")
		d.expect(t, "/a 1", "/a 1")
	})
}

func TestKeys_with_another_body_is_refused(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		expectAnswer(t, d.post(publishPath, threeItems, withKey("k")), 200, "")
		d.received()
		w := d.post(publishPath, threeItems+" ", withKey(`"k"`), wantsJSON)
		expectAnswer(t, w, 422, `{"message":"this Idempotency-Key came before with another body or another address; a new request needs a new key","code":"idempotency_key_reused"}`)
		expectAnswer(t, d.post(publishPath+"a/", messages(1, "a"), withKey("k")), 422, "")
		d.expect(t)
		if s := d.intake.Stats(); s.KeysReused != 2 || s.Refused[broker.Invalid] != 2 {
			t.Errorf("%+v", s)
		}
		// It is the key of whoever sent it.
		expectAnswer(t, d.post(publishPath, messages(1, "open/a"), withKey("k"), func(r *http.Request) { r.Header.Del("Authorization") }), 200, "")
		d.expect(t, "/open/a 1")
		time.Sleep(2 * time.Minute)
		expectAnswer(t, d.post(publishPath, messages(1, "a"), withKey("k")), 200, "")
		d.expect(t, "/a 1")
	})
}

// What was refused was not done, and its key is as good as new.
func TestKeys_of_a_refused_request_are_free(t *testing.T) {
	ordered(t, IntakeOptions{Limits: PublishLimits{Channel: 1}}, func(t *testing.T, d *door) {
		expectAnswer(t, d.post(publishPath, `{"items":[{"channel":"a"}]}`, withKey("k")), 400, "")
		expectAnswer(t, d.post(publishPath, messages(6, "a"), withKey("k")), 413, "")
		expectAnswer(t, d.post(publishPath, messages(1, "other"), withKey("k"), asHolder(narrowToken)), 403, "")
		expectAnswer(t, d.post(publishPath, messages(1, "a"), withKey("k")), 200, "")
	})
}

// A request that broke off in the middle is made whole by repeating it.
func TestKeys_make_half_a_request_whole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: 2, err: broker.Errorf(broker.Unavailable, "not now")}
		d := openDoor(t, Options{}, broker.Options{Engine: engine})
		expectAnswer(t, d.post(publishPath, messages(3, "a"), withKey("k")), 503, "(the 2 before it were published)")
		engine.left = 1000
		expectAnswer(t, d.post(publishPath, messages(3, "a"), withKey("k")), 200, "Published")
		d.expect(t, "/a 1", "/a 1", "/a 1")
	})
}

// What nobody remembers is a new request, and nothing of it is taken for the old one.
func TestKeys_that_are_forgotten_lose_nothing(t *testing.T) {
	ordered(t, IntakeOptions{MaxKeys: 1}, func(t *testing.T, d *door) {
		for _, key := range []string{"k", "other"} {
			expectAnswer(t, d.post(publishPath, messages(1, "a"), withKey(key)), 200, "")
		}
		d.received()
		expectAnswer(t, d.post(publishPath, `{"items":[{"channel":"a","fpp":2}]}`, withKey("k")), 200, "")
		d.expect(t, "/a 2")
		expectAnswer(t, d.post(publishPath, messages(1, "a"), withKey("other")), 200, "") // the engine still knows it
		d.expect(t)
	})
}

func TestKeys_are_bounded(t *testing.T) {
	x := keys{window: time.Minute, most: 10}
	name := func(i int) keyed { return keyed{digestOf(fmt.Sprint(i)), digestOf("body")} }
	for i := range 1000 {
		if repeats, err := x.use(name(i)); repeats || err != nil {
			t.Fatal(repeats, err)
		}
		if len(x.bodies) > 10 || len(x.order) > 10 {
			t.Fatalf("%d are known", len(x.bodies))
		}
	}
	if repeats, _ := x.use(name(990)); !repeats {
		t.Error("the tenth last is not known")
	}
	if repeats, _ := x.use(name(989)); repeats {
		t.Error("the eleventh last is known")
	}
}

func TestKeys_read(t *testing.T) {
	for _, c := range []struct{ header, key, fault string }{
		{`8e03978e-40d5-43e8-bc93-6894a57f9324`, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		{`"8e03978e-40d5-43e8-bc93-6894a57f9324"`, "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},
		{` "a \"b\" \\c," `, `a "b" \c,`, ""},
		{strings.Repeat("x", 255), strings.Repeat("x", 255), ""},
		{strings.Repeat("x", 256), "", "has 256 bytes, more than the limit of 255"},
		{"", "", "is empty"},
		{`""`, "", "is empty"},
		{`"a`, "", "has no closing quote"},
		{`"a" `, "a", ""},
		{`"a";b=1`, "", "goes on behind its closing quote"},
		{`"a\b"`, "", "has a backslash"},
		{`"a\`, "", "has a backslash"},
		{`a"b`, "", "no quotes around it"},
		{`a, b`, "", "no quotes around it"},
		{`a b`, "", "not visible ASCII"},
		{"\"a\tb\"", "", "not visible ASCII"},
		{"é", "", "not visible ASCII"},
	} {
		r := http.Request{Header: http.Header{"Idempotency-Key": {c.header}}}
		key, err := requestKey(&r)
		if key != c.key || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%q: %q, %v", c.header, key, err)
		}
	}
	if _, err := requestKey(&http.Request{Header: http.Header{"Idempotency-Key": {"a", "a"}}}); broker.KindOf(err) != broker.Invalid {
		t.Errorf("two keys: %v", err)
	}
}

// FuzzKey: a key that is taken is visible ASCII within the limit, and reads the same when it is written in quotes.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"a", `"a"`, `"a\"b\\"`, `"`, `\`, "", `"a" b`, "\x00", "a,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := parseKey(s)
		if err != nil {
			if key != "" || broker.KindOf(err) == broker.Internal {
				t.Fatalf("%q: %q, %v", s, key, err)
			}
			return
		}
		if key == "" || len(key) > maxKeyBytes {
			t.Fatalf("%q became %q", s, key)
		}
		again, err := parseKey(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`)
		if err != nil || again != key {
			t.Fatalf("%q became %q, and that %q: %v", s, key, again, err)
		}
	})
}
