package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// reloadable is a `waft serve` whose configuration the test can change.
type reloadable struct {
	*running
	t       *testing.T
	path    string
	hangups chan os.Signal
}

const reloadBase = "[[realm]]\nid = 'default'\n"

func serveReloadable(t *testing.T, env map[string]string, text string) *reloadable {
	t.Helper()
	r := &reloadable{t: t, path: writeConfig(t, text), hangups: make(chan os.Signal)}
	r.running = serveWith(t, env, func(p *program) { p.hangups = r.hangups }, "--config", r.path)
	return r
}

// reload changes the file, sends the signal, and gives what the log says then.
func (r *reloadable) reload(text string) string {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	before := len(r.err.String())
	r.hangups <- nil
	_ = r.askReload(r.t.Context()) // taken when the first is done, and answered when nothing is going on any more
	return r.err.String()[before:]
}

func TestReload_changes_rules_keys_and_limits(t *testing.T) {
	const key, other = "[[realm.key]]\nsecret = '" + goodKey + "'\n", "[[realm.key]]\nsecret = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'\n"
	const open, closed = "[[realm.rule]]\nmatch = '/**'\npublish = 'anyone'\n", "[[realm.rule]]\nmatch = '/**'\nsubscribe = 'nobody'\n"
	r := serveReloadable(t, nil, reloadBase+key+open)
	publish := func(token string) int {
		status, _ := post(t, r.url()+"/realm/default/publish/x", token, `{"items":[{"json-object":{}}]}`)
		return status
	}
	token := mint(t, goodKey)
	if status := publish(""); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	s := subscribe(t, nil, "--server", r.url(), "/x")

	if log := r.reload(reloadBase + key); !strings.Contains(log, `msg="reloaded`) {
		t.Fatal(log)
	}
	if status := publish(""); status != http.StatusUnauthorized {
		t.Errorf("anonymous, after the rule is gone: %d", status)
	}
	r.reload(reloadBase + "[realm.limits]\nmax_message = 1\n" + key)
	if status := publish(token); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a message above the new limit: %d", status)
	}
	if log := r.reload(reloadBase + other + closed); !strings.Contains(log, "subscriptions_ended=1") {
		t.Errorf("the log says %s", log)
	}
	if !s.err.waitFor(t.Context(), "Rights have changed") {
		t.Error("the subscriber was not told")
	}
	if status := publish(token); status != http.StatusUnauthorized {
		t.Errorf("a token of the old key: %d", status)
	}
}

func TestReload_changes_nothing_when_it_cannot_change_all(t *testing.T) {
	const key = "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	r := serveReloadable(t, nil, reloadBase+key)
	const open = "[[realm.rule]]\nmatch = '/**'\npublish = 'anyone'\n"
	for _, c := range []struct{ name, text, want string }{
		{"a fault", reloadBase + key + open + "[[realm.rule]]\nmatch = 'x'\n", "rule 2"},
		{"another listener", "log_level = 'debug'\n" + reloadBase + key + open, "restart it for log_level"},
		{"another limit", reloadBase + "[realm.bayeux]\nmax_body = 7\ntimeout = '7s'\n" + key + open, "restart it for realm.bayeux.timeout, realm.bayeux.max_body"},
		{"another realm", reloadBase + key + open + "[[realm]]\nid = 'b'\n" + key, "restart it for realm"},
		{"another name", "[[realm]]\nid = 'b'\n" + key + open, "restart it for realm.id"},
		{"an XMPP link", reloadBase + key + open + "[[realm.xmpp]]\ndomain = 'a.b'\nserver = '127.0.0.1:1'\nsecret = 's'\n", "restart it for realm.xmpp"},
		{"no key", reloadBase + open, "it has no key any more"},
		{"no TOML", "=", "waft.toml:1"},
	} {
		if log := r.reload(c.text); !strings.Contains(log, "nothing has changed") || !strings.Contains(log, c.want) {
			t.Errorf("%s: the log says %s", c.name, log)
		}
		if status, _ := post(t, r.url()+"/realm/default/publish/x", "", `{"items":[{"json-object":{}}]}`); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", c.name, status)
		}
	}
}

func TestReload_keeps_the_key_that_was_made(t *testing.T) {
	r := serveReloadable(t, nil, reloadBase)
	made := r.settings.Realms[0].Keys[0].Secret.reveal()
	for range 2 {
		if log := r.reload(reloadBase + "[realm.limits]\nmax_sessions = 5\n"); !strings.Contains(log, `msg="reloaded`) {
			t.Fatal(log)
		}
	}
	if status, text := post(t, r.url()+"/realm/default/publish/x", mint(t, made), `{"items":[{"json-object":{}}]}`); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
}

func mint(t *testing.T, key string) string {
	t.Helper()
	code, out, errors := run(t, map[string]string{envRealmKey: key}, "token", "mint", "--lifetime", "1h")
	if code != exitOK {
		t.Fatal(errors)
	}
	return strings.TrimSpace(out)
}
