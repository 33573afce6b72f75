package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

func TestVerifier_takes_API_keys(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		key, hash := auth.GenerateAPIKey()
		only := []broker.Grant{grant(broker.ActPublish, "/a/**")}
		o := auth.VerifierOptions{APIKeys: []auth.APIKey{
			{ID: "other", Hash: hashes256("x")}, {ID: "backend", Hash: hash, Subject: "shop", Grants: only, Expires: time.Unix(epoch+3600, 0)},
		}}
		v := newVerifier(t, o)
		who, err := v.Authenticate(t.Context(), key)
		if err != nil || who.Subject != "shop" || who.Issuer != "default" || !slices.Equal(who.Grants, only) || !who.Expires.Equal(time.Unix(epoch+3600, 0)) {
			t.Errorf("%+v, %v", who, err)
		}
		if strings.Contains(fmt.Sprintf("%+v", who), key) {
			t.Error("the principal shows the key")
		}
		if _, err := v.Authenticate(t.Context(), payload(goodPayload)); err != nil {
			t.Errorf("tokens are taken beside: %v", err)
		}
		if err := v.Stands(who); err != nil {
			t.Error(err)
		}
		o.Realm = "two"
		if _, err := newVerifier(t, auth.VerifierOptions{Realm: "two"}).Authenticate(t.Context(), key); broker.KindOf(err) != broker.Unauthenticated {
			t.Errorf("in another realm: %v", err)
		}

		// What a key began ends when the key is gone, or another one has its id.
		_, newer := auth.GenerateAPIKey()
		for _, keys := range [][]auth.APIKey{nil, {{ID: "backend", Hash: newer}}} {
			err := newVerifier(t, auth.VerifierOptions{APIKeys: keys}).Stands(who)
			wantError(t, err, broker.Unauthenticated, "the API key is no longer one of the realm's")
		}
		time.Sleep(time.Hour)
		_, err = v.Authenticate(t.Context(), key)
		wantError(t, err, broker.Unauthenticated, "the API key expired at 2000-01-01T01:00:00Z")
		if !errors.Is(err, broker.ErrCredentialExpired) || v.Stands(who) == nil {
			t.Errorf("it was good once: %v; stands: %v", err, v.Stands(who))
		}
	})
}

func hashes256(s string) string { return "sha256:" + fmt.Sprintf("%064x", s) }

func TestVerifier_refuses_API_keys(t *testing.T) {
	key, hash := auth.GenerateAPIKey()
	stranger, _ := auth.GenerateAPIKey()
	v := newVerifier(t, auth.VerifierOptions{APIKeys: []auth.APIKey{{ID: "k", Hash: hash}}})
	const damaged = "the API key is damaged: a part of it is missing, or mistyped"
	for _, row := range []struct{ name, key, want string }{
		{"one of nobody", stranger, `the realm "default" has no such API key`},
		{"the prefix alone", "waft_", damaged},
		{"cut short", key[:len(key)-1], damaged},
		{"too long", key + "a", damaged},
		{"two characters swapped", key[:10] + key[11:12] + key[10:11] + key[12:], damaged},
		{"with a line break", key + "\n", damaged},
		{"a megabyte", "waft_" + strings.Repeat("a", 1<<20), damaged},
		{"in capitals", "WAFT_" + key[5:], notThree},
		{"its hash", hash, notThree},
		{"its hash as a key", "waft_" + strings.TrimPrefix(hash, "sha256:")[:36], damaged},
	} {
		if row.name == "two characters swapped" && key[10] == key[11] {
			continue
		}
		_, err := v.Authenticate(t.Context(), row.key)
		if err == nil {
			t.Errorf("%s was taken", row.name)
			continue
		}
		wantError(t, err, broker.Unauthenticated, row.want)
		if len(row.key) > 20 && strings.Contains(err.Error(), row.key[5:20]) {
			t.Errorf("%s: the error shows the key", row.name)
		}
	}
}

func TestGenerateAPIKey(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key, hash := auth.GenerateAPIKey()
		if len(key) != 41 || !strings.HasPrefix(key, "waft_") || strings.ContainsAny(key[5:], "-_.=") || seen[key] || strings.Contains(hash, key[5:]) {
			t.Errorf("%s %s", key, hash)
		}
		seen[key] = true
	}
}

func TestNewVerifier_refuses_API_keys_that_make_no_sense(t *testing.T) {
	key, hash := auth.GenerateAPIKey()
	const form = "the hash must be sha256: and 64 hexadecimal digits, as waft token api-key prints it"
	for _, row := range []struct {
		keys []auth.APIKey
		want string
	}{
		{[]auth.APIKey{{Hash: hash}}, "API key 1 (): it needs an id"},
		{[]auth.APIKey{{ID: "k"}}, "API key 1 (k): " + form},
		{[]auth.APIKey{{ID: "k", Hash: hash[:70]}}, "API key 1 (k): " + form},
		{[]auth.APIKey{{ID: "k", Hash: strings.TrimPrefix(hash, "sha256:")}}, "API key 1 (k): " + form},
		{[]auth.APIKey{{ID: "k", Hash: "sha256:" + strings.Repeat("x", 64)}}, "API key 1 (k): " + form},
		{[]auth.APIKey{{ID: "k", Hash: key}}, "API key 1 (k): this is the key itself, not its hash; make another one, since this one has been written down"},
		{[]auth.APIKey{{ID: "k", Hash: hash}, {ID: "l", Hash: hash}}, "API key 2 (l): it is the same as k"},
		{[]auth.APIKey{{ID: "k", Hash: hash}, {ID: "k", Hash: hashes256("x")}}, "API key 2 (k): another one has this id"},
		{[]auth.APIKey{{ID: "k", Hash: hash, Subject: "a\nb"}}, "API key 1 (k): the subject has a control character"},
		{[]auth.APIKey{{ID: "k", Hash: hash, Grants: []broker.Grant{{}}}}, "API key 1 (k): a channel name is missing"},
	} {
		_, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", APIKeys: row.keys})
		wantError(t, err, broker.Invalid, row.want)
	}
}
