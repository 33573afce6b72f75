package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"waft/auth"
	"waft/broker"
)

// A realm in which nothing may be done with the channel without a token.
const checkRealm = "[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '" + goodKey + "'\n" +
	"[realm.bayeux]\nbad_tokens_per_address = 100000\n[realm.http]\nbad_tokens_per_address = 100000\n" +
	"[[realm.rule]]\nmatch = '/**'\nsubscribe = 'token'\nread = 'token'\nhistory = { size = 10 }\n"

var checkKey = map[string]string{envRealmKey: goodKey}

// checked runs `waft check --json` and gives what went wrong, sorted, as "check protocol token", and the details.
func checked(t *testing.T, env map[string]string, args ...string) (code int, wrong []string, details string) {
	t.Helper()
	code, stdout, stderr := run(t, env, append([]string{"check", "--json", "--timeout", "30s", "--linger", "0s"}, args...)...)
	var report checkReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("exit code %d, and no JSON (%v): %s%s", code, err, stdout, stderr)
	}
	if report.OK != (code == exitOK) || report.OK != (stderr == "") {
		t.Errorf("exit code %d, and ok is %t: %s", code, report.OK, stderr)
	}
	wrong, details = faultsOf(report.Servers...)
	return code, wrong, details
}

func faultsOf(reports ...serverReport) (wrong []string, details string) {
	for _, s := range reports {
		for _, f := range s.Findings {
			if !f.OK {
				wrong = append(wrong, strings.TrimSpace(f.Check+" "+f.Protocol+" "+f.Token))
				details += f.Detail + "\n"
			}
		}
	}
	slices.Sort(wrong)
	return wrong, details
}

// runCheck is a check of all protocols without a command line, of which there can be only one at a time: the cli package keeps some
// flags in variables. Each has a channel of its own, so that what one breaks is not what another listens to. It may be called by any goroutine.
// It goes by no clock: when nothing is left to do but listen, an ear is stopped at the message that stopAt has for its protocol, or, if
// that is 0, ends by itself. nil: each is stopped when it has heard everything.
func runCheck(t *testing.T, url string, stopAt func(protocol string) int) (wrong []string, details string) {
	base, err := realmAddress(url, defaultRealm, "")
	if err != nil {
		t.Error(err)
		return nil, ""
	}
	tokens := &checkTokens{good: newSecret(checkToken(t, defaultRealm, time.Time{}))}
	tokens.bad = []badToken{
		{forgedToken, forge(tokens.good)},
		{expiredToken, newSecret(checkToken(t, defaultRealm, time.Now().Add(-expiredFor)))},
		{otherToken, newSecret(checkToken(t, "another", time.Time{}))},
		{noToken, secret{}},
	}
	run := checkRun{
		server: url, base: base, realm: defaultRealm, channel: broker.Channel("/check/" + rand.Text()), protocols: checkProtocols(), tokens: tokens, closed: true,
		timeout: time.Minute, linger: time.Minute, id: rand.Text(),
	}
	run.idle = func(ears []*ear) {
		for _, e := range ears {
			at := checkMessages + 1
			if stopAt != nil {
				at = stopAt(e.protocol)
			}
			for !e.waitsFor(at) {
				select {
				case <-e.over:
				case <-time.After(time.Millisecond):
					continue
				}
				break
			}
			e.cancel()
		}
	}
	return faultsOf(run.run(context.Background()))
}

// waitsFor tells whether message n is the one to come.
func (e *ear) waitsFor(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next == n
}

func checkToken(t *testing.T, realm string, expires time.Time) string {
	key, err := auth.ParseSecret(goodKey)
	if err != nil {
		t.Error(err)
	}
	token, err := auth.Mint(auth.Key{Secret: key}, realm, auth.Claims{Expires: expires})
	if err != nil {
		t.Error(err)
	}
	return token
}

func TestCheck_a_server_that_works_passes_by_every_protocol(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	if code, wrong, details := checked(t, checkKey, "--closed", r.url()); code != exitOK {
		t.Errorf("exit code %d: %v\n%s", code, wrong, details)
	}
	if n := len(checkProtocols()); n != 5 {
		t.Errorf("%d protocols", n)
	}
	// Through the proxy that the other tests break, it is the same.
	if code, wrong, details := checked(t, checkKey, "--closed", broken(t, r.url(), breakage{})); code != exitOK {
		t.Errorf("behind a proxy: exit code %d: %v\n%s", code, wrong, details)
	}
	await(t, "the end of what the checks opened", func() bool {
		_, metrics := r.get(t, "/metrics")
		return !slices.ContainsFunc([]string{"bayeux", "events", "poll", "websocket"}, func(left string) bool {
			at := strings.Index(metrics, `waft_sessions{protocol="`+left+`",realm="default"} `)
			return at >= 0 && !strings.HasPrefix(metrics[at:], `waft_sessions{protocol="`+left+`",realm="default"} 0`)
		})
	})
}

func TestCheck_a_server_with_nothing_configured_passes(t *testing.T) {
	r := serve(t, checkKey)
	if code, wrong, details := checked(t, checkKey, r.url()); code != exitOK {
		t.Errorf("exit code %d: %v\n%s", code, wrong, details)
	}
	// It lets anybody listen, which --closed is against.
	_, wrong, _ := checked(t, checkKey, "--closed", r.url())
	if want := each(checkProtocols(), func(p string) string { return "refusal " + p + " none" }); !slices.Equal(wrong, want) {
		t.Errorf("with --closed: %v", wrong)
	}
}

func each(list []string, f func(string) string) (out []string) {
	for _, s := range list {
		out = append(out, f(s))
	}
	return out
}

// Each way to break what is delivered, on each protocol alone: the check has to find it, there and nowhere else.
func TestCheck_finds_what_is_wrong_with_deliveries(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	var all sync.WaitGroup
	few := make(chan struct{}, 6)
	asIs := func(event string) []string { return []string{event} }
	nth := func(n int, instead func(string) []string) func() func(string) []string {
		return func() func(string) []string {
			count := 0
			return func(event string) []string {
				if count++; count == n {
					return instead(event)
				}
				return asIs(event)
			}
		}
	}
	replaced := func(old, new string) func() func(string) []string {
		return func() func(string) []string {
			return func(event string) []string {
				instead := strings.Replace(event, old, new, 1)
				if instead == event {
					t.Errorf("%s is not in %s", old, event)
				}
				return []string{instead}
			}
		}
	}
	for _, c := range []struct {
		name   string
		events func() func(string) []string
		says   string
		vain   int // the message that is waited for in vain; 0: none
	}{
		{"nothing is delivered", func() func(string) []string { return func(string) []string { return nil } }, "message 1 of 4 never came", 1},
		{"the first is lost", nth(1, func(string) []string { return nil }), "message 2 came where 1 was due", 0},
		{"one is lost", nth(2, func(string) []string { return nil }), "message 3 came where 2 was due", 0},
		{"the last is lost", nth(4, func(string) []string { return nil }), "message 4 of 4 never came", 4},
		{"each comes twice", func() func(string) []string { return func(e string) []string { return []string{e, e} } }, "message 1 came a second time", 0},
		{"one comes twice", nth(3, func(e string) []string { return []string{e, e} }), "message 3 came a second time", 0},
		{"the last comes twice", nth(4, func(e string) []string { return []string{e, e} }), "message 4 came a second time", 0},
		{"one comes again later", func() func(string) []string {
			var first string
			return func(e string) []string {
				if first == "" {
					first = e
					return []string{e}
				}
				return []string{e, first}
			}
		}, "message 1 came a second time", 0},
		{"two change places", func() func(string) []string {
			var held []string
			return func(e string) []string {
				if held = append(held, e); len(held) == 1 {
					return nil
				} else if len(held) == 2 {
					return []string{held[1], held[0]}
				}
				return asIs(e)
			}
		}, "message 2 came where 1 was due", 0},
		{"a zero is dropped", replaced("1.50", "1.5"), "message 1 was altered", 0},
		{"a large number goes through a float", replaced("9223372036854775807", "9223372036854775808"), "message 1 was altered", 0},
		{"a character is escaped", replaced("<", `\u003c`), "message 1 was altered", 0},
		{"a character is lost", replaced("😀", ""), "message 1 was altered", 0},
		{"one is altered", nth(2, func(e string) []string { return []string{strings.Replace(e, "ü", "u", 1)} }), "message 2 was altered", 0},
	} {
		for _, protocol := range checkProtocols() {
			all.Go(func() {
				few <- struct{}{}
				defer func() { <-few }()
				wrong, details := runCheck(t, broken(t, r.url(), breakage{protocol: protocol, events: c.events}), func(listening string) int {
					if listening == protocol {
						return c.vain
					}
					return checkMessages + 1
				})
				if want := []string{"delivery " + protocol}; !slices.Equal(wrong, want) || !strings.Contains(details, c.says) {
					t.Errorf("%s, by %s: wrong %v, want %v with %q:\n%s", c.name, protocol, wrong, want, c.says, details)
				}
			})
		}
	}
	all.Wait()
}

// What a plain WebSocket may be told without asking: that something was lost, that its subscription has ended. A newer place is no fault.
func TestCheck_finds_what_a_plain_WebSocket_is_told_unasked(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	for _, c := range []struct{ frame, says string }{
		{`{"type":"lost","ref":2,"channels":["/x"],"place":"EQAA"}`, "the server said lost, unasked"},
		{`{"type":"unsubscribed","channels":["/x"],"code":"forbidden","message":"the rules have changed"}`, "unsubscribed, unasked: forbidden the rules have changed"},
		{`{"type":"error","code":"internal","message":"a fault"}`, "error, unasked: internal a fault"},
		{`{"type":"place","ref":2,"channels":["/x"],"place":"EQAA"}`, ""},
	} {
		for _, at := range []int{1, checkMessages} {
			t.Run(fmt.Sprintf("%s at message %d", c.frame, at), func(t *testing.T) {
				t.Parallel()
				told := func() func(string) []string {
					n := 0
					return func(event string) []string {
						switch n++; {
						case n != at:
							return []string{event}
						case at == checkMessages: // behind the last
							return []string{event, c.frame}
						}
						return []string{c.frame, event}
					}
				}
				var want []string
				stopAt := func(string) int { return checkMessages + 1 }
				if c.says != "" {
					want = []string{"delivery websocket"}
					stopAt = func(protocol string) int {
						if protocol == "websocket" {
							return 0
						}
						return checkMessages + 1
					}
				}
				wrong, details := runCheck(t, broken(t, r.url(), breakage{protocol: "websocket", events: told}), stopAt)
				if !slices.Equal(wrong, want) || !strings.Contains(details, c.says) {
					t.Errorf("wrong %v, want %v with %q:\n%s", wrong, want, c.says, details)
				}
			})
		}
	}
}

// Each way to let somebody in, on each door alone.
func TestCheck_finds_who_is_let_in(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	good := mint(t, goodKey)
	for _, bad := range badTokens {
		for _, protocol := range append(checkProtocols(), "http") {
			t.Run(bad+"/"+protocol, func(t *testing.T) {
				t.Parallel()
				url := broken(t, r.url(), breakage{protocol: protocol, token: func(token string) string {
					if kindOfToken(token) == bad {
						return good
					}
					return token
				}})
				wrong, details := runCheck(t, url, nil)
				want := []string{"refusal " + protocol + " " + bad}
				if protocol == "http" { // and what it let be published is delivered
					want = append(each(checkProtocols(), func(p string) string { return "delivery " + p }), want...)
				}
				if !slices.Equal(wrong, want) || !strings.Contains(details, "it was let in") {
					t.Errorf("wrong %v, want %v:\n%s", wrong, want, details)
				}
			})
		}
	}
}

func TestCheck_finds_a_server_that_lets_everybody_in(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	good := mint(t, goodKey)
	code, wrong, _ := checked(t, checkKey, "--closed", broken(t, r.url(), breakage{token: func(string) string { return good }}))
	want := each(checkProtocols(), func(p string) string { return "delivery " + p })
	for _, bad := range badTokens {
		want = append(want, each(append(checkProtocols(), "http"), func(p string) string { return "refusal " + p + " " + bad })...)
	}
	if slices.Sort(want); code != exitFailed || !slices.Equal(wrong, want) {
		t.Errorf("exit code %d, wrong %v, want %v", code, wrong, want)
	}
}

// What is refused without a look at it is not shown to be refused for what it is; and the good token does not come in.
func TestCheck_finds_a_server_that_lets_nobody_in(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	code, wrong, details := checked(t, checkKey, "--closed", broken(t, r.url(), breakage{token: func(string) string { return "x.y.z" }}))
	want := append(each(checkProtocols(), func(p string) string { return "delivery " + p }), "publish http")
	if code != exitFailed || !slices.Equal(wrong, want) || !strings.Contains(details, "401") {
		t.Errorf("exit code %d, wrong %v, want %v:\n%s", code, wrong, want, details)
	}
}

func TestCheck_finds_a_publish_that_is_not_what_its_answer_says(t *testing.T) {
	server := serve(t, nil, "--config", writeConfig(t, checkRealm))
	status := func(code int) func(http.ResponseWriter, *http.Request, func(*http.Request, http.ResponseWriter)) bool {
		return func(w http.ResponseWriter, r *http.Request, _ func(*http.Request, http.ResponseWriter)) bool {
			if kindOfToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) == "" {
				w.Header().Set("Location", server.url()+r.URL.Path) // where it would work
				w.WriteHeader(code)
				return true
			}
			return false
		}
	}
	good := mint(t, goodKey)
	deliveries := each(checkProtocols(), func(p string) string { return "delivery " + p })
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, func(*http.Request, http.ResponseWriter)) bool
		want   []string
		says   string
		stopAt func(string) int
	}{
		{"accepted, and thrown away", status(200), deliveries, "never came", func(string) int { return 1 }},
		{"refused for a fault of the server", status(500), append(slices.Clone(deliveries), "publish http"), "answered 500", nil},
		{"sent elsewhere", status(307), append(slices.Clone(deliveries), "publish http"), "answered 307", nil},
		{"refused, and delivered all the same", func(w http.ResponseWriter, r *http.Request, forward func(*http.Request, http.ResponseWriter)) bool {
			if kindOfToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) != forgedToken {
				return false
			}
			r.Header.Set("Authorization", "Bearer "+good)
			forward(r, discarded{http.Header{}})
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}, deliveries, `the bad token "forged" was delivered`, nil},
		{"refused for too many bad tokens", func(w http.ResponseWriter, r *http.Request, _ func(*http.Request, http.ResponseWriter)) bool {
			if kindOfToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) != otherToken {
				return false
			}
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, []string{"refusal http other-realm"}, "check less often", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wrong, details := runCheck(t, broken(t, server.url(), breakage{answer: c.answer}), c.stopAt)
			if !slices.Equal(wrong, c.want) || !strings.Contains(details, c.says) {
				t.Errorf("wrong %v, want %v with %q:\n%s", wrong, c.want, c.says, details)
			}
		})
	}
}

// lateDoor delivers everything, and the last message again much later.
type lateDoor struct{ run *checkRun }

func (d lateDoor) listen(ctx context.Context, _ secret, on listening) error {
	on.ready()
	for n := range checkMessages {
		on.heard(d.run.text(n+1, ""))
	}
	select {
	case <-time.After(time.Minute):
		on.heard(d.run.text(checkMessages, ""))
	case <-ctx.Done():
	}
	return nil
}

func TestCheck_hears_what_comes_again_while_it_lingers(t *testing.T) {
	for linger, want := range map[time.Duration]string{time.Minute + 1: "message 4 came a second time", time.Minute - 1: "each once"} {
		synctest.Test(t, func(t *testing.T) {
			run := &checkRun{id: "x", linger: linger, tokens: &checkTokens{}, began: time.Now()}
			f := newEar(t.Context(), "late", run, lateDoor{run}).finding()
			if !strings.Contains(f.Detail, want) || f.OK != (want == "each once") {
				t.Errorf("lingering %v: %+v", linger, f)
			}
		})
	}
}

// discarded is where an answer goes that nobody gets.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}

func TestCheck_what_is_not_there_fails_and_the_rest_is_still_checked(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, strings.Replace(checkRealm, "size = 10", "size = 0", 1)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody is there
	code, wrong, details := checked(t, checkKey, r.url(), "http://"+l.Addr().String(), "--protocol", "events,messages", "--skip", "expired,other-realm,forged")
	// Without a history nobody can wait for messages.
	want := []string{"delivery events", "delivery messages", "delivery messages", "publish http", "refusal http none"}
	if code != exitFailed || !slices.Equal(wrong, want) || !strings.Contains(details, "keep no history") || !strings.Contains(details, "connection refused") {
		t.Errorf("exit code %d, wrong %v:\n%s", code, wrong, details)
	}
}

// One protocol that hangs does not take the time of the others.
func TestCheck_a_server_that_hangs_is_left_in_time(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, checkRealm))
	hang := make(chan struct{})
	defer close(hang)
	url := broken(t, r.url(), breakage{protocol: "messages", token: func(token string) string {
		if kindOfToken(token) == "" {
			<-hang
		}
		return token
	}})
	began := time.Now()
	code, wrong, details := checked(t, checkKey, "--timeout", "6s", url)
	if want := []string{"delivery messages"}; code != exitFailed || !slices.Equal(wrong, want) || !strings.Contains(details, "not subscribed within 2s") {
		t.Errorf("exit code %d, wrong %v after %v:\n%s", code, wrong, time.Since(began), details)
	}
}

func TestCheck_takes_tokens_from_files_and_variables(t *testing.T) {
	_, stdout, _ := run(t, nil, "token", "api-key", "--id", "monitor")
	apiKey, table, _ := strings.Cut(stdout, "\n\n")
	r := serve(t, nil, "--config", writeConfig(t, strings.Replace(checkRealm, "[realm.bayeux]", table+"subscribe = ['/**']\nread = ['/**']\n[realm.bayeux]", 1)))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(apiKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, wrong, details := checked(t, nil, "--closed", "--token-file", file, "--skip", "expired,other-realm", r.url())
	if code != exitOK {
		t.Errorf("an API key in a file: exit code %d: %v\n%s", code, wrong, details)
	}
	env := map[string]string{envToken: apiKey, envOtherToken: realmToken(t, "b"), envExpiredToken: apiKey}
	_, wrong, _ = checked(t, env, "--protocol", "events", r.url()) // what is said to have expired has not
	if want := []string{"delivery events", "refusal events expired", "refusal http expired"}; !slices.Equal(wrong, want) {
		t.Errorf("wrong %v, want %v", wrong, want)
	}
	if r.err.waitFor(t.Context(), ""); strings.Contains(r.err.String(), apiKey) {
		t.Error("the key is in the log")
	}
}

func TestCheck_says_what_is_wrong_with_its_arguments(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{"", checkKey, "needs the URL"},
		{"localhost:8080", checkKey, "is not a URL"},
		{"http://a http://a", checkKey, "named twice"},
		{"http://u:secret@a", checkKey, "http://u:xxxxx@a/realm/default has a password"},
		{"http://a --protocol event", checkKey, "did you mean events?"},
		{"http://a --skip all", checkKey, `"all" is none of forged, expired, other-realm, none`},
		{"http://a --timeout 0s", checkKey, "--timeout"},
		{"http://a --linger -1s", checkKey, "--linger"},
		{"http://a --channel /x//y", checkKey, "--channel: "},
		{"http://a --realm b", checkKey, `no realm "b"`},
		{"http://a --key b", checkKey, `no key "b"`},
		{"http://a", nil, "a token is missing: give it with --token-file or $WAFT_TOKEN"},
		{"http://a", map[string]string{envToken: "t"}, "$WAFT_EXPIRED_TOKEN, or a key to make it with (--config, $WAFT_REALM_KEY); or leave it out with --skip expired"},
		{"http://a --token-file " + empty, checkKey, "has no token in it"},
		{"http://a --token-file " + empty + "x", checkKey, "reading a token"},
		{"http://a --token t", checkKey, "-token"},
	} {
		code, stdout, stderr := run(t, c.env, append([]string{"check"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || stdout != "" || strings.Contains(stderr, "secret") {
			t.Errorf("check %s: exit code %d: %s%s", c.args, code, stdout, stderr)
		}
	}
}

func TestCheck_the_metrics_file_is_replaced_and_names_what_failed(t *testing.T) {
	r := serve(t, checkKey)
	dir := t.TempDir()
	path := filepath.Join(dir, "waft.prom")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	code, stdout, stderr := run(t, checkKey, "check", "--closed", "--protocol", "events", "--metrics-file", path, r.url())
	if code != exitFailed || !strings.Contains(stderr, "the check failed: 1 of ") || !strings.Contains(lineWith(t, stdout, "FAILED"), "events, token none") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`waft_check_ok{realm="default",server="` + r.url() + `"} 0`,
		`waft_check_finding_ok{check="delivery",protocol="events",realm="default",server="` + r.url() + `",token=""} 1`,
		`waft_check_finding_ok{check="refusal",protocol="events",realm="default",server="` + r.url() + `",token="none"} 0`,
		`waft_check_finding_seconds{check="delivery",protocol="events",`,
		`waft_check_timestamp_seconds{`, `waft_check_seconds{`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	// Whoever had opened the old file still reads it, whole; and nothing else is left in the directory.
	if b, err := io.ReadAll(old); string(b) != "old" || err != nil {
		t.Errorf("the old file reads %q, %v", b, err)
	}
	if files, err := os.ReadDir(dir); len(files) != 1 || err != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	code, _, stderr = run(t, checkKey, "check", "--protocol", "events", "--metrics-file", filepath.Join(dir, "no", "waft.prom"), r.url())
	if code != exitFailed || !strings.Contains(stderr, "writing the metrics") {
		t.Errorf("where nothing can be written: exit code %d: %s", code, stderr)
	}
}

func TestDocs_check_names_every_protocol_token_and_metric(t *testing.T) {
	text, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	names := append(checkProtocols(), badTokens...)
	for _, m := range checkMetrics {
		names = append(names, m.name)
	}
	for _, name := range append(names, envToken, envExpiredToken, envOtherToken) {
		if !strings.Contains(string(text), "`"+name) && !strings.Contains(string(text), "$"+name) {
			t.Errorf("docs/check.md does not name %s", name)
		}
	}
}
