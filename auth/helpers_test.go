package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/auth"
	"waft/broker"
)

// The clock of a synctest bubble starts here.
const epoch = 946684800 // 2000-01-01T00:00:00Z

var (
	mainSecret = []byte("0123456789abcdef0123456789ABCDEF")
	oldSecret  = []byte("an older key, about to be retired")
	mainKey    = auth.Key{ID: "main", Secret: mainSecret}
	oldKey     = auth.Key{ID: "old", Secret: oldSecret}
)

var hashes = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token by hand, with no help from the code under test nor from the library that it uses.
func sign(alg string, secret []byte, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	mac := hmac.New(hashes[alg], secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(string(mac.Sum(nil)))
}

// hs256 signs with the realm's main key.
func hs256(header, payload string) string { return sign("HS256", mainSecret, header, payload) }

// good parts of a token; hostile ones differ in one thing.
const (
	goodHeader  = `{"alg":"HS256","typ":"JWT"}`
	goodPayload = `{"iss":"default","exp":946685400}` // ten minutes
)

// with gives goodPayload with more members.
func with(members string) string { return strings.TrimSuffix(goodPayload, "}") + "," + members + "}" }

func newVerifier(t testing.TB, o auth.VerifierOptions) *auth.Verifier {
	t.Helper()
	if o.Realm == "" {
		o.Realm = "default"
	}
	if o.Keys == nil {
		o.Keys = []auth.Key{mainKey, oldKey}
	}
	v, err := auth.NewVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newRules(t testing.TB, rules ...auth.Rule) *auth.Rules {
	t.Helper()
	r, err := auth.NewRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// at runs f in a bubble, some time after the epoch.
func at(t *testing.T, after time.Duration, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(after)
		f(t)
	})
}

func grant(act broker.Action, p broker.Pattern) broker.Grant {
	return broker.Grant{Action: act, Pattern: p}
}

func wantError(t *testing.T, err error, kind broker.Kind, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want %v: %s", kind, text)
	case broker.KindOf(err) != kind:
		t.Errorf("error of kind %v, want %v", broker.KindOf(err), kind)
	}
	if err.Error() != text {
		t.Errorf("error\n got: %s\nwant: %s", err, text)
	}
}
