package httppub

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"waft/broker"
)

func TestAnswer_JSON(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	for _, c := range []struct{ name, path, body, want string }{
		{
			"receipts", "/realm/myrealm/publish/", `{"items":[{"channel":"a","id":"<1>","fpp":1},{"channel":"b","fpp":1},{"channel":"a","id":"<1>","fpp":1}]}`,
			`\{"message":"Published","receipts":\[` +
				`\{"id":"<1>","channel":"/a","position":"\w+-\w+","duplicate":false,"receivers":1\},` +
				`\{"id":"\w{26}","channel":"/b","position":"\w+-\w+","duplicate":false,"receivers":1\},` +
				`\{"id":"<1>","channel":"/a","position":"\w+-\w+","duplicate":true,"receivers":0\}\]\}`,
		},
		{"nothing to publish", "/realm/myrealm/publish/", `{"items":[]}`, `\{"message":"Published","receipts":\[\]\}`},
		{
			"a bad item", "/realm/myrealm/publish/a/", `{"items":[{"fpp":1},{}]}`,
			`\{"message":"items\[1\]: the item has no known format; give it a \\"json-object\\"","code":"invalid","item":1\}`,
		},
		{"a bad first item", "/realm/myrealm/publish/a/", `{"items":[{}]}`, `\{"message":"items\[0\]: .*","code":"invalid","item":0\}`},
		{"a bad body", "/realm/myrealm/publish/", `{}`, `\{"message":"the body has no .*","code":"invalid"\}`},
		{"no realm", "/realm/x/publish/", `{}`, `\{"message":"there is no realm \\"x\\"","code":"not_found"\}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := d.post(c.path, c.body, wantsJSON)
			if !regexp.MustCompile(`^` + c.want + `\n$`).MatchString(w.Body.String()) {
				t.Errorf("the answer is\n%s and should match\n%s", w.Body, c.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type is %q", got)
			}
		})
	}
}

func TestAnswer_text(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	if w := d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":1}]}`); w.Body.String() != "Published\n" || w.Code != 200 {
		t.Errorf("the answer is %d %q", w.Code, w.Body)
	}
}

func TestAnswer_headers(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	for _, body := range []string{`{"items":[]}`, `{}`} {
		h := d.post("/realm/myrealm/publish/", body).Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("the headers are %v", h)
		}
	}
}

// TestAnswer_quotesStrangersOnOneLine: what a stranger wrote into the request cannot add a line or a tag to the answer.
func TestAnswer_quotesStrangersOnOneLine(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	expectAnswer(t, d.post("/realm/a%0Ab%1b/publish/", `{}`), 404, `there is no realm "a\nb\x1b"`)
	expectAnswer(t, d.post("/realm/myrealm/publish/a%0Ab/", `{}`), 400, `channel "/a\nb" has "\n" at byte 2`)
	expectAnswer(t, d.post("/elsewhere/"+strings.Repeat("x", 5000), `{}`), 404, "…")
}

func TestAnswer_prefersJSON(t *testing.T) {
	for _, c := range []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"*/*"}, false},
		{[]string{"application/*"}, false},
		{[]string{"text/html"}, false},
		{[]string{"application/json"}, true},
		{[]string{"Application/JSON ; charset=utf-8"}, true},
		{[]string{"application/json, text/plain, */*"}, true}, // axios
		{[]string{"text/plain, application/json"}, true},
		{[]string{"text/plain", "application/json;q=0.5"}, false},
		{[]string{"text/plain;q=0.4,application/json;q=0.5"}, true},
		{[]string{"application/json;q=0"}, false},
		{[]string{"application/json;q=x"}, false},
		{[]string{"application/json;q=0.1, */*"}, true},
		{[]string{"application/jsonp"}, false},
		{[]string{",;,=/"}, false},
	} {
		if got := prefersJSON(c.accept); got != c.want {
			t.Errorf("Accept: %q prefers JSON: %v", c.accept, got)
		}
	}
}

func TestAnswer_otherMethods(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"} {
		r := httptest.NewRequest(method, "/realm/myrealm/publish/", http.NoBody)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		expectAnswer(t, w, 405, "publishing is done with POST")
		if got := w.Header().Get("Allow"); got != "POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
	}
}

// TestErrors_everyKind: each kind has a status of its own meaning, and only a defect is a 500.
func TestErrors_everyKind(t *testing.T) {
	want := map[broker.Kind]int{
		broker.Internal: 500, broker.Invalid: 400, broker.Unauthenticated: 401, broker.Forbidden: 403, broker.NotFound: 404,
		broker.Conflict: 409, broker.TooLarge: 413, broker.RateLimited: 429, broker.SlowConsumer: 503, broker.HistoryLost: 410,
		broker.Unavailable: 503, broker.Closed: 503,
	}
	for kind, status := range want {
		a := refuse(nil, &broker.BatchError{Index: 3, Err: broker.Errorf(kind, "the reason")})
		text := "items[3]: the reason"
		if kind == broker.Internal {
			text = "items[3]: internal error"
		}
		if a.status != status || a.Message != text || a.Code != kind.String() || *a.Item != 3 {
			t.Errorf("%v becomes %+v", kind, a)
		}
	}
	if a := refuse(nil, fmt.Errorf("secret detail")); a.status != 500 || a.Message != "internal error" {
		t.Errorf("a foreign error becomes %+v", a)
	}
}

func TestNew_refusesWhatCannotWork(t *testing.T) {
	none := func(string) (Realm, bool) { return Realm{}, false }
	for name, o := range map[string]Options{
		"no realms":         {},
		"negative body":     {Realm: none, MaxBody: -1},
		"negative maxitems": {Realm: none, MaxItems: -1},
	} {
		if _, err := New(o); broker.KindOf(err) != broker.Invalid {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestServes(t *testing.T) {
	for path, want := range map[string]bool{
		"/realm/r/publish/": true, "/realm/r//publish/a": true, "/realm/r/publish/a%2F%2Fb": true,
		"/realm/r/bayeux": false, "/bayeux": false, "/": false, "/realm/r/publish2": false,
	} {
		if got := Serves(httptest.NewRequest(http.MethodGet, path, http.NoBody)); got != want {
			t.Errorf("Serves %s: %v", path, got)
		}
	}
}
