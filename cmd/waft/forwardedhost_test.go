package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProxies_host_that_the_client_asked_for(t *testing.T) {
	trusted, err := parseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, peer, xff, xfh, forwarded, want string }{
		{"no proxy", "203.0.113.9:1", "", "", "", "inner"},
		{"a stranger who claims one", "203.0.113.9:1", "1.1.1.1", "evil", "for=1.1.1.1;host=evil", "inner"},
		{"a proxy that says nothing", "10.0.0.1:1", "203.0.113.9", "", "", "inner"},
		{"a proxy", "10.0.0.1:1", "203.0.113.9", "a.test", "", "a.test"},
		{"with a port", "10.0.0.1:1", "203.0.113.9", "a.test:8443", "", "a.test:8443"},
		{"of a chain the only one", "10.0.0.1:1", "203.0.113.9, 10.0.0.2", "a.test", "", "a.test"},
		{"of a chain the outermost", "10.0.0.1:1", "203.0.113.9, 10.0.0.2", "a.test, b.test", "", "a.test"},
		{"of a chain, beyond what the client wrote", "10.0.0.1:1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "evil, a.test, b.test", "", "a.test"},
		{"more hosts than proxies", "10.0.0.1:1", "203.0.113.9", "evil, a.test", "", "inner"},
		{"no client", "10.0.0.1:1", "", "a.test", "", "inner"},
		{"what is no host", "10.0.0.1:1", "203.0.113.9", "a test", "", "inner"},

		{"the standard's header", "10.0.0.1:1", "", "", "for=203.0.113.9;host=a.test", "a.test"},
		{"quoted, with a port", "10.0.0.1:1", "", "", `proto=https;host="a.test:8443";for=203.0.113.9`, "a.test:8443"},
		{"its outermost proxy", "10.0.0.1:1", "", "", "for=1.1.1.1;host=evil, for=203.0.113.9;host=a.test, for=10.0.0.2;host=b.test", "a.test"},
		{"its outermost proxy says nothing", "10.0.0.1:1", "", "", "for=203.0.113.9, for=10.0.0.2;host=b.test", "inner"},
		{"twice in an element", "10.0.0.1:1", "", "", "for=203.0.113.9;host=a.test;host=b.test", "inner"},

		{"both that agree", "10.0.0.1:1", "203.0.113.9", "A.test", "for=203.0.113.9;host=a.test", "A.test"},
		{"both, one of which has a host", "10.0.0.1:1", "203.0.113.9", "", "for=203.0.113.9;host=a.test", "a.test"},
		{"both that do not agree", "10.0.0.1:1", "203.0.113.9", "evil", "for=203.0.113.9;host=a.test", "inner"},
		{"both, of different clients", "10.0.0.1:1", "203.0.113.9", "a.test", "for=1.1.1.1;host=a.test", "inner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://inner/", nil)
			r.RemoteAddr = c.peer
			for name, text := range map[string]string{"X-Forwarded-For": c.xff, "X-Forwarded-Host": c.xfh, "Forwarded": c.forwarded} {
				if text != "" {
					r.Header.Set(name, text)
				}
			}
			got := ""
			trusted.named(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Host })).ServeHTTP(httptest.NewRecorder(), r)
			if got != c.want || r.Host != "inner" {
				t.Errorf("%s (and outside %s), want %s", got, r.Host, c.want)
			}
		})
	}
}

// By that host goes which realm /bayeux is, and which pages are of the same origin.
func TestServe_realms_and_pages_go_by_the_host_that_a_trusted_proxy_names(t *testing.T) {
	const key = "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	r := serve(t, nil, "--config", writeConfig(t, "trusted_proxies = ['127.0.0.1']\n[[realm]]\nid = 'default'\n"+key+"[[realm]]\nid = 'other'\nhosts = ['push.test']\n"+key))
	ask := func(origin string, header ...string) string {
		t.Helper()
		body := `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"1"}]`
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/bayeux", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Origin", origin)
		q.Header.Set("X-Forwarded-For", "203.0.113.1")
		for i := 0; i < len(header); i += 2 {
			q.Header.Set(header[i], header[i+1])
		}
		res, err := client(t).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.Status
	}
	if got := ask("https://push.test"); got != "403 Forbidden" {
		t.Errorf("a page of a host that nobody named: %s", got)
	}
	if got := ask("https://push.test", "X-Forwarded-Host", "push.test"); got != "200 OK" {
		t.Errorf("a page of the same host: %s", got)
	}
	if got := ask("https://push.test", "X-Forwarded-For", "203.0.113.2", "Forwarded", "for=203.0.113.2;host=push.test;proto=https"); got != "200 OK" {
		t.Errorf("by Forwarded: %s", got)
	}
	for i, want := range []int{0, 2} {
		if n := r.realms[i].bayeux.Stats().Sessions; n != want {
			t.Errorf("the realm %s has %d sessions, want %d", r.realms[i].id, n, want)
		}
	}
}
