package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPublish_what_goes_in_comes_out(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	values := []string{
		`{"a":{"b":[1,{"c":null}]}}`, `"é😀<&>"`, `9223372036854775807`, `1.0`, `-0`, `""`, `null`, `false`, `{"x":1,"x":2}`, `"\u00e9"`,
	}
	s := subscribe(t, nil, "--server", r.url(), "--count", "10", "/values/*")
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	var want strings.Builder
	for _, v := range values {
		code, stdout, stderr := run(t, env, "publish", "values/x", v)
		if code != exitOK || !strings.HasPrefix(stdout, "{") {
			t.Errorf("publish %s: exit code %d, receipt %s, %s", v, code, stdout, stderr)
		}
		want.WriteString(`{"channel":"/values/x","data":` + v + "}\n")
	}
	if code := <-s.done; code != exitOK || s.out.String() != want.String() {
		t.Errorf("exit code %d, printed:\n%swant:\n%s", code, s.out.String(), want.String())
	}
}

func TestPublish_an_item_with_an_id_is_published_once(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	s := subscribe(t, nil, "--server", r.url(), "--count", "2", "/x")
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	for _, args := range [][]string{{"/x", "1", "--id", "one"}, {"/x", "1", "--id", "one"}, {"--id", "two", "/x", "2"}} {
		if code, _, stderr := run(t, env, append([]string{"publish"}, args...)...); code != exitOK {
			t.Fatal(stderr)
		}
	}
	<-s.done
	if got, want := s.out.String(), "{\"channel\":\"/x\",\"data\":1}\n{\"channel\":\"/x\",\"data\":2}\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestPublish_reads_the_message_from_stdin_and_sends_a_plain_request(t *testing.T) {
	var got, token string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1000)
		n, _ := r.Body.Read(b)
		got, token = r.Method+" "+r.URL.EscapedPath()+" "+string(b[:n]), r.Header.Get("Authorization")
		_, _ = w.Write([]byte("{\"receipts\":[\"a  b\"]}\n"))
	}))
	defer server.Close()
	term := newTerminal(map[string]string{envToken: "from-environment"})
	term.stdin = strings.NewReader("{\n  \"a\": \"<&>\"\n}\n")
	if code := term.run(t.Context(), []string{"publish", "--server", server.URL, "--id", "<7>", "x", "-"}); code != exitOK {
		t.Fatal(term.err.String())
	}
	if want := `POST /realm/default/publish/ {"items":[{"channel":"/x","id":"<7>","json-object":{"a":"<&>"}}]}` + "\n"; got != want {
		t.Errorf("the server got\n%s, want\n%s", got, want)
	}
	if token != "Bearer from-environment" {
		t.Errorf("Authorization: %s", token)
	}
	if out := term.out.String(); out != "{\"receipts\":[\"a  b\"]}\n" {
		t.Errorf("stdout %q", out)
	}
}

func TestPublish_says_what_is_wrong(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"/x"}, exitUsage, "needs a channel and a JSON value"},
		{[]string{"/x", "{"}, exitUsage, "the message: "},
		{[]string{"/x/*", "1"}, exitUsage, "/x/*"},
		{[]string{"/x", "1", "--config", "/nowhere.toml"}, exitUsage, "nowhere.toml"},
		{[]string{"/x", "1"}, exitFailed, "the server answered 401"},
		{[]string{"/x", "1", "--token", "nonsense"}, exitFailed, "the server answered 401"},
		{[]string{"/x", "1", "--realm", "nowhere"}, exitFailed, "the server answered 404"},
		{[]string{"/x", "1", "--server", "http://127.0.0.1:1"}, exitFailed, "publishing: "},
	} {
		code, stdout, stderr := run(t, map[string]string{envServer: r.url()}, append([]string{"publish"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("publish %q: exit code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
}
