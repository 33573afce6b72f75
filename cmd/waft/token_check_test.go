package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTokenExplain_prints_what_was_considered_and_its_exit_code_is_the_verdict(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'default'\n[[realm.key]]\nid = 'k'\nsecret = '"+goodKey+"'\n"+
		"[[realm.rule]]\nmatch = '/chat/*'\nsubscribe = 'token'\n[[realm.rule]]\nmatch = '/news/**'\npublish = 'nobody'")
	_, token, _ := run(t, nil, "token", "mint", "--config", path, "--subscribe", "/chat/1", "--subscribe", "/b/**", "--publish", "/**")
	token = strings.TrimSpace(token)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--channel /chat/1 " + token, exitOK, "grant to subscribe to /chat/1: covers /chat/1\ngrant to subscribe to /b/**: has nothing of /chat/1\n" +
			"rule 1 (/chat/*): token may subscribe to /chat/1: yes, granted by subscribe /chat/1\nallowed to subscribe to /chat/1\n"},
		{"--channel /chat/* " + token, exitFailed, "grant to subscribe to /chat/1: covers a part of /chat/*\ngrant to subscribe to /b/**: has nothing of /chat/*\n" +
			"rule 1 (/chat/*): token may subscribe to /chat/*: no, none of the credential's grants to subscribe covers /chat/*\nrefused: "},
		{"--channel /chat/1 --anonymous", exitFailed, "no credential, so no grants\nrule 1 (/chat/*): token may subscribe to /chat/1: no, there is no credential\nrefused: "},
		{"--channel /x --anonymous", exitOK, "no credential, so no grants\nrule 1 (/chat/*) does not match\nrule 2 (/news/**) does not match\n" +
			"the built-in rule (/**): anyone may subscribe to /x: yes\nallowed to subscribe to /x\n"},
		{"--channel /news/1 --action publish " + token, exitFailed, "grant to publish to /**: covers /news/1\nrule 1 (/chat/*) does not match\nrule 2 (/news/**): nobody may publish to /news/1: no\nrefused: "},
		{"--channel /x --action manage " + token, exitFailed, "the credential has no grant to manage\nto manage takes a grant, whatever the rules say: "},
		{"--channel /x " + token + "x", exitFailed, ""},
		{"--channel /x", exitUsage, ""},
		{token, exitUsage, ""},
		{"--channel /x --action dance " + token, exitUsage, ""},
		{"--channel /x --anonymous " + token, exitUsage, ""},
	} {
		code, stdout, stderr := run(t, nil, append([]string{"token", "explain", "--config", path}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.HasPrefix(stdout, c.want) || c.want == "" && stdout != "" || (code == exitOK) != (stderr == "") {
			t.Errorf("%s: exit code %d\n%s%s", strings.ReplaceAll(c.args, token, "TOKEN"), code, stdout, stderr)
		}
	}
}

// A presence channel is published to by the server alone, whatever the rules and the token say; who may hear it is up to them.
func TestTokenExplain_knows_presence_channels(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '"+goodKey+"'\n[realm.presence]\nmatch = ['/chat/*']\n"+
		"[[realm.rule]]\nmatch = '/chat/**'\npublish = 'anyone'\nsubscribe = 'token'\n")
	_, token, _ := run(t, nil, "token", "mint", "--config", path)
	token = strings.TrimSpace(token)
	const tells = "/chat/1/presence tells who is present on /chat/1 (realm.presence)\n"
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--channel /chat/1/presence --action publish " + token, exitFailed, tells + "refused: /chat/1/presence tells who is present, and is published to by the server alone\n"},
		{"--channel /chat/1/presence --action publish --anonymous", exitFailed, tells + "refused: "},
		{"--channel /chat/1/presence --action subscribe " + token, exitOK, tells + "rule 1 (/chat/**): token may subscribe to /chat/1/presence: yes"},
		{"--channel /chat/1/presence --action subscribe --anonymous", exitFailed, tells + "rule 1 (/chat/**): token may subscribe to /chat/1/presence: no"},
		{"--channel /chat/1/2/presence --action publish --anonymous", exitOK, "credential, so no grants\nrule 1 (/chat/**): anyone may publish"}, // not matched: a channel like any other
		{"--channel /chat/** --action subscribe " + token, exitOK, "rule 1 (/chat/**): token may subscribe to /chat/**: yes"},
	} {
		code, stdout, stderr := run(t, nil, append([]string{"token", "explain", "--config", path}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stdout, c.want) {
			t.Errorf("%s: exit code %d\n%s%s", strings.ReplaceAll(c.args, token, "TOKEN"), code, stdout, stderr)
		}
	}
	_, stdout, stderr := run(t, nil, "token", "check", "--config", path, "--channel", "/chat/1/presence", token)
	if !strings.Contains(stdout, "  "+tells+"  refused: ") || strings.Count(stdout, tells) != 3 {
		t.Errorf("check prints\n%s%s", stdout, stderr)
	}
}

func TestTokenCheck_shows_what_a_token_can_be_revoked_by(t *testing.T) {
	env := map[string]string{envRealmKey: goodKey}
	_, token, _ := run(t, env, "token", "mint", "--id", "one")
	_, stdout, _ := run(t, env, "token", "check", strings.TrimSpace(token))
	if !strings.Contains(stdout, "id         \"one\"\nkey        \"main\"\nissued     20") {
		t.Errorf("it prints\n%s", stdout)
	}
	_, a, _ := run(t, env, "token", "mint")
	_, b, _ := run(t, env, "token", "mint")
	if a == b {
		t.Error("two tokens have one id")
	}
}

func TestTokenAPIKey_what_is_printed_works_on_every_door(t *testing.T) {
	code, stdout, stderr := run(t, nil, "token", "api-key", "--id", "shop")
	key, table, ok := strings.Cut(stdout, "\n\n")
	if code != exitOK || !ok || !strings.HasPrefix(key, "waft_") || strings.Contains(table, key) {
		t.Fatalf("exit code %d: %s %s", code, stdout, stderr)
	}
	text := reloadBase + table + "subscribe = ['/x']\n[[realm.rule]]\nmatch = '/**'\nsubscribe = 'token'\n"
	r := serveReloadable(t, nil, text)
	if strings.Contains(r.out.String(), "The realm") {
		t.Error("a key was made for a realm that has an API key")
	}
	s := subscribe(t, nil, "--server", r.url(), "--token", key, "--count", "1", "/x")
	if status := published(t, r.running, key); status != http.StatusOK {
		t.Errorf("publish: status %d", status)
	}
	if code := <-s.done; code != exitOK {
		t.Errorf("subscribe: %s", s.err.String())
	}
	if status := published(t, r.running, key[:40]+"!"); status != http.StatusUnauthorized {
		t.Errorf("a key mistyped: %d", status)
	}
	code, stdout, stderr = run(t, nil, "token", "check", "--config", r.path, key)
	if code != exitOK || !strings.Contains(stdout, "id         \"shop\"") || !strings.Contains(stdout, "subscribe  /x\n") || strings.Contains(stdout, "expires") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}

	// Its table is taken out: whoever came with it goes.
	s = subscribe(t, nil, "--server", r.url(), "--token", key, "/x")
	_, another, _ := run(t, nil, "token", "api-key", "--id", "shop")
	_, another, _ = strings.Cut(another, "\n\n")
	if log := r.reload(strings.Replace(text, table, another, 1)); !strings.Contains(log, "subscriptions_ended=1") {
		t.Errorf("the log says %s", log)
	}
	if !s.err.waitFor(t.Context(), "the server has ended this session: 401:") {
		t.Error("the subscriber was not told")
	}
}

func TestLoad_API_keys_that_make_no_sense_are_named(t *testing.T) {
	const hash = "hash = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'\n"
	for _, c := range []struct{ name, text, want string }{
		{"without_an_id", hash, "API key 1 (): it needs an id"},
		{"without_a_hash", "id = 'k'", "API key 1 (k): the hash must be"},
		{"with_the_key_itself", "id = 'k'\nhash = 'waft_0000'", "API key 1 (k): this is the key itself"},
		{"with_a_bad_pattern", "id = 'k'\n" + hash + "publish = ['x']", "API key 1 (k): publish: "},
		{"with_a_bad_time", "id = 'k'\n" + hash + "expires = 'soon'", "realm.api_key.expires must be a time in quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(t, "[[realm]]\nid = 'a'\n[[realm.api_key]]\n"+c.text, nil)
			wantConfigError(t, err, c.want)
		})
	}
	s, err := loadText(t, "[[realm]]\nid = 'a'\n[[realm.api_key]]\nid = 'k'\n"+hash, nil)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := s.Realms[0].apiKeys(); err != nil || len(keys) != 1 || len(keys[0].Grants) != 0 {
		t.Errorf("what is not listed is not granted: %+v, %v", keys, err)
	}
}

func TestServe_reads_a_public_key_from_its_file_again(t *testing.T) {
	text := reloadBase + "[[realm.key]]\nalg = 'EdDSA'\npublic_key_file = 'public.pem'\n"
	path := writeConfig(t, text)
	writePair(t, filepath.Dir(path))
	mintOf := func() string {
		signing := writeConfig(t, reloadBase+"[[realm.key]]\nalg = 'EdDSA'\nprivate_key_file = '"+filepath.Join(filepath.Dir(path), "private.pem")+"'\n")
		_, token, _ := run(t, nil, "token", "mint", "--config", signing)
		return strings.TrimSpace(token)
	}
	r := &reloadable{t: t, path: path, hangups: make(chan os.Signal)}
	r.running = serveWith(t, nil, func(p *program) { p.hangups = r.hangups }, "--config", path)
	old := mintOf()
	if status := published(t, r.running, old); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	writePair(t, filepath.Dir(path))
	r.reload(text)
	if was, is := published(t, r.running, old), published(t, r.running, mintOf()); was != http.StatusUnauthorized || is != http.StatusOK {
		t.Errorf("the old key's token: %d, the new one's: %d", was, is)
	}
}
