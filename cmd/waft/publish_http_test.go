package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const impatient = `
[http]
body_timeout = "1s"
[[realm]]
id = "default"
[[realm.key]]
secret = "` + goodKey + `"
`

// raw sends the head of a publish request, and what there is of its body.
func (r *running) raw(t *testing.T, fields, body string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprintf(c, "POST /realm/default/publish/slow/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", mint(t, goodKey), fields, body)
	return bufio.NewReader(c)
}

func answerOf(t *testing.T, from *bufio.Reader) (status int, body string) {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Whoever stops in the middle of a body is told so, and let go of; nothing of it is published.
func TestPublish_slow_and_half_bodies(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, impatient))
	load := r.raw(t, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked", "16\r\n{\"json-object\":1}\n{\"js\r\n")
	waiting := map[string]*bufio.Reader{ // all at once
		"with a length": r.raw(t, "Content-Length: 1000", `{"items":[{"json-object":1}]}`),
		"in chunks":     r.raw(t, "Transfer-Encoding: chunked", "5\r\n{\"ite\r\n"),
		"nothing of it": r.raw(t, "Content-Length: 1000", ""),
		"packed":        r.raw(t, "Content-Encoding: gzip\r\nContent-Length: 1000", "\x1f\x8b\x08\x00"),
	}
	for name, from := range waiting {
		if status, body := answerOf(t, from); status != http.StatusRequestTimeout || !strings.Contains(body, "the body took too long to arrive") {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if _, err := from.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
	}
	status, body := answerOf(t, load)
	if status != http.StatusOK || !strings.Contains(body, `{"line":1,"id":`) || !strings.Contains(body, `{"done":false,"lines":1,"published":1,"duplicates":0,"held":0,"refused":0,"code":"timeout",`) {
		t.Errorf("a bulk load: %d %s", status, body)
	}
	if n := r.server.realms[0].broker.Stats().Published; n != 1 {
		t.Errorf("%d were published", n)
	}
}

func TestReload_changes_the_rates_of_publishing(t *testing.T) {
	const key = "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	r := serveReloadable(t, nil, reloadBase+key)
	token := mint(t, goodKey)
	publish := func(n int) (int, string) {
		return post(t, r.url()+"/realm/default/publish/x", token, `{"items":[{"json-object":1}`+strings.Repeat(`,{"json-object":1}`, n-1)+`]}`)
	}
	if status, body := publish(100); status != http.StatusOK {
		t.Fatal(body)
	}
	for _, rate := range []string{"messages_per_key", "messages_per_channel", "messages_per_address"} {
		if log := r.reload(reloadBase + "[realm.publish]\n" + rate + " = 1\n" + key); !strings.Contains(log, `msg="reloaded`) {
			t.Fatal(log)
		}
		if status, body := publish(6); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", rate, status, body)
		}
	}
	if log := r.reload(reloadBase + "[realm.publish]\nhold = '1s'\n" + key); !strings.Contains(log, "restart it for realm.publish.hold") {
		t.Error(log)
	}
}

// What waits for another item when waft stops is published.
func TestServe_publishes_what_is_held_when_it_stops(t *testing.T) {
	dir := t.TempDir()
	config := writeConfig(t, reloadBase+"[[realm.key]]\nsecret = '"+goodKey+"'\n")
	r := serve(t, nil, "--config", config, "--data", dir)
	publish := func(items string) int {
		status, _ := post(t, r.url()+"/realm/default/publish/x", mint(t, goodKey), `{"items":[`+items+`]}`)
		return status
	}
	if a, b := publish(`{"id":"1","json-object":1}`), publish(`{"id":"3","prev-id":"2","json-object":3}`); a != 200 || b != 202 {
		t.Fatal(a, b)
	}
	if code := r.stop(); code != exitOK {
		t.Fatal(r.err.String())
	}
	r = serve(t, nil, "--config", config, "--data", dir)
	if _, body := r.call(t, "GET", "/realm/default/channels/x/messages", ""); !strings.Contains(body, `"id":"3"`) {
		t.Error(body)
	}
}
