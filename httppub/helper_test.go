package httppub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"waft/broker"
)

const (
	goodToken   = "good"   // publishes everywhere
	narrowToken = "narrow" // publishes to /news only
)

// door is the handler before a real broker, and one session that is subscribed to everything.
type door struct {
	http.Handler
	broker *broker.Broker
	intake *Intake
	reader *broker.Session
	stanza func(broker.Channel, string) (func() bool, error) // nil: the realm has no XMPP
}

func openDoor(t testing.TB, o Options, b broker.Options) *door {
	t.Helper()
	return openDoorWith(t, o, b, IntakeOptions{})
}

func openDoorWith(t testing.TB, o Options, b broker.Options, i IntakeOptions) *door {
	t.Helper()
	if i.Logger == nil {
		i.Logger = slog.New(slog.DiscardHandler)
	}
	intake, err := NewIntake(i)
	if err != nil {
		t.Fatal(err)
	}
	b.Authorizer = cautious{}
	theBroker, err := broker.New(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theBroker.Shutdown(context.Background()) })
	t.Cleanup(func() { _ = intake.Shutdown(context.Background()) })
	d := &door{broker: theBroker, intake: intake, stanza: func(broker.Channel, string) (func() bool, error) { return func() bool { return true }, nil }}
	o.Realm = func(id string) (Realm, bool) {
		realm := Realm{Broker: theBroker, Authenticator: keyring{}, Intake: intake}
		if d.stanza != nil {
			realm.Stanza = d.stanza
		}
		return realm, id == "myrealm"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = document.Handler(t, h)
	if d.reader, err = theBroker.Open(broker.SessionOptions{MaxMessages: 100_000, MaxBytes: 100 << 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.reader.Subscribe(t.Context(), broker.Principal{}, "/**", broker.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	return d
}

// post sends a body with goodToken; change may alter the request.
func (d *door) post(path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+goodToken)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

var wantsJSON = header("Accept", "application/json")

// received is what has reached the reader since the last call, one line per message:
// channel, id if the publisher gave one, json-object, other formats by name.
func (d *door) received() []string {
	lines := []string{}
	for _, delivery := range d.reader.Drain(nil) {
		m := delivery.Message
		line := string(m.Channel)
		if len(m.ID) != 26 { // an assigned one
			line += " #" + m.ID
		}
		if m.Data != nil {
			line += " " + string(m.Data)
		}
		for _, name := range slices.Sorted(maps.Keys(m.Formats)) {
			line += fmt.Sprintf(" %s=%s", name, m.Formats[name])
		}
		lines = append(lines, line)
	}
	return lines
}

func (d *door) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := d.received(); !slices.Equal(got, want) {
		t.Errorf("the subscriber got\n\t%s\nand should have got\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func expectAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, part string) {
	t.Helper()
	body := w.Body.String()
	if w.Code != status || !strings.Contains(body, part) {
		t.Errorf("the answer is %d %q and should be %d with %q", w.Code, body, status, part)
	}
	if strings.Contains(strings.TrimSuffix(body, "\n"), "\n") {
		t.Errorf("the answer %q is not one line", body)
	}
}

// cautious lets everybody subscribe, and publish to /open and below with or without a grant.
type cautious struct{}

func (cautious) Authorize(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	switch {
	case act == broker.ActSubscribe, p == "/open", strings.HasPrefix(string(p), "/open/"), who.Holds(act, p):
		return nil
	case who.Anonymous():
		return broker.Errorf(broker.Unauthenticated, "a token is needed to publish to %s", p)
	default:
		return broker.Errorf(broker.Forbidden, "the token does not allow to publish to %s", p)
	}
}

// keyring knows the two tokens above and, so that recorded requests can be replayed with what they carried, the
// HS256 tokens of realm "myrealm" signed with realmKey. It does not look at exp: the package auth does.
type keyring struct{}

const realmKey = "key"

func (keyring) Authenticate(_ context.Context, credential string) (broker.Principal, error) {
	pattern := broker.Pattern("/**")
	switch {
	case credential == narrowToken:
		pattern = "/news"
	case credential == goodToken, signed(credential, "myrealm"):
	default:
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the token's signature is wrong")
	}
	return broker.Principal{
		Subject: "publisher", Issuer: "myrealm",
		Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: pattern}},
	}, nil
}

func signed(token, realm string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Iss string }
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return false
	}
	return claims.Iss == realm && hmac.Equal([]byte(parts[2]), []byte(signature(parts[0]+"."+parts[1])))
}

// mint makes a token with the header as the client spells it.
func mint(head, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + signature(text)
}

func signature(text string) string {
	mac := hmac.New(sha256.New, []byte(realmKey))
	_, _ = io.WriteString(mac, text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
