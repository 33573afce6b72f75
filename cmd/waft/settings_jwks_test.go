package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"waft/auth"
)

// signer is a key pair of somebody else's, with its public half as a JWK.
type signer struct {
	kid string
	key auth.Key
	jwk string
}

func newSigner(t *testing.T, kid string) *signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	x := base64.RawURLEncoding.EncodeToString(public)
	return &signer{kid, auth.Key{ID: kid, Algorithm: "EdDSA", Private: private}, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s","kid":"%s"}`, x, kid)}
}

func (s *signer) token(t *testing.T, realm string) string {
	t.Helper()
	token, err := auth.Mint(s.key, realm, auth.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func jwks(signers ...*signer) string {
	var keys []string
	for _, s := range signers {
		keys = append(keys, s.jwk)
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

func published(t *testing.T, r *running, token string) int {
	t.Helper()
	status, _ := post(t, r.url()+"/realm/default/publish/x", token, `{"items":[{"json-object":{}}]}`)
	return status
}

func TestServe_keys_of_a_set_come_and_go_without_a_restart(t *testing.T) {
	a, b := newSigner(t, "a"), newSigner(t, "b")
	var set atomic.Value
	set.Store(jwks(a))
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, set.Load()) }))
	t.Cleanup(provider.Close)
	path := writeConfig(t, "[[realm]]\nid = 'default'\n[realm.tokens]\njwks_min_interval = '1ms'\njwks_refresh = '20ms'\n"+
		"[[realm.key]]\nid = 'elsewhere'\njwks_url = '"+provider.URL+"/jwks.json'\n")
	r := serve(t, nil, "--config", path)
	if status := published(t, r, a.token(t, "default")); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	set.Store(jwks(b))
	for published(t, r, a.token(t, "default")) != http.StatusUnauthorized { // until the next fetch
	}
	if status := published(t, r, b.token(t, "default")); status != http.StatusOK {
		t.Errorf("the new key: status %d", status)
	}
	if _, metrics := r.get(t, "/metrics"); !strings.Contains(metrics, `waft_jwks_keys{realm="default",set="elsewhere"} 1`) {
		t.Error("the metrics do not count the set's keys")
	}
	if code, _, stderr := run(t, nil, "token", "check", "--config", path, b.token(t, "default")); code != exitOK {
		t.Errorf("token check: %s", stderr)
	}
	if code, _, stderr := run(t, nil, "token", "mint", "--config", path); code != exitUsage || !strings.Contains(stderr, "has no key of its own to sign with") {
		t.Errorf("token mint: %s", stderr)
	}
}

func TestReload_reads_a_set_from_its_file_again(t *testing.T) {
	a, b := newSigner(t, "a"), newSigner(t, "b")
	text := reloadBase + "[[realm.key]]\njwks_file = 'jwks.json'\n"
	path := writeConfig(t, text)
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "jwks.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(jwks(a))
	r := &reloadable{t: t, path: path, hangups: make(chan os.Signal)}
	r.running = serveWith(t, nil, func(p *program) { p.hangups = r.hangups }, "--config", path)
	if status := published(t, r.running, a.token(t, "default")); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	write("{")
	if log := r.reload(text); !strings.Contains(log, "nothing has changed") || published(t, r.running, a.token(t, "default")) != http.StatusOK {
		t.Errorf("a damaged file: the log says %s", log)
	}
	write(jwks(b))
	r.reload(text)
	if old, now := published(t, r.running, a.token(t, "default")), published(t, r.running, b.token(t, "default")); old != http.StatusUnauthorized || now != http.StatusOK {
		t.Errorf("the old key's token: %d, the new one's: %d", old, now)
	}
}

func TestReload_ends_the_fetching_of_a_set_that_is_gone(t *testing.T) {
	before := goleak.IgnoreCurrent()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwks()) }))
	r := serveReloadable(t, nil, reloadBase+"[[realm.key]]\njwks_url = '"+provider.URL+"'\n")
	if log := r.reload(reloadBase + "[[realm.key]]\nsecret = '" + goodKey + "'\n"); !strings.Contains(log, `msg="reloaded`) {
		t.Error(log)
	}
	r.stop()
	provider.Close()
	goleak.VerifyNone(t, before)
}

func TestLoad_a_set_that_makes_no_sense_is_named(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{"two_places", "jwks_url = 'https://a.example/'\njwks_file = 'x'", "key 1: set only one of jwks_url and jwks_file"},
		{"with_a_secret", "jwks_url = 'https://a.example/'\nsecret = 'x'", "key 1: it has a JWK set and a key of its own"},
		{"with_a_public_key", "jwks_url = 'https://a.example/'\npublic_key = 'x'", "key 1: it has a JWK set and a key of its own"},
		{"with_alg", "jwks_url = 'https://a.example/'\nalg = 'RS256'", "key 1: alg is for a single key"},
		{"algs_without_a_set", "secret = '" + goodKey + "'\nalgs = ['RS256']", "key 1: algs is for a JWK set"},
		{"an_audience_without_an_issuer", "jwks_url = 'https://a.example/'\naudience = 'x'", "key 1: audience is for tokens of another issuer"},
		{"plain_http", "jwks_url = 'http://a.example/'", "the address of a JWK set begins with https"},
		{"an_algorithm_of_secrets", "jwks_url = 'https://a.example/'\nalgs = ['HS256']", `the algorithm "HS256" is none of those with public keys`},
		{"a_file_that_is_not_there", "jwks_file = 'nowhere'", "key 1: jwks_file: open"},
		{"too_rare", "jwks_url = 'https://a.example/'\n[realm.tokens]\njwks_refresh = '1000h'", "between two fetches is more than 31 days"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, "[[realm]]\nid = 'a'\n[[realm.key]]\n"+c.key, nil)
			wantConfigError(t, err, c.want)
		})
	}
}
