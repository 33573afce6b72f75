package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// The address that the pages on streams have in their examples.
const docsAddress = "127.0.0.1:8080"

func docsPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every shell example of docs/events.md, in their order, on a server of their own: what the page shows is published, and the streams have to be
// what it shows. Ids and times differ; an id that is shown twice is the same twice.
func TestDocs_event_streams_are_what_the_page_shows(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	page := docsPage(t, "events.md")
	r := serve(t, map[string]string{envRealmKey: goodKey})
	publish := func(shown string) {
		for _, m := range regexp.MustCompile(`(?m)^data: (\{"channel":.*\})$`).FindAllStringSubmatch(shown, -1) {
			var of struct {
				Channel, ID string
				Data        json.RawMessage
			}
			if err := json.Unmarshal([]byte(m[1]), &of); err != nil {
				t.Fatalf("the page shows %s: %v", m[1], err)
			}
			env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
			if code, _, stderr := run(t, env, "publish", "--id", of.ID, of.Channel, string(of.Data)); code != exitOK {
				t.Fatal(stderr)
			}
		}
	}
	examples := regexp.MustCompile("(?s)```sh\n(curl .*?)```\n```text\n(.*?)```").FindAllStringSubmatch(page, -1)
	if n := strings.Count(page, "```sh\n"); n == 0 || n != len(examples) {
		t.Fatalf("of %d examples %d show what they answer", n, len(examples))
	}
	ids := map[string]string{} // of the page: those that came
	for _, e := range examples {
		command, shown := strings.ReplaceAll(e[1], docsAddress, strings.TrimPrefix(r.url(), "http://")), e[2]
		for ofPage, real := range ids {
			command = strings.ReplaceAll(command, ofPage, real)
		}
		missed := strings.Contains(shown, `"resumed":true`)
		if missed {
			publish(shown)
		}
		curl := exec.CommandContext(t.Context(), "sh", "-c", "exec "+command)
		out, err := curl.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := curl.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for want := range strings.Lines(shown) {
			got, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%s\nended with %q, %v, and the page goes on with %s", command, got, err, want)
			}
			if id, ok := strings.CutPrefix(want, "id: "); ok {
				id, real := strings.TrimSpace(id), strings.TrimSpace(strings.TrimPrefix(got, "id: "))
				if ids[id] == "" {
					ids[id] = real
				}
				want = "id: " + ids[id]
			}
			if strings.HasPrefix(got, "retry: ") && strings.HasPrefix(want, "retry: ") {
				continue // not the same for all
			}
			if got, want := steady(got), steady(want); got != want {
				t.Errorf("%s\nanswers\n%s\nand the page says\n%s", command, got, want)
			}
			if strings.Contains(got, `"resumed":`) && !missed {
				publish(shown)
			}
		}
		_ = curl.Process.Kill()
		_ = curl.Wait()
	}
}

// Each frame of the table of docs/websocket.md, in their order, on one connection, and those below it.
func TestDocs_websocket_frames_are_answered_as_the_page_says(t *testing.T) {
	page := docsPage(t, "websocket.md")
	r := serve(t, map[string]string{envRealmKey: goodKey})
	_, token, _ := run(t, map[string]string{envRealmKey: goodKey}, "token", "mint", "--subject", "alice")
	var position, place string // the last that came
	real := func(frame string) string {
		frame = strings.ReplaceAll(frame, `"token":"…"`, fmt.Sprintf(`"token":%q`, strings.TrimSpace(token)))
		return strings.ReplaceAll(strings.ReplaceAll(frame, "1x2y3z-12", position), "EQAA…", place)
	}
	open := func() *websocket.Conn {
		ws, status, err := dialSocket(t, websocket.Dialer{Subprotocols: []string{"waft.v1"}}, r.url()+"/realm/default/ws?window=100", nil)
		if err != nil {
			t.Fatal(err, status)
		}
		t.Cleanup(func() { ws.Close() })
		return ws
	}
	// hear compares what comes with what the page shows, but for what is never the same.
	hear := func(ws *websocket.Conn, shown string) {
		t.Helper()
		var got, want map[string]any
		if err := ws.ReadJSON(&got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(shown), &want); err != nil {
			t.Fatalf("the page shows %s: %v", shown, err)
		}
		if p, ok := got["position"].(string); ok {
			position = p
		}
		if p, ok := got["place"].(string); ok {
			place = p
		}
		for _, passing := range []string{"position", "place", "expires", "time"} {
			if text, ok := got[passing].(string); ok && text != "" && want[passing] != nil {
				want[passing] = text
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("heard %v, and the page shows %s", got, shown)
		}
	}
	say := func(ws *websocket.Conn, frame string) {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, []byte(real(frame))); err != nil {
			t.Fatal(err)
		}
	}
	one := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindAllString(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d times %s", len(m), pattern)
		}
		return strings.TrimSpace(m[0])
	}

	rows := regexp.MustCompile("(?m)^\\| `(\\{\"type\".*?\\})` \\| `(\\{\"type\".*?\\})`").FindAllStringSubmatch(page, -1)
	if n := strings.Count(page, "\n| `{\"type\""); n != 6 || len(rows) != n {
		t.Fatalf("of %d rows %d have a frame and an answer", n, len(rows))
	}
	ws := open()
	subscribed := ""
	for _, row := range rows {
		if strings.Contains(row[1], `"type":"subscribe"`) {
			subscribed = row[2]
		}
		say(ws, row[1])
		hear(ws, row[2])
	}

	// What comes, and what has been missed.
	ws = open()
	say(ws, `{"type":"subscribe","ref":2,"channels":["/news","/chat/**"]}`)
	hear(ws, subscribed)
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	message := one(`(?m)^    \{"type":"message".*\}$`)
	put := func(args ...string) {
		t.Helper()
		if code, _, stderr := run(t, env, append([]string{"publish"}, args...)...); code != exitOK {
			t.Fatal(stderr)
		}
	}
	put("--id", "8", "/news", `{"n":1}`)
	hear(ws, strings.Replace(message, `"id":"7"`, `"id":"8"`, 1))
	ws = open() // whose place is behind that
	say(ws, `{"type":"subscribe","ref":2,"channels":["/news","/chat/**"]}`)
	hear(ws, subscribed)
	put("--id", "9", "/chat/42", `"seen"`)
	hear(ws, `{"type":"message","channel":"/chat/42","id":"9","position":"","time":"","data":"seen"}`)
	ws.Close()
	put("--id", "10", "/chat/42", `"missed"`)
	ws = open()
	say(ws, one(`(?m)^    \{"type":"subscribe".*\}$`))
	hear(ws, strings.Replace(subscribed, `"resumed":false`, `"resumed":true`, 1))
	hear(ws, `{"type":"message","channel":"/chat/42","id":"10","position":"","time":"","data":"missed"}`)
}
