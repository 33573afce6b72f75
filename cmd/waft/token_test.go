package main

import (
	"strings"
	"testing"
)

func TestToken_what_is_minted_is_accepted_with_what_was_asked_for(t *testing.T) {
	env := map[string]string{envRealmKey: goodKey}
	code, token, stderr := run(t, env, "token", "mint", "--subject", "alice", "--publish", "/chat/**", "--publish", "news",
		"--subscribe", "/chat/*", "--lifetime", "10m")
	if code != exitOK || strings.Count(token, ".") != 2 {
		t.Fatalf("exit code %d: %q %s", code, token, stderr)
	}
	code, stdout, stderr := run(t, env, "token", "check", strings.TrimSpace(token))
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"valid\n", "realm      default\n", `subject    "alice"`, "publish    /chat/** /news\n", "subscribe  /chat/*\n", "read       nothing\n", "manage     false\n", "expires    20"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
}

func TestTokenCheck_channel_explains_the_rules(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'shop'\n[[realm.key]]\nid = 'k'\nsecret = '"+goodKey+"'\npublish = ['/chat/**']\n"+
		"[[realm.rule]]\nmatch = '/chat/*'\npublish = 'token'\nsubscribe = 'nobody'")
	code, token, stderr := run(t, nil, "token", "mint", "--config", path, "--realm", "shop", "--key", "k")
	if code != exitOK {
		t.Fatal(stderr)
	}
	term := newTerminal(map[string]string{envConfig: path})
	term.stdin = strings.NewReader(token)
	if code := term.run(t.Context(), []string{"token", "check", "--realm", "shop", "--channel", "/chat/1"}); code != exitOK {
		t.Fatal(term.err.String())
	}
	for _, want := range []string{"publish /chat/1:\n", "rule 1 (/chat/*)", "allowed to publish", "subscribe /chat/1:\n", "refused: "} {
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, term.out.String())
		}
	}
}

func TestTokenCheck_a_bad_token_is_refused_with_a_reason(t *testing.T) {
	_, token, _ := run(t, map[string]string{envRealmKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "token", "mint")
	token = strings.TrimSpace(token)
	code, stdout, stderr := run(t, map[string]string{envRealmKey: goodKey, envToken: token}, "token", "check")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "the token is refused: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if strings.Contains(stderr, token[strings.LastIndexByte(token, '.'):]) {
		t.Errorf("the error shows the signature: %s", stderr)
	}
}

func TestToken_says_what_is_wrong_with_its_arguments(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"mint /a", `takes flags only, not "/a"`},
		{"mint --realm nowhere", `no realm "nowhere"`},
		{"mint --key other", `no key "other"`},
		{"mint --lifetime -1s", "--lifetime must be above zero"},
		{"mint --lifetime 100000h", "--lifetime is above"},
		{"mint --lifetime soon", "soon"},
		{"mint --publish /a/**/b", "--publish: "},
		{"check", "there is no token to check"},
		{"check TOKEN --channel /a//b", "--channel: "},
		{"check --config /nowhere.toml TOKEN", "nowhere.toml"},
	} {
		code, _, stderr := run(t, map[string]string{envRealmKey: goodKey}, append([]string{"token"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("token %s: exit code %d: %s", c.args, code, stderr)
		}
	}
	if code, _, stderr := run(t, nil, "token", "mint"); code != exitUsage || !strings.Contains(stderr, `the realm "default" has no key`) {
		t.Errorf("without a key: exit code %d: %s", code, stderr)
	}
}
