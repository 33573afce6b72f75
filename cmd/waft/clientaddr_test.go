package main

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func TestProxies_client_address(t *testing.T) {
	trusted, err := parseProxies([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48", "::ffff:198.51.100.7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, peer, xff, forwarded, want string }{
		{"no proxy", "203.0.113.9:1", "", "", "203.0.113.9"},
		{"a stranger who claims to be somebody", "203.0.113.9:1", "1.1.1.1", "for=1.1.1.1", "203.0.113.9"},
		{"a proxy that says nothing", "10.0.0.1:1", "", "", "10.0.0.1"},
		{"a proxy", "10.0.0.1:1", "203.0.113.9", "", "203.0.113.9"},
		{"a proxy by its only address", "192.0.2.1:1", "203.0.113.9", "", "203.0.113.9"},
		{"its neighbour", "192.0.2.2:1", "203.0.113.9", "", "192.0.2.2"},
		{"a proxy written as IPv4 in IPv6", "198.51.100.7:1", "203.0.113.9", "", "203.0.113.9"},
		{"a connection of IPv4 on an IPv6 socket", "[::ffff:10.0.0.1]:1", "::ffff:203.0.113.9", "", "203.0.113.9"},
		{"what the client wrote stands to the left", "10.0.0.1:1", "1.1.1.1, 203.0.113.9", "", "203.0.113.9"},
		{"and in a line before", "10.0.0.1:1", "1.1.1.1\n203.0.113.9", "", "203.0.113.9"},
		{"a chain of proxies", "10.0.0.1:1", "1.1.1.1,203.0.113.9 , 10.2.2.2,\t2001:db8:ffff::1", "", "203.0.113.9"},
		{"a client that is in the trusted net", "10.0.0.1:1", "10.9.9.9", "", "10.9.9.9"},
		{"with a port", "10.0.0.1:1", "203.0.113.9:4711", "", "203.0.113.9"},
		{"IPv6 in brackets with a port", "10.0.0.1:1", "[2001:db8::1]:4711", "", "2001:db8::1"},
		{"IPv6 in brackets", "10.0.0.1:1", "[2001:db8::1]", "", "2001:db8::1"},
		{"with a zone", "10.0.0.1:1", "fe80::1%eth0", "", "fe80::1"},
		{"nobody", "10.0.0.1:1", "unknown", "", "10.0.0.1"},
		{"nobody known to the second proxy", "10.0.0.1:1", "1.1.1.1, unknown, 10.2.2.2", "", "10.2.2.2"},
		{"an empty entry", "10.0.0.1:1", "1.1.1.1,", "", "10.0.0.1"},
		{"no address", "10.0.0.1:1", "1.1.1.1, 300.1.1.1", "", "10.0.0.1"},
		{"no peer", "@", "1.1.1.1", "", "invalid IP"},

		{"the standard's header", "10.0.0.1:1", "", "for=203.0.113.9", "203.0.113.9"},
		{"with everything", "10.0.0.1:1", "", `For="[2001:db8::1]:4711" ; Proto=https;by=10.0.0.1;host="a,b;for=9.9.9.9"`, "2001:db8::1"},
		{"its chain", "10.0.0.1:1", "", "for=1.1.1.1, for=203.0.113.9;proto=http,for=10.2.2.2", "203.0.113.9"},
		{"in two lines", "10.0.0.1:1", "", "for=1.1.1.1\nfor=203.0.113.9", "203.0.113.9"},
		{"with an escape", "10.0.0.1:1", "", `for="203.0.113.\9"`, "203.0.113.9"},
		{"a hidden client", "10.0.0.1:1", "", "for=1.1.1.1, for=_hidden", "10.0.0.1"},
		{"an element without for", "10.0.0.1:1", "", "for=1.1.1.1, proto=http", "10.0.0.1"},
		{"an empty element", "10.0.0.1:1", "", "for=1.1.1.1,", "10.0.0.1"},
		{"two of for", "10.0.0.1:1", "", "for=1.1.1.1;for=2.2.2.2", "10.0.0.1"},
		{"a quote that is left open, to swallow what the proxy adds", "10.0.0.1:1", "", `for=1.1.1.1, x=", for=203.0.113.9`, "10.0.0.1"},
		{"and closed by it", "10.0.0.1:1", "", `for=1.1.1.1;x=", for="[2001:db8::1]"`, "10.0.0.1"},
		{"and closed by it between semicolons", "10.0.0.1:1", "", `for=1.1.1.1;x=", for=203.0.113.9;host="h";proto=http`, "10.0.0.1"},
		{"a name alone", "10.0.0.1:1", "", "for=1.1.1.1;for", "10.0.0.1"},

		{"both that agree", "10.0.0.1:1", "203.0.113.9", "for=203.0.113.9", "203.0.113.9"},
		{"both that do not: one is the client's own", "10.0.0.1:1", "203.0.113.9", "for=1.1.1.1", "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
			for name, text := range map[string]string{"X-Forwarded-For": c.xff, "Forwarded": c.forwarded} {
				if text != "" {
					r.Header[name] = strings.Split(text, "\n")
				}
			}
			if got := trusted.client(r).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestProxies_that_are_too_many_end_the_walk(t *testing.T) {
	trusted, _ := parseProxies([]string{"10.0.0.0/8"})
	long := "203.0.113.9" + strings.Repeat(", 10.1.1.1", 10_000)
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {long}}}
	if got := trusted.client(r).String(); got != "10.1.1.1" {
		t.Errorf("%s", got)
	}
}

func TestProxies_without_any_nobody_is_believed(t *testing.T) {
	r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"1.1.1.1"}}}
	if got := proxies(nil).client(r).String(); got != "127.0.0.1" {
		t.Errorf("%s", got)
	}
}

// Whatever a client puts into the headers, the entry that a trusted proxy has added is who it is.
func FuzzProxies(f *testing.F) {
	for _, s := range []string{"", "1.1.1.1", "unknown", `for="`, `for="\`, "for=1.1.1.1;", ",,;=", "for=10.1.1.1, ", "[::1", "for=\"[::1]:80\";proto=http", "10.1.1.1,"} {
		f.Add(s, s)
	}
	trusted, err := parseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	real := netip.MustParseAddr("203.0.113.9")
	proxy := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, own, standard string) {
		ask := func(header http.Header) netip.Addr {
			return trusted.client(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header})
		}
		if got := ask(http.Header{"X-Forwarded-For": {own + ", 203.0.113.9"}}); got != real {
			t.Errorf("X-Forwarded-For of a proxy after %q: %v", own, got)
		}
		if got := ask(http.Header{"X-Forwarded-For": {own, "203.0.113.9"}}); got != real {
			t.Errorf("a line of X-Forwarded-For after %q: %v", own, got)
		}
		if got := ask(http.Header{"Forwarded": {standard, "for=203.0.113.9"}}); got != real {
			t.Errorf("a line of Forwarded after %q: %v", standard, got)
		}
		// In the same line, a quote that is left open can hide the entry, but not put another one in its place.
		for _, added := range []string{", for=203.0.113.9", `, for="203.0.113.9:1";proto="http"`, `, by="10.0.0.1";for=203.0.113.9`} {
			if got := ask(http.Header{"Forwarded": {standard + added}}); got != real && got != proxy {
				t.Errorf("Forwarded of a proxy after %q: %v", standard, got)
			}
		}
		if got := ask(http.Header{"X-Forwarded-For": {own + ", 203.0.113.9"}, "Forwarded": {standard}}); got != real && got != proxy {
			t.Errorf("both, %q and %q: %v", own, standard, got)
		}
	})
}

func TestServe_limits_go_by_the_client_that_a_trusted_proxy_names(t *testing.T) {
	config := "trusted_proxies = ['127.0.0.1']\n[[realm]]\nid = 'default'\n[realm.limits]\npublishes_per_second = 1\n" +
		"[realm.bayeux]\nhandshakes_per_address = 1\n[[realm.rule]]\nmatch = '/**'\npublish = 'anyone'\n"
	r := serve(t, map[string]string{envRealmKey: goodKey}, "--config", writeConfig(t, config))
	handshake := func(from string) string {
		body := strings.NewReader(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}`)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/bayeux", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "9.9.9.9, "+from)
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	refused := 0
	for range 20 {
		if strings.Contains(handshake("203.0.113.1"), "429::Too many handshakes") {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("%d of 20 were refused", refused)
	}
	if text := handshake("203.0.113.2"); !strings.Contains(text, `"successful":true`) {
		t.Errorf("another client of the same proxy: %s", text)
	}
	limited := false
	for range 20 {
		status, _ := post(t, r.url()+"/realm/default/publish/x", "", `{"items":[{"json-object":{}}]}`)
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("the realm takes 20 messages at once, and more than one a second")
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, `waft_bayeux_refused_total{realm="default",reason="address_handshakes"} `+strconv.Itoa(refused)) {
		t.Errorf("the metrics do not tell of %d:\n%s", refused, page)
	}
}
