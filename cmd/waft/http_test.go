package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const twoRealms = `
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

// call sends a request without a body to the public listener.
func (r *running) call(t *testing.T, method, path, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// A token of one realm is none in another, even if both have one key.
func TestHTTP_realms_are_apart(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, twoRealms))
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

func TestHTTP_a_stop_answers_those_who_wait(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	answered := make(chan string, 1)
	go func() {
		_, body := r.call(t, "GET", "/realm/default/channels/x/messages?wait=50", "")
		answered <- body
	}()
	held := r.realms[0].reader
	for began := time.Now(); held.Stats().Held == 0 && time.Since(began) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if body, want := <-answered, `{"channel":"/x","messages":[],"position":"0"}`+"\n"; body != want {
		t.Errorf("answered %q, want %q", body, want)
	}
}
