package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waft/auth"
)

func TestReload_revokes_tokens_and_ends_what_they_began(t *testing.T) {
	text := reloadBase + "[realm.tokens]\nrevoked_file = 'revoked.toml'\n[[realm.key]]\nid = 'k'\nsecret = '" + goodKey + "'\n"
	path := writeConfig(t, text)
	revoke := func(text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "revoked.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	revoke("")
	r := &reloadable{t: t, path: path, hangups: make(chan os.Signal)}
	r.running = serveWith(t, nil, func(p *program) { p.hangups = r.hangups }, "--config", path)
	bad, good := mintFor(t, "mallory"), mintFor(t, "alice")
	mallory := subscribe(t, nil, "--server", r.url(), "--token", bad, "/x")
	alice := subscribe(t, nil, "--server", r.url(), "--token", good, "--count", "1", "/x")
	if status := published(t, r.running, bad); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if code := <-alice.done; code != exitOK {
		t.Fatal(alice.err.String())
	}

	revoke("[[revoked]]\nid = ")
	if log := r.reload(text); !strings.Contains(log, "nothing has changed") || published(t, r.running, bad) != http.StatusOK {
		t.Errorf("half a line in the list: the log says %s", log)
	}
	revoke("[[revoked]]\nid = 'x'\n\n[[revoked]]\nsubject = 'mallory'\n")
	if log := r.reload(text); !strings.Contains(log, "subscriptions_ended=1") {
		t.Errorf("the log says %s", log)
	}
	if !mallory.err.waitFor(t.Context(), "the server has ended this session: 401:") {
		t.Errorf("the one whose token was revoked was told %s", mallory.err.String())
	}
	if is, other := published(t, r.running, bad), published(t, r.running, good); is != http.StatusUnauthorized || other != http.StatusOK {
		t.Errorf("the revoked token: %d, another: %d", is, other)
	}
}

func mintFor(t *testing.T, subject string) string {
	t.Helper()
	secret, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Mint(auth.Key{ID: "k", Secret: secret}, "default", auth.Claims{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestLoad_revocations_that_make_no_sense_are_named(t *testing.T) {
	for _, c := range []struct{ name, text, file, want string }{
		{"of_everything", "[[realm.revoked]]\n", "", "revocation 1: it says neither which tokens"},
		{"of_no_time", "[[realm.revoked]]\nbefore = 'now'", "", "realm.revoked.before must be a time in quotes"},
		{"of_a_time_without_a_zone", "[[realm.revoked]]\nbefore = '2026-01-31T12:00:00'", "", "realm.revoked.before must be a time in quotes"},
		{"of_a_time_without_quotes", "[[realm.revoked]]\nbefore = 2026-01-31T12:00:00Z", "", "realm.revoked.before must be a time in quotes"},
		{"of_a_misspelt_key", "[[realm.revoked]]\nsub = 'x'", "", "there is no key realm.revoked.sub"},
		{"a_file_that_is_not_there", "[realm.tokens]\nrevoked_file = 'nowhere'", "", "tokens.revoked_file: open"},
		{"a_file_of_other_things", "[realm.tokens]\nrevoked_file = 'r'", "[[revoked]]\nid = 'x'\n[[key]]\n", "tokens.revoked_file: r:3: there is no key key"},
		{"a_misspelt_key_in_the_file", "[realm.tokens]\nrevoked_file = 'r'", "[[revoked]]\njti = 'x'", "r:2: there is no key revoked.jti"},
		{"a_file_that_is_damaged", "[realm.tokens]\nrevoked_file = 'r'", "[[revoked]]\nid = \n", "tokens.revoked_file: r:2: "},
		{"everything_by_the_file", "[realm.tokens]\nrevoked_file = 'r'", "[[revoked]]\n", "revocation 1: it says neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeConfig(t, "[[realm]]\nid = 'a'\n"+c.text)
			if c.file != "" {
				if err := os.WriteFile(filepath.Join(filepath.Dir(path), "r"), []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := load(overrides{config: path}, nil)
			wantConfigError(t, err, c.want)
		})
	}
}
