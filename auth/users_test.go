package auth_test

import (
	"slices"
	"testing"

	"waft/auth"
	"waft/broker"
)

func TestUsers(t *testing.T) {
	only := func(p broker.Pattern) []broker.Grant { return []broker.Grant{grant(broker.ActPublish, p)} }
	users, err := auth.NewUsers([]auth.User{
		{Match: "Alice@Example.org", Grants: only("/alice")},
		{Match: "bot.example.org", Grants: only("/bot")},
		{Match: "mallory@example.org"},
		{Match: "@example.org", Grants: only("/staff")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		jid, what string
		want      []broker.Grant
	}{
		{"alice@example.org", "one user, whatever the case of the match", only("/alice")},
		{"bob@example.org", "anybody of the domain", only("/staff")},
		{"mallory@example.org", "an exception, by coming first", nil},
		{"bot.example.org", "a server", only("/bot")},
		{"example.org", "the domain itself is not one of its users", nil},
		{"alice@other.org", "another domain", nil},
		{"bob@sub.example.org", "a domain below", nil},
		{"bob@evilexample.org", "a domain that ends alike", nil},
		{"bob@evil.org/x@example.org", "a resource that looks like a domain", nil},
		{"bob@evil.org@example.org", "two domains", nil},
	} {
		got := users.Principal(row.jid)
		if got.Subject != row.jid || got.Issuer != "xmpp" || got.Anonymous() || !slices.Equal(got.Grants, row.want) {
			t.Errorf("%s (%s): %+v, want grants %v", row.jid, row.what, got, row.want)
		}
	}
	if !users.Principal("").Anonymous() {
		t.Error("no JID is nobody")
	}
}

func TestUsers_first_match_wins(t *testing.T) {
	only := func(p broker.Pattern) []broker.Grant { return []broker.Grant{grant(broker.ActRead, p)} }
	users, err := auth.NewUsers([]auth.User{
		{Match: "a@one", Grants: only("/a")},
		{Match: "@one", Grants: only("/one")},
		{Match: "b@two", Grants: only("/b")},
		{Match: "*", Grants: only("/all")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for jid, want := range map[string][]broker.Grant{
		"a@one": only("/a"), "z@one": only("/one"), "b@two": only("/b"), "z@two": only("/all"), "three": only("/all"),
	} {
		if got := users.Principal(jid).Grants; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", jid, got, want)
		}
	}
}

func TestNewUsers_refuses(t *testing.T) {
	for _, row := range []struct {
		users []auth.User
		want  string
	}{
		{[]auth.User{{}}, `user 1: "" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "@"}}, `user 1: "@" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "a@b/c"}}, `user 1: "a@b/c" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "*@b"}}, `user 1: "*@b" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "a@b@c"}}, `user 1: "a@b@c" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "a b"}}, `user 1: "a b" is neither a bare JID, "@domain" nor "*"`},
		{[]auth.User{{Match: "*"}, {Match: "a@b"}}, `user 2 (a@b) is never reached: user 1 (*) comes first`},
		{[]auth.User{{Match: "@b"}, {Match: "A@b"}}, `user 2 (a@b) is never reached: user 1 (@b) comes first`},
		{[]auth.User{{Match: "a@b"}, {Match: "a@B"}}, `user 2 (a@b) is never reached: user 1 (a@b) comes first`},
		{[]auth.User{{Match: "a@b", Grants: []broker.Grant{{Pattern: "x"}}}}, `user 1 (a@b): channel "x" does not begin with a slash`},
	} {
		_, err := auth.NewUsers(row.users)
		wantError(t, err, broker.Invalid, row.want)
	}
}
