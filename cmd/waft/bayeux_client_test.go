package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// script is the server's side of a dialogue: each element is one socket, and each of its steps a frame that is expected
// ("> ") or sent ("< "). $ in a frame stands for the id of the client's latest message on the channel that follows; the
// ids of requests are not compared. "close" closes the socket.
type script [][]string

// scripted serves the script and gives its address. done is closed when it is over.
func scripted(t *testing.T, s script) (url string, done <-chan struct{}) {
	t.Helper()
	over := make(chan struct{})
	up := websocket.Upgrader{}
	turn := make(chan int, 1)
	turn <- 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		n := <-turn
		if n >= len(s) {
			t.Errorf("socket %d was not expected", n+1)
			turn <- n
			return
		}
		for _, step := range s[n] {
			direction, frame, _ := strings.Cut(step, " ")
			switch direction {
			case ">":
				_, got, err := conn.ReadMessage()
				if err != nil {
					t.Errorf("socket %d: waiting for %s: %v", n+1, frame, err)
				} else if g := withoutIDs(t, got); g != frame {
					t.Errorf("socket %d: got\n%s, want\n%s", n+1, g, frame)
				}
			case "<":
				_ = conn.WriteMessage(websocket.TextMessage, []byte(frame))
			}
		}
		turn <- n + 1
		if n+1 == len(s) {
			close(over)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, over
}

// withoutIDs is a client's frame in one fixed form: its members sorted, without the ids.
func withoutIDs(t *testing.T, frame []byte) string {
	t.Helper()
	var messages []map[string]any
	if err := json.Unmarshal(frame, &messages); err != nil {
		t.Errorf("the client sent %s: %v", frame, err)
	}
	for _, m := range messages {
		if m["id"] == "" || m["id"] == nil {
			t.Errorf("a message without id: %s", frame)
		}
		delete(m, "id")
	}
	b, _ := json.Marshal(messages)
	return string(b)
}

// The usual beginning of a dialogue.
const (
	shake       = `> [{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"],"version":"1.0"}]`
	shaken      = `< [{"channel":"/meta/handshake","successful":true,"clientId":"c1","advice":{"reconnect":"retry","interval":0,"timeout":30000}}]`
	begin       = `> [{"channel":"/meta/subscribe","clientId":"c1","subscription":"/a"},{"channel":"/meta/connect","clientId":"c1","connectionType":"websocket"}]`
	granted     = `< [{"channel":"/meta/subscribe","successful":true,"clientId":"c1","subscription":"/a"}]`
	connected   = `< [{"channel":"/meta/connect","successful":true,"clientId":"c1","advice":{"reconnect":"retry","interval":0,"timeout":30000}}]`
	connect     = `> [{"channel":"/meta/connect","clientId":"c1","connectionType":"websocket"}]`
	goodbye     = `> [{"channel":"/meta/disconnect","clientId":"c1"}]`
	oneMessage  = `< [{"channel":"/a","data":1}]`
	onePrinted  = `{"channel":"/a","data":1}` + "\n"
	unknown     = `< [{"channel":"/meta/connect","successful":false,"error":"401:c1:Unknown client","advice":{"reconnect":"handshake","interval":1}}]`
	newSession  = `< [{"channel":"/meta/handshake","successful":true,"clientId":"c2","advice":{"reconnect":"retry","interval":0,"timeout":30000}}]`
	beginAgain  = `> [{"channel":"/meta/subscribe","clientId":"c2","subscription":"/a"},{"channel":"/meta/connect","clientId":"c2","connectionType":"websocket"}]`
	goodbyeTwo  = `> [{"channel":"/meta/disconnect","clientId":"c2"}]`
	grantedTwo  = `< [{"channel":"/meta/subscribe","successful":true,"clientId":"c2","subscription":"/a"}]`
	withRetries = `< [{"channel":"/meta/handshake","successful":false,"error":"503::Server is stopping","advice":{"reconnect":"handshake","interval":1}}]`
)

func TestSubscribe_dialogues(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script
		code   int
		stdout string
		stderr string
	}{
		{
			"it_ends_after_count_messages_and_says_goodbye",
			script{{shake, shaken, begin, granted, connected, connect, oneMessage, goodbye}},
			exitOK, onePrinted, "subscribed to /a\n",
		},
		{
			"a_lost_socket_is_replaced_and_the_session_taken_up_again",
			script{{shake, shaken, begin, granted, connected, connect}, {connect, oneMessage, goodbye}},
			exitOK, onePrinted, "trying again",
		},
		{
			"a_forgotten_session_is_begun_anew_with_its_subscriptions",
			script{{shake, shaken, begin, granted, connected, connect, unknown, shake, newSession, beginAgain, grantedTwo, oneMessage, goodbyeTwo}},
			exitOK, onePrinted, "messages may be missing",
		},
		{
			"a_forgotten_session_on_a_new_socket_too",
			script{{shake, shaken, begin, granted, connected, connect}, {connect, unknown, shake, newSession, beginAgain, grantedTwo, oneMessage, goodbyeTwo}},
			exitOK, onePrinted, "401:c1:Unknown client",
		},
		{
			"a_server_that_asks_for_patience_is_left_alone_meanwhile",
			script{
				{shake, shaken, begin, granted, connected, connect, strings.Replace(unknown, `"interval":1`, `"interval":1001`, 1)},
				{shake, newSession, beginAgain, grantedTwo, oneMessage, goodbyeTwo},
			},
			exitOK, onePrinted, "asks for patience: 401:c1:Unknown client; trying again in 1.001s",
		},
		{
			"a_handshake_that_may_be_tried_again_is",
			script{{shake, withRetries, shake, shaken, begin, granted, oneMessage, goodbye}},
			exitOK, onePrinted, "",
		},
		{
			"a_refused_handshake_with_advice_none_is_an_error",
			script{{shake, `< [{"channel":"/meta/handshake","successful":false,"error":"403::Handshake denied","advice":{"reconnect":"none","interval":0}}]`}},
			exitFailed, "", "the server refused the handshake: 403::Handshake denied",
		},
		{
			"a_refused_subscription_is_an_error",
			script{{shake, shaken, begin, `< [{"channel":"/meta/subscribe","successful":false,"subscription":"/a","error":"403:/a:Forbidden channel"}]`}},
			exitFailed, "", "the server refused the subscription to /a: 403:/a:Forbidden channel",
		},
		{
			"a_first_connection_that_breaks_is_an_error",
			script{{shake}},
			exitFailed, "", "waft: ",
		},
		{
			"what_is_not_bayeux_is_an_error",
			script{{shake, `< hello`}},
			exitFailed, "", "the server sent what is not Bayeux",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, done := scripted(t, c.script)
			code, stdout, stderr := run(t, nil, "subscribe", "/a", "--count", "1", "--server", url)
			<-done
			if code != c.code || stdout != c.stdout || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d\nstdout %q, want %q\nstderr %q, want %q", code, c.code, stdout, c.stdout, stderr, c.stderr)
			}
		})
	}
}

func TestSubscribe_prints_the_data_as_it_came(t *testing.T) {
	data := []string{
		`null`, `""`, `1.0`, `9223372036854775807`, `1e400`, `"<&>\u2028é😀"`, `"é😀<&>"`, `{"b":1,"a":[true,{"x":{}}],"b":2}`, `"line\nbreak"`,
	}
	sent := []string{shake, shaken, begin, granted}
	var want strings.Builder
	for _, d := range data {
		sent = append(sent, `< [{"channel":"/a","data":`+d+`}]`)
		want.WriteString(`{"channel":"/a","data":` + d + "}\n")
	}
	sent = append(sent, "< [{\"channel\":\"/a\",\"data\":{\n \"x\":\r\n1}}]", goodbye)
	want.WriteString(`{"channel":"/a","data":{"x":1}}` + "\n")
	url, done := scripted(t, script{sent})
	code, stdout, stderr := run(t, nil, "subscribe", "--quiet", "--count", "10", "/a", "--server", url)
	<-done
	if code != exitOK || stdout != want.String() {
		t.Errorf("exit code %d, stdout:\n%swant:\n%s", code, stdout, want.String())
	}
	if stderr != "" {
		t.Errorf("quiet, it said %q", stderr)
	}
}

func TestSubscribe_shows_its_token_and_nobody_else_sees_it(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization") + " " + r.URL.EscapedPath()
		http.Error(w, "no such\nrealm", http.StatusNotFound)
	}))
	defer server.Close()
	env := map[string]string{envToken: "t0ken", envServer: server.URL + "/behind/a/proxy/"}
	code, _, stderr := run(t, env, "subscribe", "--realm", "a", "/a")
	if want := "Bearer t0ken /behind/a/proxy/realm/a/bayeux"; seen != want {
		t.Errorf("the server saw %q, want %q", seen, want)
	}
	if code != exitFailed || !strings.Contains(stderr, "404 Not Found: no such realm") || strings.Contains(stderr, "t0ken") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestSubscribe_says_what_is_wrong_with_its_arguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "needs a pattern"},
		{[]string{"/a//b"}, "/a//b"},
		{[]string{"/a", "--count", "-1"}, "--count must not be negative"},
		{[]string{"/a", "--count", "many"}, "many"},
		{[]string{"/a", "--server", "localhost:8080"}, "is not a URL such as"},
		{[]string{"/a", "--server", "ftp://x"}, "is not a URL such as"},
	} {
		code, _, stderr := run(t, nil, append([]string{"subscribe"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("subscribe %q: exit code %d: %s", c.args, code, stderr)
		}
	}
}
