package auth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waft/auth"
	"waft/broker"
)

var (
	anonymous = broker.Principal{}
	holder    = broker.Principal{Subject: "alice", Issuer: "default", Grants: auth.Everything().Grants()}
	chatter   = broker.Principal{Issuer: "default", Grants: auth.Rights{
		Publish:   []broker.Pattern{"/chat/**"},
		Subscribe: []broker.Pattern{"/chat/**"},
		Read:      []broker.Pattern{"/chat/*"},
	}.Grants()}
)

func TestRules(t *testing.T) {
	rules := newRules(t,
		auth.Rule{Match: "/private/**", Publish: auth.Nobody, Subscribe: auth.Nobody},
		auth.Rule{Match: "/chat/lobby", Publish: auth.Anyone},
		auth.Rule{Match: "/chat/**", Subscribe: auth.Token},
		auth.Rule{Match: "/log/*", Publish: auth.Anyone, Subscribe: auth.Anyone, Read: auth.Nobody},
	)
	const (
		pub, sub, read, manage = broker.ActPublish, broker.ActSubscribe, broker.ActRead, broker.ActManage
		ok                     = broker.Internal // no error; any kind that Authorize never gives
		unknown, no            = broker.Unauthenticated, broker.Forbidden
	)
	for _, row := range []struct {
		who  broker.Principal
		name string
		act  broker.Action
		on   broker.Pattern
		want broker.Kind
		text string
	}{
		// The built-in rule.
		{anonymous, "anonymous", sub, "/news", ok, ""},
		{anonymous, "anonymous", read, "/news", ok, ""},
		{anonymous, "anonymous", pub, "/news", unknown, "a token is needed to publish to /news"},
		{chatter, "chatter", pub, "/news", no, "not allowed to publish to /news"},
		{holder, "holder", pub, "/news", ok, ""},
		// A channel that has a rule before its space has one.
		{anonymous, "anonymous", pub, "/chat/lobby", ok, ""},
		{anonymous, "anonymous", sub, "/chat/lobby", ok, ""},
		{anonymous, "anonymous", sub, "/chat/1", unknown, "a token is needed to subscribe to /chat/1"},
		{anonymous, "anonymous", read, "/chat/1", unknown, "a token is needed to read /chat/1"},
		{chatter, "chatter", sub, "/chat/1", ok, ""},
		{chatter, "chatter", read, "/chat/1/2", no, "not allowed to read /chat/1/2"},
		// The base of a space is not in it.
		{anonymous, "anonymous", sub, "/chat", ok, ""},
		{anonymous, "anonymous", sub, "/private", ok, ""},
		// Nobody is nobody, and not told why.
		{anonymous, "anonymous", sub, "/private/1", no, "not allowed to subscribe to /private/1"},
		{holder, "holder", pub, "/private/1", no, "not allowed to publish to /private/1"},
		{holder, "holder", read, "/private/1", no, "not allowed to read /private/1"},
		{anonymous, "anonymous", read, "/log/1", no, "not allowed to read /log/1"},
		// Patterns over several rules.
		{anonymous, "anonymous", sub, "/*", ok, ""},
		{anonymous, "anonymous", sub, "/log/**", ok, ""},
		{anonymous, "anonymous", sub, "/chat/*", unknown, "a token is needed to subscribe to /chat/*"},
		{chatter, "chatter", sub, "/chat/*", ok, ""},
		{chatter, "chatter", sub, "/chat/**", ok, ""},
		{holder, "holder", sub, "/**", no, "not allowed to subscribe to /**"},
		{anonymous, "anonymous", sub, "/**", no, "not allowed to subscribe to /**"},
		{anonymous, "anonymous", read, "/log/**", no, "not allowed to read /log/**"},
		// Managing.
		{anonymous, "anonymous", manage, "/**", unknown, "a token is needed to manage /**"},
		{chatter, "chatter", manage, "/chat/1", no, "not allowed to manage /chat/1"},
		{holder, "holder", manage, "/**", ok, ""},
		{holder, "holder", manage, "/private/1", ok, ""},
	} {
		t.Run(fmt.Sprintf("%s %v %s", row.name, row.act, row.on), func(t *testing.T) {
			err := rules.Authorize(t.Context(), row.who, row.act, row.on)
			if row.want != ok {
				wantError(t, err, row.want, row.text)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRules_a_grant_for_the_part_that_needs_one_is_enough(t *testing.T) {
	rules := newRules(t, auth.Rule{Match: "/chat/**", Subscribe: auth.Token})
	if err := rules.Authorize(t.Context(), chatter, broker.ActSubscribe, "/**"); err != nil {
		t.Error(err)
	}
	err := rules.Authorize(t.Context(), anonymous, broker.ActSubscribe, "/**")
	wantError(t, err, broker.Unauthenticated, "a token is needed to subscribe to /**")
}

func TestRules_stop_at_the_one_that_matches_all(t *testing.T) {
	rules := newRules(t,
		auth.Rule{Match: "/a/*", Subscribe: auth.Anyone},
		auth.Rule{Match: "/a/**", Subscribe: auth.Nobody},
		auth.Rule{Match: "/**", Publish: auth.Anyone},
	)
	for p, ok := range map[broker.Pattern]bool{"/a/*": true, "/a/**": false, "/a/b/*": false, "/*": true} {
		if err := rules.Authorize(t.Context(), holder, broker.ActSubscribe, p); (err == nil) != ok {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := rules.Authorize(t.Context(), anonymous, broker.ActPublish, "/news"); err != nil {
		t.Errorf("a rule for everything replaces the built-in one: %v", err)
	}
}

var someRules = rapid.Custom(func(t *rapid.T) []auth.Rule {
	who := rapid.SampledFrom([]auth.Who{auth.Unset, auth.Anyone, auth.Token, auth.Nobody})
	var rules []auth.Rule
	for range rapid.IntRange(0, 5).Draw(t, "rules") {
		p := patterns.Draw(t, "match")
		if slices.ContainsFunc(rules, func(r auth.Rule) bool { return r.Match.Covers(p) }) {
			continue // NewRules refuses what is never reached
		}
		rules = append(rules, auth.Rule{
			Match:     p,
			Publish:   who.Draw(t, "publish"),
			Subscribe: who.Draw(t, "subscribe"),
			Read:      who.Draw(t, "read"),
			History:   broker.Retention{Size: len(rules) + 1},
		})
	}
	return rules
})

// The oracle knows nothing of patterns inside one another: it looks at every rule for every channel.
func TestRules_allow_a_pattern_exactly_if_they_allow_each_of_its_channels(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		list := someRules.Draw(r, "rules")
		rules := newRules(t, list...)
		first := func(c broker.Channel) auth.Rule {
			for _, rule := range list {
				if rule.Match.Matches(c) {
					return rule
				}
			}
			return auth.BuiltIn()
		}
		who := broker.Principal{}
		if rapid.Bool().Draw(r, "known") {
			who = broker.Principal{Issuer: "default", Grants: rights.Draw(r, "grants").Grants()}
		}
		act := actions.Draw(r, "action")
		may := func(c broker.Channel) bool {
			rule := first(c)
			lets := map[broker.Action]auth.Who{broker.ActPublish: rule.Publish, broker.ActSubscribe: rule.Subscribe, broker.ActRead: rule.Read}[act]
			if lets == auth.Unset {
				lets = auth.Anyone
				if act == broker.ActPublish {
					lets = auth.Token
				} else if act == broker.ActRead && rule.Subscribe != auth.Unset {
					lets = rule.Subscribe
				}
			}
			return lets == auth.Anyone || lets == auth.Token && who.Holds(act, broker.Pattern(c))
		}
		for _, c := range universe {
			if got := rules.Authorize(t.Context(), who, act, broker.Pattern(c)) == nil; got != may(c) {
				r.Fatalf("%v %s: %v", act, c, got)
			}
			if got, want := rules.Retention(c), first(c).History; got != want {
				r.Fatalf("%s: %v, want %v", c, got, want)
			}
		}
		p := patterns.Draw(r, "pattern")
		want := true
		for _, c := range universe {
			want = want && (!p.Matches(c) || may(c))
		}
		err := rules.Authorize(t.Context(), who, act, p)
		if got := err == nil; got != want {
			r.Fatalf("%v %s: %v, want %v", act, p, err, want)
		}
		lines := rules.Explain(who, act, p)
		if last := lines[len(lines)-1]; strings.HasPrefix(last, "allowed to ") != want {
			r.Fatalf("explained otherwise than decided: %s", strings.Join(lines, "\n"))
		}
	})
}

func TestRules_history(t *testing.T) {
	rules := newRules(t,
		auth.Rule{Match: "/chat/lobby", History: broker.Retention{Size: 7}},
		auth.Rule{Match: "/chat/*"},
	)
	for c, want := range map[broker.Channel]broker.Retention{
		"/chat/lobby": {Size: 7},
		"/chat/1":     {},
		"/chat/1/2":   {Size: 100, Age: time.Hour},
		"/news":       {Size: 100, Age: time.Hour},
	} {
		if got := rules.Retention(c); got != want {
			t.Errorf("%s: %v, want %v", c, got, want)
		}
	}
}

func TestRules_tell_where_there_is_no_history(t *testing.T) {
	rules, err := auth.NewRules([]auth.Rule{
		{Match: "/a/quiet/*"},
		{Match: "/a/*", History: broker.Retention{Size: 1}, ReplayID: true},
		{Match: "/a/**", History: broker.Retention{Age: 1}},
		{Match: "/b/c", History: broker.Retention{Size: 1}},
		{Match: "/b/*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[broker.Pattern]broker.Pattern{
		"/a/*": "", "/a/x": "", "/a/quiet/*": "/a/quiet/*", "/a/quiet/x": "/a/quiet/x", "/a/**": "/a/quiet/*", "/a/x/*": "/a/x/*",
		"/b/c": "", "/b/*": "/b/*", "/b/**": "/b/*", "/c/**": "", "/*": "", "/**": "/a/quiet/*",
	} {
		if none, gap := rules.NoHistory(p); none != want || gap != (want != "") {
			t.Errorf("%s: %q %v, want %q", p, none, gap, want)
		}
	}
	for c, want := range map[broker.Channel]bool{"/a/x": true, "/a/x/y": false, "/b/c": false, "/else": false} {
		if rules.ReplayID(c) != want {
			t.Errorf("%s: replay ids %v", c, !want)
		}
	}
}

func TestNewRules_refuses(t *testing.T) {
	for _, row := range []struct {
		rules []auth.Rule
		want  string
	}{
		{[]auth.Rule{{}}, "rule 1: a channel name is missing"},
		{[]auth.Rule{{Match: "chat"}}, `rule 1: channel "chat" does not begin with a slash`},
		{[]auth.Rule{{Match: "/a"}, {Match: "/a"}}, "rule 2 (/a) is never reached: rule 1 (/a) comes first and matches all of it"},
		{[]auth.Rule{{Match: "/b"}, {Match: "/**"}, {Match: "/a/*"}}, "rule 3 (/a/*) is never reached: rule 2 (/**) comes first and matches all of it"},
		{[]auth.Rule{{Match: "/a", Read: 9}}, "rule 1 (/a): it lets through neither anyone, token nor nobody"},
		{[]auth.Rule{{Match: "/a", History: broker.Retention{Size: -1}}}, "rule 1 (/a): the size, bytes and age of a history must not be negative"},
		{[]auth.Rule{{Match: "/a", History: broker.Retention{Bytes: -1}}}, "rule 1 (/a): the size, bytes and age of a history must not be negative"},
		{[]auth.Rule{{Match: "/a", History: broker.Retention{Bytes: 1}}}, "rule 1 (/a): a history that is limited in bytes needs a size too, how many messages are kept at most"},
		{[]auth.Rule{{Match: "/a", History: broker.Retention{Age: -1}}}, "rule 1 (/a): the size, bytes and age of a history must not be negative"},
		{[]auth.Rule{{Match: "/a", ReplayID: true}}, "rule 1 (/a): there is nothing to replay: give it a history, or no replay ids"},
	} {
		_, err := auth.NewRules(row.rules)
		wantError(t, err, broker.Invalid, row.want)
	}
}

func TestExplain(t *testing.T) {
	rules := newRules(t,
		auth.Rule{Match: "/private/**", Subscribe: auth.Nobody},
		auth.Rule{Match: "/chat/**", Subscribe: auth.Token},
	)
	for _, row := range []struct {
		who  broker.Principal
		act  broker.Action
		on   broker.Pattern
		want []string
	}{
		{chatter, broker.ActSubscribe, "/chat/1", []string{
			"rule 1 (/private/**) does not match",
			"rule 2 (/chat/**): token may subscribe to /chat/1: yes, granted by subscribe /chat/**",
			"allowed to subscribe to /chat/1",
		}},
		{anonymous, broker.ActSubscribe, "/**", []string{
			"rule 1 (/private/**) matches a part of /**: nobody may subscribe to /private/**: no",
			"rule 2 (/chat/**) matches a part of /**: token may subscribe to /chat/**: no, there is no credential",
			"the built-in rule (/**): anyone may subscribe to /**: yes",
			"refused: not allowed to subscribe to /**",
		}},
		{chatter, broker.ActPublish, "/news", []string{
			"rule 1 (/private/**) does not match",
			"rule 2 (/chat/**) does not match",
			"the built-in rule (/**): token may publish to /news: no, none of the credential's grants to publish covers /news",
			"refused: not allowed to publish to /news",
		}},
		{chatter, broker.ActManage, "/**", []string{
			"to manage takes a grant, whatever the rules say: no, none of the credential's grants to manage covers /**",
			"refused: not allowed to manage /**",
		}},
	} {
		if got := rules.Explain(row.who, row.act, row.on); !slices.Equal(got, row.want) {
			t.Errorf("%v %s\n got: %s\nwant: %s", row.act, row.on, strings.Join(got, "\n      "), strings.Join(row.want, "\n      "))
		}
	}
}

func TestParseWho(t *testing.T) {
	for _, w := range []auth.Who{auth.Unset, auth.Anyone, auth.Token, auth.Nobody} {
		if got, err := auth.ParseWho(w.String()); err != nil || got != w {
			t.Errorf("%v: %v, %v", w, got, err)
		}
	}
	_, err := auth.ParseWho("Anyone")
	wantError(t, err, broker.Invalid, `"Anyone" is none of anyone, token and nobody`)
}

func hundredRules(b testing.TB) *auth.Rules {
	rules := make([]auth.Rule, 100)
	for i := range rules {
		rules[i].Match = broker.Pattern(fmt.Sprintf("/tenant/%d/%s", i, []string{"*", "**", "status"}[i%3]))
	}
	return newRules(b, rules...)
}

func BenchmarkRules_Retention(b *testing.B) {
	rules := hundredRules(b)
	for _, c := range []broker.Channel{"/tenant/99/status", "/chat/42"} {
		b.Run(string(c[1:5]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rules.Retention(c)
			}
		})
	}
}

func BenchmarkRules_Authorize(b *testing.B) {
	rules := hundredRules(b)
	for _, p := range []broker.Pattern{"/chat/42", "/tenant/**"} {
		act := broker.ActPublish
		if strings.Contains(string(p), "*") {
			act = broker.ActSubscribe
		}
		b.Run(act.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := rules.Authorize(b.Context(), holder, act, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
