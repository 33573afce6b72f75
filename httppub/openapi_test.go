package httppub

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"waft/broker"
	"waft/httppub/openapitest"
)

var document = openapitest.MustParse(OpenAPI)

// here are the operations of this package.
var here = []string{
	"publish", "publishToChannel", "document", "documentOptions",
	"listChannels", "showChannel", "readMessages", "removeMessage", "listSessions", "endSession", "showUsage",
	"listChannelsOptions", "showChannelOptions", "readMessagesOptions", "removeMessageOptions", "listSessionsOptions", "endSessionOptions", "showUsageOptions",
}

// elsewhere is what a Reader never says: it is one realm's, and that there is no other is said by whoever chooses between them.
func elsewhere() (what []string) {
	for _, o := range document.Operations() {
		if o.Method == http.MethodGet || o.Method == http.MethodOptions {
			what = append(what, o.String()+" 404")
		}
	}
	return what
}

func TestMain(m *testing.M) { os.Exit(document.Covered(m, here, elsewhere()).Run()) }

func TestOpenAPI_examples_are_what_their_schemas_say(t *testing.T) {
	if err := document.CheckExamples(); err != nil {
		t.Error(err)
	}
}

// What the document gives as examples of publishing is published as it stands.
func TestOpenAPI_examples_are_published(t *testing.T) {
	for _, o := range document.Operations() {
		for media, examples := range o.BodyExamples() {
			for name, example := range examples {
				t.Run(o.ID+" "+media+" "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						d := openDoor(t, Options{}, broker.Options{})
						path := o.URL(func(name string) string { return map[string]string{"realm": "myrealm", "channel": "chat"}[name] })
						w := d.post(path, string(example), header("Content-Type", media), wantsJSON)
						if n := len(d.received()); w.Code != 200 || n == 0 || strings.Contains(w.Body.String(), `"code"`) {
							t.Errorf("%d messages, %d %s", n, w.Code, w.Body)
						}
					})
				})
			}
		}
	}
}

func TestDocument_is_for_everybody_and_for_caches(t *testing.T) {
	h, err := NewDocument([]string{"https://app.example"})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method string, change ...func(*http.Request)) (int, http.Header, string) {
		r := httptest.NewRequest(method, DocumentPath, nil)
		for _, c := range change {
			c(r)
		}
		w := httptest.NewRecorder()
		document.Handler(t, h).ServeHTTP(w, r)
		return w.Code, w.Header(), w.Body.String()
	}
	status, head, text := do("GET", header("Origin", "https://app.example"))
	if status != 200 || text != OpenAPI || head.Get("Access-Control-Allow-Origin") != "https://app.example" || head.Get("Vary") != "Origin" {
		t.Errorf("%d %v, %d bytes", status, head, len(text))
	}
	tag := head.Get("ETag")
	if status, head, _ := do("GET", header("If-None-Match", tag)); status != 304 || head.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("who has it: %d %v", status, head)
	}
	if status, head, _ := do("HEAD"); status != 200 || head.Get("ETag") != tag {
		t.Errorf("HEAD: %d %v", status, head)
	}
	if status, head, _ := do("OPTIONS", header("Origin", "https://app.example")); status != 204 || head.Get("Access-Control-Allow-Methods") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", status, head)
	}
	if status, head, _ := do("POST", wantsJSON); status != 405 || head.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", status, head)
	}
	if _, err := NewDocument([]string{"app.example"}); broker.KindOf(err) != broker.Invalid {
		t.Errorf("an origin that is none: %v", err)
	}
}

// What other tests try at one address is the same at the others. Each answer is held against the document on its way.
func TestOpenAPI_answers_that_addresses_have_in_common(t *testing.T) {
	usual := func(name string) string {
		return map[string]string{"realm": "r", "channel": "chat", "id": "1", "label": "x-1"}[name]
	}
	inPlaceOf := func(parameter, value string) func(string) string {
		return func(name string) string {
			if name == parameter {
				return value
			}
			return usual(name)
		}
	}
	fill := usual
	damper, err := broker.NewDamper(1, 10) // a second bad token is not looked at
	if err != nil {
		t.Fatal(err)
	}
	l := openLibrary(t, func(o *ReaderOptions) { o.Damper, o.ClientAddress = damper, PeerAddress })
	if w := l.get(news, token("wrong")); w.Code != 401 {
		t.Errorf("the first bad token: %d", w.Code)
	}
	for _, o := range document.Operations() {
		if !slices.Contains(here, o.ID) || o.Method == "POST" || o.Path == DocumentPath {
			continue
		}
		want := func(status int, method, tail string, change ...func(*http.Request)) {
			t.Helper()
			r := httptest.NewRequest(method, o.URL(fill)+tail, nil)
			for _, c := range change {
				c(r)
			}
			w := httptest.NewRecorder()
			if l.ServeHTTP(w, r); w.Code != status {
				t.Errorf("%s %s%s: %d %s", method, o.Path, tail, w.Code, w.Body)
			}
		}
		if o.Method == http.MethodOptions {
			want(204, o.Method, "")
			if strings.Contains(o.Path, "{channel}") {
				fill = inPlaceOf("channel", "a b")
				want(400, o.Method, "")
				fill = inPlaceOf("channel", "meta:x")
				want(403, o.Method, "")
				fill = usual
			}
			continue
		}
		want(405, "PUT", "")
		want(400, o.Method, "?unknown=1")
		want(429, o.Method, "", token("wrong"), wantsJSON)
	}
	l = openLibrary(t)
	if _, err := l.broker.Open(broker.SessionOptions{Protocol: "xmpp", Fixture: true}); err != nil {
		t.Fatal(err)
	}
	if w := l.do("DELETE", "sessions/"+l.broker.Sessions()[0].Label(), token("manage")); w.Code != 409 {
		t.Errorf("ending a part of the server: %d %s", w.Code, w.Body)
	}
}

func TestOpenAPI_answers_that_both_ways_to_publish_have_in_common(t *testing.T) {
	const bodyA, follows = `{"items":[{"channel":"a","fpp":1}]}`, `{"items":[{"channel":"a","prev-id":"0","id":"2","fpp":1}]}`
	for _, path := range []string{publishPath, publishPath + "a/"} {
		ordered(t, IntakeOptions{Limits: PublishLimits{Channel: 1}}, func(t *testing.T, d *door) {
			want := func(status int, body string, change ...func(*http.Request)) {
				t.Helper()
				if w := d.post(path, body, change...); w.Code != status {
					t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, status)
				}
			}
			cut := func(err error) func(*http.Request) {
				return func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(err)) }
			}
			want(401, bodyA, token("wrong"))
			want(403, bodyA, token(narrowToken))
			want(415, bodyA, header("Content-Encoding", "br"))
			want(408, "", cut(os.ErrDeadlineExceeded))
			want(200, `{"items":[{"channel":"a","id":"1","fpp":1}]}`)
			want(202, follows)
			want(422, bodyA, withKey("k"), func(*http.Request) { d.post(path, bodyA+" ", withKey("k")) })
			want(429, messages(5, "a"))
			if err := d.intake.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
