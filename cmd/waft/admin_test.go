package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// withLink is a configuration with everything that has metrics. Nobody listens where the link goes.
const withLink = `
[[realm]]
id = "default"
[[realm.key]]
secret = "` + goodKey + `"
[[realm.xmpp]]
domain = "waft.localhost"
server = "127.0.0.1:1"
secret = "c0mp0nent"
`

func TestMetrics_pass_the_linter(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, withLink))
	handshake(t, r.url()+"/bayeux", "")
	registry, err := newMetrics(r.server)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n < 50 {
		t.Errorf("%d metrics, error %v", n, err)
	}
}

func TestMetrics_move(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	s := subscribe(t, env, "--count", "1", "/x")
	now := func(name string) string {
		_, page := r.get(t, "/metrics")
		for line := range strings.Lines(page) {
			if sample, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && sample == name {
				return value
			}
		}
		return "absent"
	}
	want := func(name, value string) {
		t.Helper()
		if got := now(name); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	want(`waft_sessions{protocol="bayeux",realm="default"}`, "1")
	want(`waft_subscriptions{realm="default"}`, "1")
	want(`waft_bayeux_sockets{realm="default"}`, "1")
	want(`waft_messages_published_total{realm="default"}`, "0")
	if code, _, stderr := run(t, env, "publish", "/x", "1", "--id", "one"); code != exitOK {
		t.Fatal(stderr)
	}
	<-s.done
	run(t, env, "publish", "/x", "1", "--id", "one")
	run(t, map[string]string{envServer: r.url()}, "publish", "/x", "1")
	want(`waft_messages_published_total{realm="default"}`, "1")
	want(`waft_messages_duplicate_total{realm="default"}`, "1")
	want(`waft_publishes_rejected_total{kind="unauthenticated",realm="default"}`, "1")
	want(`waft_deliveries_total{realm="default"}`, "1")
	want(`waft_history_messages{realm="default"}`, "1")
	want(`waft_sessions_opened_total{realm="default"}`, "1")
	want(`waft_bayeux_handshakes_total{realm="default"}`, "1")
	if now("waft_outbox_written_bytes_total") == "0" {
		t.Error("nothing was written through the outbox")
	}
	want(`waft_build_info{version="`+versionText()+`"}`, "1")
	if now("go_goroutines") == "absent" {
		t.Error("the Go runtime's metrics are missing")
	}
}

// docs/operations.md lists every metric of waft's own, with its labels, and no other.
func TestDocs_list_every_metric(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(waft_[a-z_]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = strings.NewReplacer("`", "", ",", "", "–", "").Replace(strings.TrimSpace(m[2]))
	}
	for _, f := range append(families, family{name: "waft_build_info", labels: []string{"version"}}) {
		have, ok := documented[f.name]
		if want := strings.Join(f.labels, " "); !ok || have != want {
			t.Errorf("%s has the labels %q; docs/operations.md says %q", f.name, want, have)
		}
		delete(documented, f.name)
	}
	for name := range documented {
		t.Errorf("docs/operations.md lists %s, which does not exist", name)
	}
}

func TestAdmin_serves_profiles_and_an_index(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	for path, want := range map[string]string{
		"/": "/metrics", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/healthz": "ok",
	} {
		if status, body := r.get(t, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %q", path, status, want)
		}
	}
	if status, _ := r.get(t, "/bayeux"); status != http.StatusNotFound {
		t.Errorf("the admin listener serves /bayeux: %d", status)
	}
	for _, path := range []string{"/metrics", "/healthz", "/debug/pprof/", "/"} {
		response, err := client(t).Get(r.url() + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("the public listener serves %s: %d", path, response.StatusCode)
		}
	}
}

func TestReadiness_is_off_until_the_server_serves(t *testing.T) {
	s, err := load(overrides{listen: "127.0.0.1:0", adminListen: "127.0.0.1:0"}, environment{envRealmKey: goodKey})
	if err != nil {
		t.Fatal(err)
	}
	server, err := newServer(t.Context(), s, nil, newLogger(t.Output(), "text", "info"))
	if err != nil {
		t.Fatal(err)
	}
	if server.ready.ready.Load() {
		t.Error("ready before start")
	}
	server.start()
	if !server.ready.ready.Load() {
		t.Error("not ready after start")
	}
	if err := server.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServe_no_secret_is_ever_logged(t *testing.T) {
	_, foreign, _ := run(t, map[string]string{envRealmKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "token", "mint")
	_, good, _ := run(t, map[string]string{envRealmKey: goodKey}, "token", "mint")
	good, foreign = strings.TrimSpace(good), strings.TrimSpace(foreign)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			r := serve(t, nil, "--config", writeConfig(t, "log_level = 'debug'\nlog_format = '"+format+"'\n"+withLink))
			env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
			s := subscribe(t, env, "--count", "1", "--token", good, "/x")
			secrets := []string{goodKey, "c0mp0nent", good, foreign, signature(good), signature(foreign)}
			for _, session := range r.realms[0].broker.Sessions() {
				secrets = append(secrets, session.ID())
			}
			id := handshake(t, r.url()+"/bayeux", good)
			secrets = append(secrets, id)
			for _, token := range []string{foreign, "no.token.atall", good} {
				run(t, env, "publish", "--token", token, "/x", "1")
				run(t, env, "subscribe", "--token", token, "/x/*/y")
				post(t, r.url()+"/bayeux", token, `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`)
				post(t, r.url()+"/bayeux?token="+token, "", fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":"/x","ext":{"token":%q}}]`, id, token))
				post(t, r.url()+"/realm/default/publish/?token="+token, token, `{"items":[{}]}`)
			}
			<-s.done
			post(t, r.url()+"/bayeux", "", fmt.Sprintf(`[{"channel":"/meta/disconnect","clientId":%q}]`, id))
			post(t, r.url()+"/bayeux", "", fmt.Sprintf(`[{"channel":"/meta/connect","clientId":%q,"connectionType":"long-polling"}]`, id))
			r.stop()
			log := r.err.String()
			for _, secret := range secrets {
				if strings.Contains(log, secret) {
					t.Errorf("the log shows the secret %s:\n%s", secret, log)
				}
			}
			for _, line := range []string{"session opened", "subscribed", "session ended", "http publish refused"} {
				if !strings.Contains(log, line) {
					t.Errorf("the session was not one for this test: no line %q in:\n%s", line, log)
				}
			}
		})
	}
}

func signature(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }
