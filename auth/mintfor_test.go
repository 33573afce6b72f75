package auth_test

import (
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
)

func TestMintFor_gives_nobody_more_than_he_has(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		who := broker.Principal{Subject: "alice", Expires: time.Now().Add(time.Hour), Grants: auth.Rights{
			Publish: []broker.Pattern{"/a/*"}, Read: []broker.Pattern{"/**"}, Manage: true,
		}.Grants()}
		narrow := auth.Key{ID: "main", Secret: mainSecret, Grants: auth.Rights{Publish: []broker.Pattern{"/a/1"}}.Grants()}
		p := func(s ...broker.Pattern) []broker.Pattern { return s }
		for _, c := range []struct {
			name   string
			key    auth.Key
			claims auth.Claims
			kind   broker.Kind
			text   string
		}{
			{"less", mainKey, auth.Claims{Rights: &auth.Rights{Publish: p("/a/1"), Read: p("/x/**")}}, 0, ""},
			{"as much", mainKey, auth.Claims{Rights: &auth.Rights{Publish: p("/a/*"), Read: p("/**"), Manage: true}}, 0, ""},
			{"a wider pattern", mainKey, auth.Claims{Rights: &auth.Rights{Publish: p("/a/**")}}, broker.Forbidden, "you cannot let others publish to /a/**: you may not yourself"},
			{"another right", mainKey, auth.Claims{Rights: &auth.Rights{Subscribe: p("/a/1")}}, broker.Forbidden, "you cannot let others subscribe to /a/1: you may not yourself"},
			{"nothing said", mainKey, auth.Claims{}, broker.Invalid, "the token's rights are not said"},
			{
				"longer", mainKey,
				auth.Claims{Lifetime: time.Hour + time.Second, Rights: &auth.Rights{Publish: p("/a/1")}},
				broker.Forbidden,
				"the token would outlive your own credential, which expires at 2000-01-01T01:00:00Z",
			},
			{"more than the key", narrow, auth.Claims{Rights: &auth.Rights{Publish: p("/a/*")}}, broker.Invalid, `key "main" (HS256) does not allow its tokens to publish to /a/*`},
		} {
			_, err := auth.MintFor(who, c.key, "default", c.claims)
			if c.text == "" && err != nil || c.text != "" && (broker.KindOf(err) != c.kind || err.Error() != c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}
