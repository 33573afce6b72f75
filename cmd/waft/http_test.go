package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const readRealms = `
[[realm]]
id = "default"
[[realm.key]]
secret = "` + goodKey + `"
[[realm.rule]]
match = "/secret/**"
subscribe = "token"
history = { size = 10 }
[[realm]]
id = "other"
[[realm.key]]
secret = "` + goodKey + `"
`

// call sends a request without a body to the public listener, with names and values of further header fields. It may be
// called by any goroutine.
func (r *running) call(t *testing.T, method, path, token string, fields ...string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.url()+path, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client(t).Do(request)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(b)
}

// A token of one realm is none in another, even if both have one key.
func TestHTTP_realms_are_apart(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, readRealms))
	token := mint(t, goodKey)
	if status, body := post(t, r.url()+"/realm/default/publish/secret/a/", token, `{"items":[{"id":"1","json-object":"ours"}]}`); status != http.StatusOK {
		t.Fatal(body)
	}
	for _, c := range []struct {
		method, path string
		status       int // with a token of the realm; without one 401
	}{
		{"GET", "channels/", 200},
		{"GET", "channels/secret:a", 200},
		{"GET", "channels/secret:a/messages", 200},
		{"GET", "channels/secret:a/messages?wait=1", 200},
		{"GET", "sessions/", 200},
		{"GET", "usage", 200},
		{"DELETE", "sessions/bayeux-1", 404},
		{"DELETE", "channels/secret:a/messages/2", 404},
	} {
		if status, body := r.call(t, c.method, "/realm/default/"+c.path, token); status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
		for _, stranger := range []string{"", "x.y.z"} {
			if status, body := r.call(t, c.method, "/realm/default/"+c.path, stranger); status != http.StatusUnauthorized {
				t.Errorf("%s %s with %q: %d %s", c.method, c.path, stranger, status, body)
			}
		}
		if status, body := r.call(t, c.method, "/realm/other/"+c.path, token); status != http.StatusUnauthorized {
			t.Errorf("%s %s in the other realm: %d %s", c.method, c.path, status, body)
		}
	}
	if status, body := r.call(t, "GET", "/realm/other/channels/secret:a/messages", ""); status != 200 || strings.Contains(body, "ours") {
		t.Errorf("the other realm's channel of that name: %d %s", status, body)
	}
	if status, _ := r.call(t, "GET", "/realm/nowhere/usage", token); status != http.StatusNotFound {
		t.Errorf("no realm: %d", status)
	}
}

func TestHTTP_settings_reach_the_door(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey}, "--config", writeConfig(t, `
trusted_proxies = ["127.0.0.1"]
[[realm]]
id = "default"
[realm.http]
origins = ["https://app.example"]
max_page = 2
max_held_per_address = 1
page_age = "7s"
`))
	token := mint(t, goodKey)
	if status, body := post(t, r.url()+"/realm/default/publish/x/", token, `{"items":[{"id":"1","fpp":1},{"id":"2","fpp":2},{"id":"3","fpp":3}]}`); status != http.StatusOK {
		t.Fatal(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/realm/default/channels/x/messages?since=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://app.example")
	first, err := client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	var page struct {
		Messages []struct{ ID string }
		Position string
	}
	if err := json.NewDecoder(first.Body).Decode(&page); err != nil || len(page.Messages) != 2 {
		t.Errorf("the page is %+v (%v)", page, err)
	}
	if h := first.Header; h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Cache-Control") != "public, max-age=7" {
		t.Errorf("its head is %v", h)
	}

	// One request of an address is held and the next one not, whichever way they came.
	path := "/realm/default/channels/x/messages?wait=50&since=" + page.Position[:strings.LastIndexByte(page.Position, '-')] + "-3"
	for i, from := range []string{"192.0.2.1", "192.0.2.2"} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			r.call(t, http.MethodGet, path, "", "X-Forwarded-For", from)
		}()
		t.Cleanup(func() { r.stop(); <-answered })
		r.held(t, i+1)
		if status, body := r.call(t, http.MethodGet, path, "", "X-Forwarded-For", from); status != http.StatusTooManyRequests {
			t.Errorf("the second request of %s: %d %s", from, status, body)
		}
	}
}

// held waits until so many requests are.
func (r *running) held(t *testing.T, n int) {
	t.Helper()
	counts(t, "requests that are held", n, func() int { return r.realms[0].reader.Stats().Held })
}

// counts waits until there are n of what, which nothing tells from outside.
func counts(t *testing.T, what string, n int, count func() int) {
	t.Helper()
	for began := time.Now(); count() != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d %s, and not %d", count(), what, n)
		}
	}
}

func TestHTTP_a_stop_answers_those_who_wait(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	answered := make(chan string, 1)
	go func() {
		_, body := r.call(t, "GET", "/realm/default/channels/x/messages?wait=50", "")
		answered <- body
	}()
	r.held(t, 1)
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if body, want := <-answered, `{"channel":"/x","messages":[],"position":"0"}`+"\n"; body != want {
		t.Errorf("answered %q, want %q", body, want)
	}
}
