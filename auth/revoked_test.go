package auth_test

import (
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

func revoked(t testing.TB, list ...auth.Revocation) *auth.Revoked {
	t.Helper()
	r, err := auth.NewRevoked(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifier_refuses_what_was_revoked(t *testing.T) {
	const minute = epoch + 60
	t1 := time.Unix(minute, 0)
	const none = "the token has been revoked"
	const old = "the token was issued at 2000-01-01T00:00:59Z, and those of before 2000-01-01T00:01:00Z have been revoked"
	const silent = "the token does not say when it was issued (iat), and those of before 2000-01-01T00:01:00Z have been revoked"
	named := func(members string) string { return hs256(`{"alg":"HS256","kid":"main"}`, with(members)) }
	for _, row := range []struct {
		name  string
		rule  auth.Revocation
		token string
		want  string
	}{
		{"its jti", auth.Revocation{ID: "x"}, claim(`"jti":"x"`), none},
		{"another jti", auth.Revocation{ID: "x"}, claim(`"jti":"X"`), ""},
		{"no jti", auth.Revocation{ID: "x"}, payload(goodPayload), ""},
		{"an empty jti", auth.Revocation{ID: "x"}, claim(`"jti":""`), ""},
		{"a jti that is no string", auth.Revocation{ID: "7"}, claim(`"jti":7`), "the token's jti is not a string"},
		{"its holder", auth.Revocation{Subject: "alice"}, claim(`"sub":"alice"`), none},
		{"another holder", auth.Revocation{Subject: "alice"}, claim(`"sub":"bob"`), ""},
		{"nobody", auth.Revocation{Subject: "alice"}, payload(goodPayload), ""},
		{"its key", auth.Revocation{Key: "main"}, named(`"jti":"x"`), none},
		{"its key, which it does not name", auth.Revocation{Key: "main"}, claim(`"jti":"x"`), none},
		{"another key", auth.Revocation{Key: "old"}, named(`"jti":"x"`), ""},
		{"its jti with another's holder", auth.Revocation{ID: "x", Subject: "bob"}, claim(`"jti":"x","sub":"alice"`), ""},
		{"its holder with another key", auth.Revocation{Subject: "alice", Key: "old"}, claim(`"jti":"x","sub":"alice"`), ""},
		{"its jti, holder and key", auth.Revocation{ID: "x", Subject: "alice", Key: "main"}, claim(`"jti":"x","sub":"alice"`), none},
		{"issued before", auth.Revocation{Before: t1}, claim(`"iat":946684859`), old},
		{"issued a fraction before", auth.Revocation{Before: t1}, claim(`"iat":946684859.9`), old},
		{"issued then", auth.Revocation{Before: t1}, claim(`"iat":946684860`), ""},
		{"issued who knows when", auth.Revocation{Before: t1}, payload(goodPayload), silent},
		{"issued in words", auth.Revocation{Before: t1}, claim(`"iat":"soon"`), "the token's iat is not a number"},
		{"issued null", auth.Revocation{Before: t1}, claim(`"iat":null`), "the token's iat is not a number"},
		{
			"issued in milliseconds",
			auth.Revocation{Before: t1},
			claim(`"iat":946684859000`),
			"the token says that it is issued at 31969-04-01T16:23:20Z, in the future; it looks like milliseconds, and counts in seconds since 1970",
		},
		{"issued by a clock that is a little fast", auth.Revocation{Before: t1}, claim(`"iat":946684889`), ""},
		{"issued by a clock that is fast", auth.Revocation{Before: t1}, claim(`"iat":946684892`), "the token says that it is issued at 2000-01-01T00:01:32Z, in the future"},
		{"its holder, before", auth.Revocation{Subject: "alice", Before: t1}, claim(`"sub":"alice","iat":946684859`), old},
		{"its holder, since", auth.Revocation{Subject: "alice", Before: t1}, claim(`"sub":"alice","iat":946684860`), ""},
		{"another holder, before", auth.Revocation{Subject: "alice", Before: t1}, claim(`"sub":"bob","iat":946684859`), ""},
		{"another holder, who knows when", auth.Revocation{Subject: "alice", Before: t1}, claim(`"sub":"bob"`), ""},
		{"its key, before", auth.Revocation{Key: "main", Before: t1}, claim(`"iat":946684859`), old},
	} {
		t.Run(row.name, func(t *testing.T) {
			at(t, time.Minute, func(t *testing.T) {
				before := newVerifier(t, auth.VerifierOptions{})
				was, err := before.Authenticate(t.Context(), row.token)
				if err != nil {
					t.Fatalf("a realm that revokes nothing takes it: %v", err)
				}
				v := newVerifier(t, auth.VerifierOptions{Revoked: revoked(t, auth.Revocation{ID: "other"}, row.rule)})
				who, err := v.Authenticate(t.Context(), row.token)
				stands := v.Stands(was)
				if row.want == "" {
					if err != nil || stands != nil {
						t.Errorf("%v, and what it began: %v", err, stands)
					}
					return
				}
				wantError(t, err, broker.Unauthenticated, row.want)
				if !who.Anonymous() {
					t.Errorf("it made a principal: %+v", who)
				}
				// A jti or an iat of the wrong type is nothing that a session could be known by.
				if stands == nil && !strings.Contains(row.want, "is not a") {
					t.Error("what it began still stands")
				}
			})
		})
	}
}

func TestVerifier_Stands_is_about_its_own_realm_alone(t *testing.T) {
	v := newVerifier(t, auth.VerifierOptions{Revoked: revoked(t, auth.Revocation{Before: time.Unix(epoch, 0)})})
	for _, who := range []broker.Principal{{}, {Subject: "alice", Issuer: "other"}, {Subject: "alice@localhost", Issuer: auth.XMPPIssuer}} {
		if err := v.Stands(who); err != nil {
			t.Errorf("%+v: %v", who, err)
		}
	}
	if v.Stands(broker.Principal{Issuer: "default"}) == nil {
		t.Error("one of the realm stands")
	}
}

func TestNewRevoked_refuses_what_would_revoke_everything_for_ever(t *testing.T) {
	_, err := auth.NewRevoked([]auth.Revocation{{ID: "x"}, {}})
	wantError(t, err, broker.Invalid, "revocation 2: it says neither which tokens (id, subject, key) nor of what time (before)")
}

func TestMint_writes_what_a_token_can_be_revoked_by(t *testing.T) {
	at(t, time.Minute, func(t *testing.T) {
		token, err := auth.Mint(mainKey, "default", auth.Claims{ID: "x", Issued: true})
		if err != nil {
			t.Fatal(err)
		}
		who, err := newVerifier(t, auth.VerifierOptions{}).Authenticate(t.Context(), token)
		if want := (broker.Credential{ID: "x", Key: "main", Issued: time.Unix(epoch+60, 0)}); err != nil || who.Credential != want {
			t.Errorf("%+v, %v", who.Credential, err)
		}
		_, err = auth.Mint(mainKey, "default", auth.Claims{ID: "a\nb"})
		wantError(t, err, broker.Invalid, "the token's id has a control character")
	})
}

func BenchmarkRevoked(b *testing.B) {
	list := make([]auth.Revocation, 100_000)
	for i := range list {
		list[i].ID = time.Unix(int64(i), 0).String()
	}
	v := newVerifier(b, auth.VerifierOptions{Revoked: revoked(b, list...)})
	who := broker.Principal{Issuer: "default", Credential: broker.Credential{ID: "x", Key: "main"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Stands(who); err != nil {
			b.Fatal(err)
		}
	}
}
