package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestConfigCheck(t *testing.T) {
	good := writeConfig(t, "[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = '"+goodKey+"'")
	code, stdout, _ := run(t, nil, "config", "check", "--config", good)
	if code != exitOK || !strings.Contains(stdout, "waft.toml is good: realms 1, keys 1, rules 0, XMPP links 0") {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	code, stdout, stderr := run(t, nil, "config", "check", "--config", writeConfig(t, "lisen = ''"))
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, "did you mean listen?") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, _, stderr = run(t, nil, "config", "check", "--listen", "0.0.0.0:8080")
	if code != exitUsage || !strings.Contains(stderr, "has no key") {
		t.Errorf("what serve would refuse passed: exit code %d, stderr %q", code, stderr)
	}
}

func TestConfigPrint_shows_everything_but_secrets_and_can_be_read_again(t *testing.T) {
	path := writeConfig(t, "listen = '127.0.0.1:1'\n[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = '"+goodKey+"'\n[[realm.key]]\nid = 'b'\nsecret_env = 'MINE'\n"+
		"[[realm.rule]]\nmatch = '/a/**'\nhistory = { size = 7, age = '90m', bytes = 5000 }\n"+
		"[[realm.xmpp]]\ndomain = 'a.b'\nserver = '127.0.0.1:1'\nsecret = 'pssst'\n[[realm.xmpp.user]]\nmatch = '*'\npublish = ['/x']")
	env := map[string]string{"MINE": goodKey, "WAFT_ADMIN_LISTEN": "127.0.0.1:7"}
	code, stdout, stderr := run(t, env, "config", "print", "--config", path)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, leak := range []string{goodKey, "pssst"} {
		if strings.Contains(stdout, leak) {
			t.Errorf("the output shows the secret %s:\n%s", leak, stdout)
		}
	}
	for _, want := range []string{
		"listen = '127.0.0.1:1'", "admin_listen = '127.0.0.1:7'", "secret = '(secret)'", "secret_env = 'MINE'",
		"history = {size = 7, age = '90m', bytes = 5000}", "max_stanza = 1048576", "idle_timeout = '2m'", "subscribe = 'anyone'",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s is missing in:\n%s", want, stdout)
		}
	}
	again := strings.NewReplacer("secret = '(secret)'", "secret = '"+goodKey+"'").Replace(stdout)
	code, second, stderr := run(t, map[string]string{"MINE": goodKey}, "config", "print", "--config", writeConfig(t, again))
	if code != exitOK || second != stdout {
		t.Errorf("read again it is different: exit code %d: %s\n%s", code, stderr, second)
	}
}

func TestExample_is_a_good_configuration(t *testing.T) {
	env := environment{"MAIN_KEY": goodKey, "XMPP_SECRET": "s"}
	s, err := load(overrides{config: "../../docs/waft.example.toml"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.checkExposure(t.Context()); err != nil {
		t.Error(err)
	}
}

// What stands behind "# " in the example is what would happen anyway, so that taking the sign away changes nothing.
func TestExample_shows_every_key_and_its_default(t *testing.T) {
	text, err := os.ReadFile("../../docs/waft.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	env := environment{"MAIN_KEY": goodKey, "XMPP_SECRET": "s"}
	before, err := loadText(t, string(text), env)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^(\s*)#([a-z_]+ = )`).ReplaceAllString(string(text), "$1$2")
	after, err := loadText(t, all, env)
	if err != nil {
		t.Fatalf("with every commented key: %v", err)
	}
	if a, b := printed(t, before), printed(t, after); a != b {
		t.Errorf("commented values are not the defaults:\n%s\nand with them:\n%s", a, b)
	}
	for _, key := range allKeys() {
		name := key[strings.LastIndexByte(key, '.')+1:]
		if !regexp.MustCompile(`(?m)(^|[\s{#\[.])` + name + `( = |\]|$)`).MatchString(string(text)) {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func printed(t *testing.T, s *settings) string {
	t.Helper()
	term := newTerminal(nil)
	if err := s.print(term.program); err != nil {
		t.Fatal(err)
	}
	return term.out.String()
}

func TestDocs_mention_every_key(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	// A key is documented under the heading of its table.
	sections := map[string]string{}
	for section := range strings.SplitSeq("\n"+string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	for _, key := range allKeys() {
		table, name := "", key
		if i := strings.LastIndexByte(key, '.'); i >= 0 {
			table, name = key[:i], key[i+1:]
		}
		if !strings.Contains(sectionOf(sections, table), "`"+name+"`") {
			t.Errorf("docs/configuration.md does not mention %s under its table", key)
		}
	}
}

func sectionOf(sections map[string]string, table string) string {
	for title, body := range sections {
		if table == "" && strings.HasPrefix(title, "The process") || table != "" && strings.Contains(title, "["+table+"]") {
			return body
		}
	}
	return ""
}
