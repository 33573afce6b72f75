package auth_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waft/auth"
	"waft/broker"
)

// universe is every channel of up to four segments out of a, b and z. Patterns in these tests have bases of up to two
// segments out of a and b: so below each there are channels that no other, deeper pattern names, and what holds here
// for all channels holds for all there are.
var universe = func() (all []broker.Channel) {
	level := []string{""}
	for range 4 {
		var next []string
		for _, base := range level {
			for _, s := range []string{"a", "b", "z"} {
				next = append(next, base+"/"+s)
				all = append(all, broker.Channel(base+"/"+s))
			}
		}
		level = next
	}
	return all
}()

var patterns = rapid.Custom(func(t *rapid.T) broker.Pattern {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"/a", "/b"}), 0, 2).Draw(t, "base")
	wildcards := []string{"", "/*", "/**"}
	if len(segments) == 0 {
		wildcards = wildcards[1:]
	}
	return broker.Pattern(strings.Join(segments, "") + rapid.SampledFrom(wildcards).Draw(t, "wildcard"))
})

var (
	actions = rapid.SampledFrom([]broker.Action{broker.ActPublish, broker.ActSubscribe, broker.ActRead})
	lists   = rapid.SliceOfN(patterns, 0, 5)
	rights  = rapid.Custom(func(t *rapid.T) auth.Rights {
		return auth.Rights{
			Publish:   lists.Draw(t, "publish"),
			Subscribe: lists.Draw(t, "subscribe"),
			Read:      lists.Draw(t, "read"),
			Manage:    rapid.Bool().Draw(t, "manage"),
		}
	})
)

// A token with a claim may do on each channel, and on each pattern, exactly what both its key and its claim allow.
// The test goes the whole way through a signed token.
func TestClaim_narrows_exactly(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		keys := broker.Principal{Grants: rights.Draw(r, "key").Grants()}
		claimed := rights.Draw(r, "claim")
		text, err := json.Marshal(claimed)
		if err != nil {
			r.Fatal(err)
		}
		v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{{Secret: mainSecret, Grants: keys.Grants}}})
		// No bubble: rapid does not run in one.
		who, err := v.Authenticate(t.Context(), payload(fmt.Sprintf(`{"iss":"default","exp":%d,"waft":%s}`, time.Now().Unix()+600, text)))
		if err != nil {
			r.Fatal(err)
		}
		claims := broker.Principal{Grants: claimed.Grants()}
		same := func(act broker.Action, p broker.Pattern) {
			want := keys.Holds(act, p) && claims.Holds(act, p)
			if got := who.Holds(act, p); got != want {
				r.Fatalf("%v %s: %v, want %v; key %v, claim %v, token %v", act, p, got, want, keys.Grants, claims.Grants, who.Grants)
			}
		}
		same(broker.ActManage, "/**")
		act := actions.Draw(r, "action")
		for _, c := range universe {
			same(act, broker.Pattern(c))
		}
		same(act, patterns.Draw(r, "pattern"))
		for i, g := range who.Grants {
			for j, other := range who.Grants {
				if i != j && g.Action == other.Action && g.Pattern.Covers(other.Pattern) {
					r.Fatalf("%v is needless beside %v", other, g)
				}
			}
		}
	})
}

func TestClaim_examples(t *testing.T) {
	for _, row := range []struct{ key, claim, want string }{
		{"/**", "/a/**", "/a/**"},
		{"/a/**", "/**", "/a/**"},
		{"/a/*", "/a/**", "/a/*"},
		{"/a/**", "/a/*", "/a/*"},
		{"/a/*", "/a/b", "/a/b"},
		{"/a/b", "/a/*", "/a/b"},
		{"/a/*", "/a/b/**", ""},
		{"/a/*", "/*", ""},
		{"/a", "/a/**", ""},
		{"/a/** /b/*", "/**", "/a/** /b/*"},
		{"/a/** /b/*", "/a/x /b/** /c", "/a/x /b/*"},
		{"/a/** /a/b/*", "/a/b/c /a/b/*", "/a/b/*"},
	} {
		t.Run(row.key+" and "+row.claim, func(t *testing.T) {
			at(t, 0, func(t *testing.T) {
				list := func(s string) (r auth.Rights) {
					for p := range strings.FieldsSeq(s) {
						r.Publish = append(r.Publish, broker.Pattern(p))
					}
					return r
				}
				text, _ := json.Marshal(list(row.claim))
				v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{{Secret: mainSecret, Grants: list(row.key).Grants()}}})
				who, err := v.Authenticate(t.Context(), claim(`"waft":`+string(text)))
				if err != nil || !slices.Equal(who.Grants, list(row.want).Grants()) {
					t.Errorf("%v, %v", who.Grants, err)
				}
			})
		})
	}
}

func TestRights_none_are_not_the_default(t *testing.T) {
	if g := (auth.Rights{}).Grants(); g == nil || len(g) != 0 {
		t.Errorf("%#v", g)
	}
}
