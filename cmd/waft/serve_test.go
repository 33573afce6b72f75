package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"waft/auth"
)

// running is a `waft serve` in this process.
type running struct {
	*terminal
	*server
	stop func() (code int) // as a signal would
}

// serve starts `waft serve` on free ports. Whatever the test does, it is stopped at the end.
func serve(t *testing.T, env map[string]string, args ...string) *running {
	t.Helper()
	return serveWith(t, env, func(*program) {}, args...)
}

// serveWith is serve for a program that the test has something to tell.
func serveWith(t *testing.T, env map[string]string, tell func(*program), args ...string) *running {
	t.Helper()
	r := &running{terminal: newTerminal(env)}
	tell(r.program)
	up := make(chan *server, 1)
	r.started = func(s *server) { up <- s }
	ctx, cancel := context.WithCancel(context.Background())
	exit, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		exit = r.run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...))
	}()
	r.stop = func() int {
		cancel()
		<-done
		return exit
	}
	t.Cleanup(func() { r.stop() })
	select {
	case r.server = <-up:
	case <-done:
		t.Fatalf("waft serve ended with exit code %d: %s", exit, r.err.String())
	}
	return r
}

func (r *running) url() string      { return "http://" + r.public.Addr().String() }
func (r *running) adminURL() string { return "http://" + r.private.Addr().String() }

// get fetches a page of the admin listener.
func (r *running) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	response, err := client(t).Get(r.adminURL() + path)
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

// client is an HTTP client that leaves nothing behind.
func client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// post posts JSON and gives the answer's text.
func post(t *testing.T, url, token, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
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

// subscriber is a `waft subscribe` in this process, subscribed.
type subscriber struct {
	*terminal
	done chan int // its exit code
}

func subscribe(t *testing.T, env map[string]string, args ...string) *subscriber {
	t.Helper()
	s := &subscriber{terminal: newTerminal(env), done: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- s.run(ctx, append([]string{"subscribe"}, args...))
	}()
	t.Cleanup(func() { cancel(); <-ended })
	if !s.err.waitFor(t.Context(), "subscribed to") {
		t.Fatalf("waft subscribe did not subscribe: %s", s.err.String())
	}
	return s
}

// words splits a command line as a shell would, as far as the commands that waft prints need it.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

// lineWith gives the line of text that contains what.
func lineWith(t *testing.T, text, what string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, what) {
			return line
		}
	}
	t.Fatalf("no line with %q in:\n%s", what, text)
	return ""
}

func TestServe_the_commands_it_prints_show_a_message_arriving(t *testing.T) {
	r := serve(t, nil)
	if !r.out.waitFor(t.Context(), "curl") {
		t.Fatal("nothing was printed")
	}
	text := r.out.String()

	command := words(lineWith(t, text, " subscribe "))
	if command[0] != "waft" || command[1] != "subscribe" {
		t.Fatalf("the command to subscribe is %q", command)
	}
	s := subscribe(t, nil, append(command[2:], "--count", "1")...)

	curl := words(lineWith(t, text, "curl "))
	if len(curl) != 8 || curl[1] != "-X" || curl[2] != "POST" || curl[4] != "-H" || curl[6] != "-d" {
		t.Fatalf("the command to publish is %q", curl)
	}
	token := strings.TrimPrefix(curl[5], "Authorization: Bearer ")
	if status, answer := post(t, curl[3], token, curl[7]); status != http.StatusOK {
		t.Fatalf("publishing: %d %s", status, answer)
	}
	if code := <-s.done; code != exitOK {
		t.Errorf("waft subscribe: exit code %d: %s", code, s.err.String())
	}
	if got, want := s.out.String(), `{"channel":"/chat/hello","data":{"text":"hi"}}`+"\n"; got != want {
		t.Errorf("waft subscribe printed %s, want %s", got, want)
	}

	key := strings.TrimSpace(lineWith(t, text, envRealmKey+"="))
	code, stdout, stderr := run(t, map[string]string{envRealmKey: strings.TrimPrefix(key, envRealmKey+"="), envServer: r.url()}, "publish", "/chat/x", "1")
	if code != exitOK {
		t.Errorf("publishing with the key that was printed: exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestServe_with_a_key_prints_nothing_on_stdout(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if out := r.out.String(); out != "" {
		t.Errorf("stdout: %q", out)
	}
}

func TestServe_refuses_strangers_without_a_key(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		code, _, stderr := run(t, nil, "serve", "--listen", address, "--admin-listen", "127.0.0.1:0")
		if code != exitUsage || !strings.Contains(stderr, "can be reached from other machines") || !strings.Contains(stderr, envRealmKey) {
			t.Errorf("listening on %s without a key: exit code %d: %s", address, code, stderr)
		}
	}
	withKey, err := load(overrides{listen: "0.0.0.0:0"}, environment{envRealmKey: goodKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := withKey.checkExposure(t.Context()); err != nil {
		t.Errorf("with a key: %v", err)
	}
	half, err := loadText(t, "listen = '0.0.0.0:0'\n[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = '"+goodKey+"'\n[[realm]]\nid = 'b'", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantConfigError(t, half.checkExposure(t.Context()), "the realm b has no key")
	for _, address := range []string{"127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0", "[::ffff:127.0.0.1]:0"} {
		if !isLoopback(t.Context(), address) {
			t.Errorf("%s does not pass for loopback", address)
		}
	}
}

func TestServe_says_that_a_port_is_taken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	code, _, stderr := run(t, nil, "serve", "--listen", taken, "--admin-listen", "127.0.0.1:0")
	if code != exitFailed || !strings.Contains(stderr, "listen = "+fmt.Sprintf("%q", taken)+": another program is listening there") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, _, stderr = run(t, nil, "serve", "--listen", "127.0.0.1:0", "--admin-listen", taken)
	if code != exitFailed || !strings.Contains(stderr, "admin_listen = ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// halfRequest begins a publish request and gives what finishes it: a request that is being served.
func halfRequest(t *testing.T, r *running) (finish func() string) {
	t.Helper()
	key, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.Mint(auth.Key{Secret: key}, defaultRealm, auth.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"items":[{"channel":"/late","json-object":1}]}`
	conn, err := net.Dial("tcp", r.public.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /realm/default/publish/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", token, len(body))
	answer := bufio.NewReader(conn)
	// The server asks for the body when the handler reads it: from then on the request is under way.
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	return func() string {
		_, _ = io.WriteString(conn, body)
		_, _ = answer.ReadString('\n') // the empty line behind 100 Continue
		line, _ := answer.ReadString('\n')
		return line
	}
}

func TestServe_stopping_turns_readiness_off_and_finishes_what_is_under_way(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	if status, body := r.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := r.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	s := subscribe(t, nil, "--server", r.url(), "/late")
	finish := halfRequest(t, r)

	code := make(chan int, 1)
	go func() { code <- r.stop() }()
	if !r.err.waitFor(t.Context(), "msg=stopping") {
		t.Fatal("it does not stop")
	}
	if status, body := r.get(t, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while stopping: %d %s", status, body)
	}
	if status, _ := r.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz while stopping: %d", status)
	}
	// By the reply to its held connect, or, between two connects, by the close frame.
	if !s.err.waitFor(t.Context(), "trying again in") {
		t.Error("the subscriber was not told")
	}
	if line := finish(); !strings.Contains(line, "200 OK") {
		t.Errorf("the request under way was answered %q", line)
	}
	if code := <-code; code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if conn, err := net.Dial("tcp", r.public.Addr().String()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestServe_a_stop_takes_no_longer_than_drain(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey}, "--config", writeConfig(t, "drain = '50ms'"))
	halfRequest(t, r) // and never finish it
	if code := r.stop(); code != exitFailed || !strings.Contains(r.err.String(), "stopping: ") {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
}

// A long poll, held, with the messages that clients send by hand.
func TestServe_stopping_answers_held_polls(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	id := handshake(t, r.url()+"/bayeux", "")
	connect := fmt.Sprintf(`[{"channel":"/meta/connect","clientId":%q,"connectionType":"long-polling","id":"2"}]`, id)
	if status, answer := post(t, r.url()+"/bayeux", "", connect); status != http.StatusOK {
		t.Fatalf("the first connect: %d %s", status, answer)
	}
	polls := func(n int) { // no sign of it reaches the outside
		for r.realms[0].bayeux.Stats().Polls != n {
			time.Sleep(time.Millisecond)
		}
	}
	polls(0) // the first one's handler may not have returned yet
	held := make(chan string, 1)
	go func() {
		defer close(held) // also if post fails the test
		_, answer := post(t, r.url()+"/bayeux", "", connect)
		held <- answer
	}()
	polls(1)
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if answer := <-held; !strings.Contains(answer, `"reconnect":"handshake"`) {
		t.Errorf("the held poll was answered %s", answer)
	}
}

// handshake makes a Bayeux session over HTTP and gives its clientId.
func handshake(t *testing.T, url, token string) string {
	t.Helper()
	status, answer := post(t, url, token, `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"1"}]`)
	var replies []struct{ ClientID string }
	if err := json.Unmarshal([]byte(answer), &replies); err != nil || len(replies) != 1 || replies[0].ClientID == "" {
		t.Fatalf("handshake: %d %s", status, answer)
	}
	return replies[0].ClientID
}

func TestServe_realms_are_separate_and_found_by_path_and_host(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, `
[[realm]]
id = "default"
[[realm.key]]
secret = "`+goodKey+`"
[[realm]]
id = "other"
hosts = ["localhost"]
[[realm.key]]
secret = "`+goodKey+`"
`))
	here := subscribe(t, nil, "--server", r.url(), "/x")
	there := subscribe(t, nil, "--server", r.url(), "--realm", "other", "/x")
	port := r.public.Addr().(*net.TCPAddr).Port
	id := handshake(t, fmt.Sprintf("http://localhost:%d/bayeux", port), "")
	if _, ok := r.realms[1].broker.Session(id); !ok {
		t.Error("a session at the realm's host name is not the realm's")
	}
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	if code, _, stderr := run(t, env, "publish", "/x", `"here"`); code != exitOK {
		t.Fatal(stderr)
	}
	key, _ := auth.ParseSecret(goodKey)
	token, err := auth.Mint(auth.Key{Secret: key}, "other", auth.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, env, "publish", "--realm", "other", "--token", token, "/x", `"there"`); code != exitOK {
		t.Fatal(stderr)
	}
	if !here.out.waitFor(t.Context(), "\n") || here.out.String() != `{"channel":"/x","data":"here"}`+"\n" {
		t.Errorf("the realm default got %s", here.out.String())
	}
	if !there.out.waitFor(t.Context(), "\n") || there.out.String() != `{"channel":"/x","data":"there"}`+"\n" {
		t.Errorf("the realm other got %s", there.out.String())
	}
	if code, _, stderr := run(t, env, "publish", "--token", token, "/x", "1"); code != exitFailed || !strings.Contains(stderr, "401") {
		t.Errorf("a token of the other realm: exit code %d: %s", code, stderr)
	}
}
