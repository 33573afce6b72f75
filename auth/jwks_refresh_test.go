package auth_test

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/auth"
	"waft/broker"
)

// provider is the address of a set, as http.RoundTripper: time in a bubble stands still while a socket is waited for.
type provider struct {
	mu      sync.Mutex
	set     string
	err     error
	takes   time.Duration // how long an answer does
	fetches int
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	set, err, takes := p.set, p.err, p.takes
	p.fetches++
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(set)), Request: r}, nil
}

func (p *provider) now(set string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set, p.err = set, err
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

const setURL = "https://id.example/jwks.json"

func options(p *provider) auth.SetOptions { return auth.SetOptions{URL: setURL, Transport: p} }

// logText is what was logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// started is a verifier of one set, which the test's end stops.
func started(t *testing.T, o auth.SetOptions) (v *auth.Verifier, log *logText) {
	t.Helper()
	v = newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{}, Sets: []auth.SetOptions{o}})
	log = &logText{}
	v.Start(slog.New(slog.NewTextHandler(log, nil)), nil)
	t.Cleanup(v.Close)
	return v, log
}

func ed(kid string, key crypto.Signer) string {
	return signPair("EdDSA", key, `{"alg":"EdDSA","kid":"`+kid+`"}`, `{"iss":"default","exp":978307200}`) // a year
}

func edJWK(kid string, key crypto.Signer) string { return jwk(key.Public(), `"kid":"`+kid+`"`) }

func TestVerifier_set_changes_its_keys_without_a_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEd25519(), newEd25519()
		p := &provider{set: jwks(edJWK("a", a))}
		v, _ := started(t, options(p))
		if _, err := v.Authenticate(t.Context(), ed("a", a)); err != nil {
			t.Fatalf("the first token waits for the first fetch: %v", err)
		}
		time.Sleep(time.Minute)
		p.now(jwks(edJWK("a", a), edJWK("b", b)), nil)
		if _, err := v.Authenticate(t.Context(), ed("b", b)); err != nil {
			t.Errorf("a new key, met long before the hour: %v", err)
		}
		if _, err := v.Authenticate(t.Context(), ed("a", a)); err != nil {
			t.Errorf("the old key is still there: %v", err)
		}
		p.now(jwks(edJWK("b", b)), nil)
		time.Sleep(67 * time.Minute)
		_, err := v.Authenticate(t.Context(), ed("a", a))
		wantError(t, err, broker.Unauthenticated, badSignature)
		if _, err := v.Authenticate(t.Context(), ed("b", b)); err != nil {
			t.Error(err)
		}
		_, err = v.Authenticate(t.Context(), ed("b", a))
		wantError(t, err, broker.Unauthenticated, badSignature)
		if s := v.Stats(); len(s) != 1 || s[0].Name != "id.example" || s[0].Keys != 1 || s[0].Fetched < 3 || s[0].Failed != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestVerifier_set_strangers_cannot_cause_fetches_beyond_a_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newEd25519()
		p := &provider{set: jwks(edJWK("a", key))}
		v, _ := started(t, options(p))
		if _, err := v.Authenticate(t.Context(), ed("a", key)); err != nil {
			t.Fatal(err)
		}
		for i := range 2000 { // of ten minutes
			time.Sleep(300 * time.Millisecond)
			before := time.Now()
			if _, err := v.Authenticate(t.Context(), ed(fmt.Sprint("x", i), key)); broker.KindOf(err) != broker.Unauthenticated {
				t.Fatal(err)
			}
			if time.Since(before) > 0 {
				t.Fatal("a stranger's token took time")
			}
		}
		if n := p.count(); n > 21 {
			t.Errorf("%d fetches in ten minutes, and one every 30 s may be", n)
		}
		time.Sleep(2 * time.Minute)
		n := p.count()
		for range 10 { // of two minutes, beside the hour's own
			if _, err := v.Authenticate(t.Context(), ed("gone", key)); broker.KindOf(err) != broker.Unauthenticated {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if more := p.count() - n; more != 1 {
			t.Errorf("%d fetches for one kid that the first had not brought", more)
		}
		// Forged for a key that is known: nothing to look for.
		time.Sleep(time.Minute)
		n = p.count()
		if _, err := v.Authenticate(t.Context(), ed("a", newEd25519())); broker.KindOf(err) != broker.Unauthenticated || p.count() != n {
			t.Errorf("%v, %d fetches", err, p.count()-n)
		}
		// Of an algorithm that is not allowed: likewise.
		if _, err := v.Authenticate(t.Context(), sign("HS256", mainSecret, `{"alg":"HS256","kid":"new"}`, goodPayload)); broker.KindOf(err) != broker.Unauthenticated || p.count() != n {
			t.Errorf("%v, %d fetches", err, p.count()-n)
		}
	})
}

func TestVerifier_set_is_fetched_every_hour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{set: jwks(edJWK("a", newEd25519()))}
		started(t, options(p))
		time.Sleep(100 * time.Hour)
		if n := p.count(); n < 90 || n > 112 {
			t.Errorf("%d fetches in 100 hours", n)
		}
	})
}

func TestVerifier_set_keeps_the_last_good_one(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newEd25519()
		p := &provider{set: jwks(edJWK("a", key))}
		v, log := started(t, options(p))
		if _, err := v.Authenticate(t.Context(), ed("a", key)); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []struct {
			set string
			err error
		}{{"", errors.New("no such host")}, {"<html>down for maintenance</html>", nil}, {"{}", nil}, {strings.Repeat(" ", 262144) + jwks(), nil}} {
			p.now(bad.set, bad.err)
			before := v.Stats()[0].Failed
			time.Sleep(70 * time.Minute)
			if v.Stats()[0].Failed == before {
				t.Errorf("%.20q: no failure was counted", bad.set)
			}
			if _, err := v.Authenticate(t.Context(), ed("a", key)); err != nil {
				t.Errorf("%.20q: %v", bad.set, err)
			}
		}
		if n := p.count(); n > 60 {
			t.Errorf("%d fetches in under five hours of failures", n)
		}
		if !strings.Contains(log.String(), "no such host") || !strings.Contains(log.String(), "more than 262144 bytes") || strings.Contains(log.String(), setURL) {
			t.Errorf("the log says %s", log)
		}
		// A set without keys is one: its owner trusts nobody any more.
		p.now(jwks(), nil)
		time.Sleep(70 * time.Minute)
		if _, err := v.Authenticate(t.Context(), ed("a", key)); broker.KindOf(err) != broker.Unauthenticated {
			t.Error(err)
		}
	})
}

func TestVerifier_set_that_was_never_there(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newEd25519()
		p := &provider{err: errors.New("refused")}
		v, _ := started(t, options(p))
		_, err := v.Authenticate(t.Context(), ed("a", key))
		wantError(t, err, broker.Unavailable, "the keys of this realm could not be fetched yet, so the token cannot be verified now")
		p.now(jwks(edJWK("a", key)), nil)
		time.Sleep(34 * time.Second)
		if _, err := v.Authenticate(t.Context(), ed("a", key)); err != nil {
			t.Errorf("it is there now: %v", err)
		}
	})
}

func TestVerifier_set_that_answers_slowly_holds_nobody_for_long(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newEd25519()
		o := options(&provider{set: jwks(edJWK("a", key)), takes: time.Hour})
		o.Timeout = 3 * time.Second
		v, log := started(t, o)
		before := time.Now()
		_, err := v.Authenticate(t.Context(), ed("a", key))
		if broker.KindOf(err) != broker.Unavailable || time.Since(before) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		synctest.Wait()
		if !strings.Contains(log.String(), "deadline exceeded") {
			t.Errorf("the log says %s", log)
		}
	})
}

func TestVerifier_set_without_kid_takes_only_what_is_unambiguous(t *testing.T) {
	key, other := newEd25519(), newEd25519()
	token := signPair("EdDSA", key, `{"alg":"EdDSA"}`, goodPayload)
	for _, row := range []struct {
		set  string
		good bool
	}{
		{jwks(edJWK("a", key)), true},
		{jwks(edJWK("a", key), jwk(p256Pair().Public(), `"kid":"b"`)), true},
		{jwks(edJWK("a", key), edJWK("b", other)), false},
		{jwks(edJWK("b", other), edJWK("a", key)), false},
		{jwks(edJWK("a", other)), false},
	} {
		at(t, 0, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{}, Sets: []auth.SetOptions{{Text: []byte(row.set)}}})
			if _, err := v.Authenticate(t.Context(), token); (err == nil) != row.good {
				t.Errorf("%s: %v", row.set, err)
			}
		})
	}
}

func TestVerifier_Start_takes_over_what_the_older_one_has_fetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newEd25519()
		p := &provider{set: jwks(edJWK("a", key))}
		old, _ := started(t, options(p))
		if _, err := old.Authenticate(t.Context(), ed("a", key)); err != nil {
			t.Fatal(err)
		}
		p.now("", errors.New("down"))
		o := options(p)
		o.Grants = []broker.Grant{grant(broker.ActPublish, "/a")}
		v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{}, Sets: []auth.SetOptions{o}})
		v.Start(slog.New(slog.DiscardHandler), old)
		defer v.Close()
		old.Close()
		if who, err := v.Authenticate(t.Context(), ed("a", key)); err != nil || len(who.Grants) != 1 {
			t.Errorf("%+v, %v; want the new grants", who, err)
		}
	})
}

func TestVerifier_of_an_issuer_that_signs_for_many(t *testing.T) {
	for _, row := range []struct{ name, audience, payload, want string }{
		{"its token", "", `{"iss":"https://id.example","aud":"default","exp":946685400}`, ""},
		{"its token, for several", "", `{"iss":"https://id.example","aud":["x","default"],"exp":946685400}`, ""},
		{"its token, for an audience of another name", "api", `{"iss":"https://id.example","aud":"api","exp":946685400}`, ""},
		{"for the realm, where the audience has another name", "api", `{"iss":"https://id.example","aud":"default","exp":946685400}`, `the token is for another audience (aud) than "api"`},
		{"for another service", "", `{"iss":"https://id.example","aud":"other","exp":946685400}`, `the token is for another audience (aud) than the realm "default"`},
		{"for nobody", "", `{"iss":"https://id.example","exp":946685400}`, `the token has no audience (aud); it must be "default"`},
		{"of another issuer", "", `{"iss":"https://id.example/","aud":"default","exp":946685400}`, `the token's issuer is "https://id.example/", not "https://id.example", for which its key is`},
		{"of the realm", "", `{"iss":"default","aud":"default","exp":946685400}`, `the token's issuer is "default", not "https://id.example", for which its key is`},
		{"of nobody", "", `{"aud":"default","exp":946685400}`, `the token's issuer is "", not "https://id.example", for which its key is`},
	} {
		at(t, 0, func(t *testing.T) {
			key := auth.Key{Algorithm: "ES256", Public: p256Pair().Public(), Issuer: "https://id.example", Audience: row.audience}
			set := auth.SetOptions{Text: []byte(jwks(jwk(key.Public))), Issuer: key.Issuer, Audience: key.Audience}
			for _, o := range []auth.VerifierOptions{{Keys: []auth.Key{key}}, {Keys: []auth.Key{}, Sets: []auth.SetOptions{set}}} {
				who, err := newVerifier(t, o).Authenticate(t.Context(), signPair("ES256", p256Pair(), `{"alg":"ES256"}`, row.payload))
				if row.want != "" {
					wantError(t, err, broker.Unauthenticated, row.want)
				} else if err != nil || who.Issuer != "default" {
					t.Errorf("%s: %+v, %v", row.name, who, err)
				}
			}
		})
	}
}

func TestNewVerifier_refuses_sets(t *testing.T) {
	for _, row := range []struct {
		name string
		o    auth.SetOptions
		want string
	}{
		{"nowhere", auth.SetOptions{Name: "s"}, `JWK set "s": it has an address or a text, one of them`},
		{"in two places", auth.SetOptions{Name: "s", URL: setURL, Text: []byte(jwks())}, `JWK set "s": it has an address or a text, one of them`},
		{"http", auth.SetOptions{URL: "http://id.example/jwks.json"}, `the address of a JWK set begins with https, and "http://id.example/jwks.json" does not`},
		{"a host that begins like this one", auth.SetOptions{URL: "http://127.0.0.1.example/"}, `the address of a JWK set begins with https, and "http://127.0.0.1.example/" does not`},
		{"a file", auth.SetOptions{URL: "file:///etc/jwks"}, `"file:///etc/jwks" is not the address of a JWK set, such as https://id.example/jwks.json`},
		{"with a password", auth.SetOptions{URL: "https://u:p@id.example/"}, `"https://u:p@id.example/" is not the address of a JWK set, such as https://id.example/jwks.json`},
		{"an algorithm of secrets", auth.SetOptions{URL: setURL, Algorithms: []string{"HS256"}}, `JWK set "": the algorithm "HS256" is none of those with public keys: ES256, ES384, EdDSA, PS256, RS256`},
		{"a negative time", auth.SetOptions{URL: setURL, Timeout: -1}, `JWK set "": times and sizes must not be negative`},
		{"too rare", auth.SetOptions{URL: setURL, Refresh: 32 * 24 * time.Hour}, `JWK set "": 32 days between two fetches is more than 31 days, and keys that are gone would stay good as long`},
		{"text that is none", auth.SetOptions{Text: []byte("x")}, `JWK set "file": the JWK set is not valid JSON`},
		{"a text without keys", auth.SetOptions{Text: []byte(jwks(`{"kty":"oct","k":"AA"}`))}, `JWK set "file": it has no key that can be used: key 1 (kid ""): it is a secret, and whoever can read the set can sign with it; secrets belong in the configuration`},
		{"a bad pattern", auth.SetOptions{URL: setURL, Grants: []broker.Grant{{}}}, `JWK set "": a channel name is missing`},
	} {
		_, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Sets: []auth.SetOptions{row.o}})
		if err == nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		wantError(t, err, broker.Invalid, row.want)
	}
	_, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Sets: []auth.SetOptions{{URL: setURL}, {URL: setURL}}})
	wantError(t, err, broker.Invalid, `two JWK sets of realm "r" have the name "id.example"`)
	for _, url := range []string{"http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:80/", "https://id.example:8443/x?tenant=1"} {
		if _, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Sets: []auth.SetOptions{{URL: url}}}); err != nil {
			t.Error(err)
		}
	}
}

// Over real sockets: what the fetcher does with redirects, answers that are none, and its goroutines at the end.
func TestVerifier_set_over_http(t *testing.T) {
	defer goleak.VerifyNone(t)
	key := newEd25519()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwks(edJWK("a", key))) }))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwks(edJWK("a", key))) })
	mux.Handle("/moved", http.RedirectHandler("/jwks", http.StatusMovedPermanently))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler(other.URL, http.StatusFound))
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, jwks(edJWK("a", key)))
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9999")
		fmt.Fprint(w, `{"keys":[`)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	token := signPair("EdDSA", key, `{"alg":"EdDSA","kid":"a"}`, fmt.Sprintf(`{"iss":"default","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	for _, row := range []struct{ path, log string }{
		{"/jwks", ""},
		{"/moved", ""},
		{"/loop", "more than 3 redirects"},
		{"/away", "it redirects to another host or scheme"},
		{"/error", "the answer is 500 Internal Server Error"},
		{"/nowhere", "the answer is 404 Not Found"},
		{"/endless", "the answer has more than 1000 bytes"},
		{"/half", "unexpected EOF"},
	} {
		v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{}, Sets: []auth.SetOptions{{URL: s.URL + row.path, MaxBody: 1000}}})
		var log logText
		v.Start(slog.New(slog.NewTextHandler(&log, nil)), nil)
		_, err := v.Authenticate(t.Context(), token)
		v.Close()
		if (err == nil) != (row.log == "") || !strings.Contains(log.String(), row.log) {
			t.Errorf("%s: %v, the log says %s", row.path, err, &log)
		}
	}
}
