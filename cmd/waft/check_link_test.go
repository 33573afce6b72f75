package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// linkFound checks events alone, with the admin listener, and gives what was found about links.
func linkFound(t *testing.T, r *running, args ...string) (code int, line string) {
	t.Helper()
	code, stdout, _ := run(t, checkKey, append([]string{"check", "--protocol", "events", "--linger", "0s", "--timeout", "30s", r.url()}, args...)...)
	for l := range strings.Lines(stdout) {
		if f := strings.Fields(l); len(f) > 2 && f[1] == "link" {
			return code, strings.Join(f, " ")
		}
	}
	return code, ""
}

func TestCheck_tells_whether_the_link_to_the_XMPP_server_stands(t *testing.T) {
	server := newComponentServer(t, "c0mp0nent")
	up := serve(t, nil, "--config", writeConfig(t, strings.Replace(withLink, "127.0.0.1:1", server.address, 1)))
	<-server.up
	await(t, "the link", func() bool {
		_, page := up.get(t, "/metrics")
		return strings.Contains(page, `waft_xmpp_link_up{domain="waft.localhost",realm="default"} 1`)
	})
	down := serve(t, nil, "--config", writeConfig(t, withLink))
	// Links of another realm are not this one's.
	none := serve(t, nil, "--config", writeConfig(t, strings.Replace(withLink, `id = "default"`, `id = "other"`, 1)+
		"[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '"+goodKey+"'\n"))
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()

	for _, c := range []struct {
		name, admin string
		of          *running
		code        int
		want        string
	}{
		{"up", up.adminURL(), up, exitOK, "ok link xmpp up: waft.localhost"},
		{"down", down.adminURL(), down, exitFailed, "FAILED link xmpp down: waft.localhost"},
		{"none", none.adminURL(), none, exitOK, "ok link xmpp skipped: the realm has no link to an XMPP server"},
		{"not waft", other.URL, up, exitFailed, "FAILED link xmpp asking the admin listener: answered 404 Not Found: 404 page not found"},
		{"a page", page.URL, up, exitFailed, "FAILED link xmpp asking the admin listener: what " + page.URL + "/metrics answers are not waft's metrics"},
	} {
		if code, got := linkFound(t, c.of, "--admin", c.admin); code != c.code || got != c.want {
			t.Errorf("%s: exit code %d, %q; want %d, %q", c.name, code, got, c.code, c.want)
		}
	}
	if code, got := linkFound(t, down); code != exitOK || got != "" {
		t.Errorf("nobody asked: exit code %d, %q", code, got)
	}
	if code, _, stderr := run(t, checkKey, "check", "--admin", up.adminURL(), up.url(), down.url()); code != exitUsage || !strings.Contains(stderr, "--admin") {
		t.Errorf("for two servers: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := run(t, checkKey, "check", "--admin", "localhost", up.url()); code != exitUsage || !strings.Contains(stderr, "--admin") {
		t.Errorf("no address: exit code %d, %s", code, stderr)
	}
	if _, wrong, _ := checked(t, checkKey, "--protocol", "events", "--admin", down.adminURL(), down.url()); !slices.Equal(wrong, []string{"link xmpp"}) {
		t.Errorf("as JSON: %v", wrong)
	}
}
