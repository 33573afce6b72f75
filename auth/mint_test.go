package auth_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

func TestMint_writes_only_what_was_asked_for(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		for _, row := range []struct {
			name            string
			claims          auth.Claims
			header, payload string
		}{
			{"nothing", auth.Claims{}, `{"alg":"HS256","kid":"main","typ":"JWT"}`, `{"exp":946688400,"iss":"default"}`},
			{
				"a subject and a lifetime",
				auth.Claims{Subject: "alice", Lifetime: 600*time.Second - 1},
				`{"alg":"HS256","kid":"main","typ":"JWT"}`, `{"exp":946685400,"iss":"default","sub":"alice"}`,
			},
			{
				"an expiry in the past",
				auth.Claims{Expires: time.Unix(epoch-3600, 0)},
				`{"alg":"HS256","kid":"main","typ":"JWT"}`, `{"exp":946681200,"iss":"default"}`,
			},
			{
				"some rights, later",
				auth.Claims{NotBefore: time.Unix(epoch+60, 0), Rights: &auth.Rights{Publish: []broker.Pattern{"/a/*"}, Manage: true}},
				`{"alg":"HS256","kid":"main","typ":"JWT"}`,
				`{"exp":946688400,"iss":"default","nbf":946684860,"waft":{"publish":["/a/*"],"manage":true}}`,
			},
			{
				"no rights",
				auth.Claims{Rights: &auth.Rights{}},
				`{"alg":"HS256","kid":"main","typ":"JWT"}`, `{"exp":946688400,"iss":"default","waft":{}}`,
			},
		} {
			token, err := auth.Mint(mainKey, "default", row.claims)
			if err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
			parts := strings.Split(token, ".")
			for i, want := range []string{row.header, row.payload} {
				if got, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil || string(got) != want {
					t.Errorf("%s\n got: %s\nwant: %s", row.name, got, want)
				}
			}
		}
	})
}

func TestMint_is_understood_by_the_verifier(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		rights := auth.Rights{
			Publish:   []broker.Pattern{"/a/**"},
			Subscribe: []broker.Pattern{"/a/*", "/b"},
			Read:      []broker.Pattern{"/**"},
		}
		for _, alg := range []string{"", "HS256", "HS384", "HS512"} {
			key := auth.Key{Algorithm: alg, Secret: mainSecret}
			token, err := auth.Mint(key, "default", auth.Claims{Subject: "alice", Lifetime: auth.DefaultMaxLifetime, Rights: &rights})
			if err != nil {
				t.Fatal(err)
			}
			who, err := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{key}}).Authenticate(t.Context(), token)
			if err != nil || who.Subject != "alice" || !slices.Equal(who.Grants, rights.Grants()) {
				t.Errorf("%s: %+v, %v", alg, who, err)
			}
		}
	})
}

func TestMint_refuses(t *testing.T) {
	narrow := auth.Key{ID: "narrow", Secret: mainSecret, Grants: auth.Rights{Publish: []broker.Pattern{"/a/*"}}.Grants()}
	long := make([]broker.Pattern, 200)
	for i := range long {
		long[i] = broker.Pattern("/" + strings.Repeat("x", 40+i))
	}
	for _, row := range []struct {
		name   string
		key    auth.Key
		realm  string
		claims auth.Claims
		want   string
	}{
		{"a bad realm", mainKey, "a/b", auth.Claims{}, `the realm's id "a/b" has something else than a-z, 0-9 and '-' at byte 1`},
		{"a bad key", auth.Key{}, "r", auth.Claims{}, `key "": the key has 0 bytes; it needs 16 or more`},
		{"an expiry in a hundred years", mainKey, "r", auth.Claims{Expires: time.Unix(epoch+100*365*24*3600, 0)}, "the token would expire at 2099-12-07T00:00:00Z, which no realm takes by default"},
		{"a lifetime below zero", mainKey, "r", auth.Claims{Lifetime: -1}, "the token's lifetime of -1ns is negative"},
		{
			"a lifetime of eleven years", mainKey, "r",
			auth.Claims{Lifetime: 4015 * 24 * time.Hour},
			"the token's lifetime of 4015 days is more than 3652 days, which no realm takes by default",
		},
		{
			"a beginning after the end", mainKey, "r",
			auth.Claims{NotBefore: time.Unix(epoch+3600, 0)},
			"the token would begin to hold at 2000-01-01T01:00:00Z, when it has expired",
		},
		{"a subject with a line break", mainKey, "r", auth.Claims{Subject: "a\nb"}, "the token's subject has a control character"},
		{"a subject that is not UTF-8", mainKey, "r", auth.Claims{Subject: "\xff"}, "the token's subject is not UTF-8"},
		{
			"more than the key allows", narrow, "r",
			auth.Claims{Rights: &auth.Rights{Publish: []broker.Pattern{"/a/**"}}},
			`key "narrow" (HS256) does not allow its tokens to publish to /a/**`,
		},
		{
			"management that the key does not allow", narrow, "r",
			auth.Claims{Rights: &auth.Rights{Manage: true}},
			`key "narrow" (HS256) does not allow its tokens to manage /**`,
		},
		{
			"a bad pattern", mainKey, "r",
			auth.Claims{Rights: &auth.Rights{Read: []broker.Pattern{"a"}}},
			`channel "a" does not begin with a slash`,
		},
		{
			"too many patterns", mainKey, "r",
			auth.Claims{Rights: &auth.Rights{Read: slices.Repeat([]broker.Pattern{"/a"}, 257)}},
			"the token would list 257 patterns, more than the limit of 256",
		},
		{
			"too long a token", mainKey, "r",
			auth.Claims{Rights: &auth.Rights{Read: long}},
			"the token would have 38426 bytes, more than the limit of 8192",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			at(t, 0, func(t *testing.T) {
				_, err := auth.Mint(row.key, row.realm, row.claims)
				wantError(t, err, broker.Invalid, row.want)
			})
		})
	}
}
