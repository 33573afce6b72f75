package httppub

import (
	"net/http"
	"strings"
	"testing"

	"waft/broker"
)

func TestCredentials(t *testing.T) {
	const item = `{"items":[{"fpp":1,"channel":"news"}]}`
	const open = `{"items":[{"fpp":1,"channel":"open"}]}`
	const other = `{"items":[{"fpp":1,"channel":"other"}]}`
	for _, c := range []struct {
		name, credentials, body string
		status                  int
		answer, challenge       string
	}{
		{"a token", "Bearer good", item, 200, "Published", ""},
		{"a scheme in another case", "bearer good", item, 200, "Published", ""},
		{"several blanks", " Bearer   good ", item, 200, "Published", ""},
		{"none", "", item, 401, "items[0]: a token is needed to publish to /news", "Bearer"},
		{"none, for an open channel", "", open, 200, "Published", ""},
		{"a bad token", "Bearer bad", item, 401, "the token's signature is wrong", `Bearer error="invalid_token"`},
		{"a bad token for an open channel", "Bearer bad", open, 401, "the token's signature is wrong", `Bearer error="invalid_token"`},
		{"a token that may not", "Bearer narrow", other, 403, "items[0]: the token does not allow to publish to /other", ""},
		{"no token after Bearer", "Bearer ", item, 401, "the Authorization header has no token after Bearer", `Bearer error="invalid_token"`},
		{"a token alone", "good", item, 401, "it must read: Bearer, a space, a token", `Bearer error="invalid_token"`},
		{"Basic", "Basic dTpw", open, 401, "Basic credentials are not accepted", `Bearer error="invalid_token"`},
		{"Basic of Python 3", "Basic b'dTpw'", open, 401, "a bug of Python's pubcontrol", `Bearer error="invalid_token"`},
		{"Digest", `Digest username="u"`, item, 401, "the Authorization header is not understood", `Bearer error="invalid_token"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			w := d.post("/realm/myrealm/publish/", c.body, header("Authorization", c.credentials))
			expectAnswer(t, w, c.status, c.answer)
			if got := w.Header().Get("WWW-Authenticate"); got != c.challenge {
				t.Errorf("WWW-Authenticate is %q and should be %q", got, c.challenge)
			}
			if got := len(d.received()); (got == 1) != (c.status == 200) {
				t.Errorf("%d messages were delivered", got)
			}
		})
	}
}

func TestCredentials_noHeader(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	w := d.post("/realm/myrealm/publish/", `{"items":[{"fpp":1,"channel":"news"}]}`, func(r *http.Request) { r.Header.Del("Authorization") })
	expectAnswer(t, w, 401, "a token is needed")
	if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate is %q", got)
	}
}

func TestCredentials_twice(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	w := d.post("/realm/myrealm/publish/", `{"items":[{"fpp":1,"channel":"news"}]}`, func(r *http.Request) { r.Header.Add("Authorization", "Bearer bad") })
	expectAnswer(t, w, 401, "several Authorization headers")
	d.expect(t)
}

func TestCredentials_realmWithoutTokens(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	h, err := New(Options{Realm: func(string) (Realm, bool) { return Realm{Broker: d.broker}, true }})
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = h
	expectAnswer(t, d.post("/realm/any/publish/", `{"items":[{"fpp":1,"channel":"open"}]}`), 401, "the realm accepts no tokens")
	expectAnswer(t, d.post("/realm/any/publish/", `{"items":[{"fpp":1,"channel":"open"}]}`, header("Authorization", "")), 200, "Published")
}

// TestCredentials_areNotRepeated: an answer is shown to people and a log is kept.
func TestCredentials_areNotRepeated(t *testing.T) {
	var log strings.Builder
	d := openDoor(t, Options{Logger: debugLogger(&log)}, broker.Options{})
	for _, credentials := range []string{"Bearer s3cret", "Basic s3cret", "Basic b's3cret'", "s3cret", "Bearer  s3cret x"} {
		w := d.post("/realm/myrealm/publish/", `{"items":[]}`, header("Authorization", credentials))
		if strings.Contains(w.Body.String(), "s3cret") {
			t.Errorf("the answer to %q shows it: %s", credentials, w.Body)
		}
	}
	if strings.Contains(log.String(), "s3cret") || !strings.Contains(log.String(), "status=401") {
		t.Errorf("the log is:\n%s", log.String())
	}
}
