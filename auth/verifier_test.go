package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

// The shapes that real clients send, from captures: only the spelling of the header and the lifetime differ.
func TestVerifier_takes_the_tokens_of_known_clients(t *testing.T) {
	const in10m, in1h = `{"iss":"default","exp":946685400}`, `{"iss":"default","exp":946688400}`
	for _, client := range []struct{ name, header, payload string }{
		{"npm fanoutpub: typ first, 600 s", `{"typ":"JWT","alg":"HS256"}`, in10m},
		{"npm grip 4: no typ, 600 s", `{"alg":"HS256"}`, in10m},
		{"Python and Go: typ last, 3600 s", `{"alg":"HS256","typ":"JWT"}`, in1h},
		{"Go: claims in the other order", `{"alg":"HS256","typ":"JWT"}`, `{"exp":946688400,"iss":"default"}`},
		{"Ruby: no typ, 3600 s", `{"alg":"HS256"}`, in1h},
		{"PHP: typ first, 3600 s", `{"typ":"JWT","alg":"HS256"}`, in1h},
		{"a typ of another kind (RFC 9068)", `{"typ":"at+jwt","alg":"HS256"}`, in10m},
		{"white space", "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", "{ \"iss\" : \"default\" ,\n\t\"exp\" : 946685400 }\n"},
		{"a fraction of a second", `{"alg":"HS256"}`, `{"iss":"default","exp":946685400.5}`},
		{"an exponent", `{"alg":"HS256"}`, `{"iss":"default","exp":9.466854e8}`},
		{"claims for others", `{"alg":"HS256","x5t":"?"}`, `{"iss":"default","exp":946685400,"iat":"soon","jti":7,"scope":{"a":[1,null,true]}}`},
		{"the realm as audience", `{"alg":"HS256"}`, `{"iss":"default","exp":946685400,"aud":["mail","default"]}`},
		{"the realm as the only audience", `{"alg":"HS256"}`, `{"iss":"default","exp":946685400,"aud":"default"}`},
		{"a kid that nobody knows", `{"alg":"HS256","kid":"key-7"}`, in10m},
		{"an empty kid", `{"alg":"HS256","kid":""}`, in10m},
	} {
		t.Run(client.name, func(t *testing.T) {
			at(t, 0, func(t *testing.T) {
				who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), hs256(client.header, client.payload))
				if err != nil {
					t.Fatal(err)
				}
				if who.Issuer != "default" || who.Subject != "" {
					t.Errorf("principal %+v", who)
				}
				if want := auth.Everything().Grants(); !slices.Equal(who.Grants, want) {
					t.Errorf("grants %v, want the key's: %v", who.Grants, want)
				}
			})
		})
	}
}

// RFC 7515 §A.1: signed by others, with line breaks inside header and payload.
func TestVerifier_takes_the_token_of_the_RFC(t *testing.T) {
	secret, err := auth.ParseSecret("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil {
		t.Fatal(err)
	}
	const token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
		".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	at(t, 0, func(t *testing.T) {
		v := newVerifier(t, auth.VerifierOptions{Realm: "joe", Keys: []auth.Key{{Secret: secret}}, MaxLifetime: 12 * 366 * 24 * time.Hour})
		if _, err := v.Authenticate(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestVerifier_gives_who_holds_the_token(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), claim(`"sub":"Zoë","waft":{"publish":["/a/**"]}`))
		if err != nil {
			t.Fatal(err)
		}
		if who.Subject != "Zoë" || who.Issuer != "default" {
			t.Errorf("principal %+v", who)
		}
		if want := time.Unix(946685400, 0).Add(auth.Leeway); !who.Expires.Equal(want) {
			t.Errorf("expires %v, want the end of the leeway, %v", who.Expires, want)
		}
		if want := []broker.Grant{grant(broker.ActPublish, "/a/**")}; !slices.Equal(who.Grants, want) {
			t.Errorf("grants %v, want only what the claim lists: %v", who.Grants, want)
		}
	})
}

func TestVerifier_an_empty_claim_leaves_no_rights(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), claim(`"waft":{}`))
		if err != nil || len(who.Grants) != 0 || who.Anonymous() {
			t.Errorf("%+v, %v", who, err)
		}
	})
}

func TestVerifier_takes_256_patterns(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		token := claim(`"waft":{"publish":["/a"` + strings.Repeat(`,"/b"`, 255) + `]}`)
		who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), token)
		if want := []broker.Grant{grant(broker.ActPublish, "/a"), grant(broker.ActPublish, "/b")}; err != nil || !slices.Equal(who.Grants, want) {
			t.Errorf("%v, %v", who.Grants, err)
		}
	})
}

// The leeway and the longest lifetime, to the second.
func TestVerifier_time(t *testing.T) {
	const token = `{"iss":"default","exp":946688400,"nbf":946685400}` // from 0:10 to 1:00
	for _, row := range []struct {
		name  string
		after time.Duration
		max   time.Duration
		want  string
	}{
		{"31 s before nbf", 9*time.Minute + 29*time.Second, 0, "the token is not valid before 2000-01-01T00:10:00Z"},
		{"30 s before nbf", 9*time.Minute + 30*time.Second, 0, ""},
		{"29 s after exp", time.Hour + 29*time.Second, 0, ""},
		{"30 s after exp", time.Hour + 30*time.Second, 0, "the token expired at 2000-01-01T01:00:00Z"},
		{"as long as may be", 30 * time.Minute, 30 * time.Minute, ""},
		{"as long as may be, with leeway", 30 * time.Minute, 30*time.Minute - 30*time.Second, ""},
		{
			"longer than may be", 30 * time.Minute, 30*time.Minute - 31*time.Second,
			"the token expires at 2000-01-01T01:00:00Z, more than 29m29s ahead",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			at(t, row.after, func(t *testing.T) {
				_, err := newVerifier(t, auth.VerifierOptions{MaxLifetime: row.max}).Authenticate(t.Context(), payload(token))
				if row.want != "" {
					wantError(t, err, broker.Unauthenticated, row.want)
				} else if err != nil {
					t.Error(err)
				}
				if got, want := errors.Is(err, broker.ErrCredentialExpired), strings.Contains(row.want, "expired"); got != want {
					t.Errorf("%v: expired is %v, want %v", err, got, want)
				}
			})
		})
	}
}

func TestVerifier_keys(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		only := func(p broker.Pattern) []broker.Grant { return []broker.Grant{grant(broker.ActPublish, p)} }
		secret := slices.Repeat(mainSecret, 2)
		keys := []auth.Key{
			{ID: "a", Secret: secret, Grants: only("/a")},
			{ID: "b", Algorithm: "HS384", Secret: secret, Grants: only("/b")},
			{ID: "c", Algorithm: "HS512", Secret: secret, Grants: only("/c")},
			{Secret: oldSecret, Grants: only("/d")},
			{Secret: mainSecret, Grants: []broker.Grant{}},
		}
		v := newVerifier(t, auth.VerifierOptions{Keys: keys})
		for _, row := range []struct {
			name  string
			token string
			want  []broker.Grant
		}{
			{"the first", sign("HS256", secret, `{"alg":"HS256"}`, goodPayload), only("/a")},
			{"by algorithm", sign("HS384", secret, `{"alg":"HS384"}`, goodPayload), only("/b")},
			{"by name", sign("HS512", secret, `{"alg":"HS512","kid":"c"}`, goodPayload), only("/c")},
			{"a later one", sign("HS256", oldSecret, `{"alg":"HS256"}`, goodPayload), only("/d")},
			{"one that allows nothing", sign("HS256", mainSecret, `{"alg":"HS256"}`, goodPayload), nil},
		} {
			who, err := v.Authenticate(t.Context(), row.token)
			if err != nil || !slices.Equal(who.Grants, row.want) {
				t.Errorf("%s: %v, %v; want the grants of the key that fits, %v", row.name, who.Grants, err, row.want)
			}
		}
	})
}

func TestVerifier_a_shared_key_does_not_join_realms(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		token, err := auth.Mint(mainKey, "one", auth.Claims{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newVerifier(t, auth.VerifierOptions{Realm: "one"}).Authenticate(t.Context(), token); err != nil {
			t.Error(err)
		}
		_, err = newVerifier(t, auth.VerifierOptions{Realm: "two"}).Authenticate(t.Context(), token)
		wantError(t, err, broker.Unauthenticated, `the token's issuer is "one", not the realm "two"`)
	})
}

func TestVerifier_without_keys_takes_nothing(t *testing.T) {
	v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{}})
	_, err := v.Authenticate(t.Context(), hs256(goodHeader, goodPayload))
	wantError(t, err, broker.Unauthenticated, "this realm has no keys, so it takes no tokens")
}

func TestNewVerifier_refuses(t *testing.T) {
	for _, row := range []struct {
		o    auth.VerifierOptions
		want string
	}{
		{auth.VerifierOptions{}, "a realm's id has 1 to 63 characters, not 0"},
		{auth.VerifierOptions{Realm: strings.Repeat("x", 64)}, "a realm's id has 1 to 63 characters, not 64"},
		{auth.VerifierOptions{Realm: "Chat"}, `the realm's id "Chat" has something else than a-z, 0-9 and '-' at byte 0`},
		{auth.VerifierOptions{Realm: "xmpp"}, `no realm can have the id "xmpp": it stands for the users of XMPP servers`},
		{auth.VerifierOptions{Realm: "r", MaxLifetime: -1}, "the longest lifetime of a token must not be negative"},
		{auth.VerifierOptions{Realm: "r", Keys: []auth.Key{mainKey, mainKey}}, `two keys of realm "r" have the id "main"`},
		{
			auth.VerifierOptions{Realm: "r", Keys: []auth.Key{{ID: "k", Algorithm: "none", Secret: mainSecret}}},
			`key "k": the algorithm "none" is none of ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, RS256`,
		},
		{auth.VerifierOptions{Realm: "r", Keys: []auth.Key{{ID: "k", Secret: mainSecret[:15]}}}, `key "k": the key has 15 bytes; it needs 16 or more`},
		{
			auth.VerifierOptions{Realm: "r", Keys: []auth.Key{{ID: "k", Secret: mainSecret, Grants: []broker.Grant{{}}}}},
			`key "k": a channel name is missing`,
		},
	} {
		_, err := auth.NewVerifier(row.o)
		wantError(t, err, broker.Invalid, row.want)
	}
}
