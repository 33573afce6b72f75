package main

import (
	"encoding/json"
	"strings"
	"testing"

	"waft/cmd/waft/bench"
)

// bayeuxOpen lets anybody publish below /bench, for a publisher over Bayeux has no token here.
const bayeuxOpen = `
[[realm]]
id = "default"
  [[realm.key]]
  id = "main"
  secret = "` + goodKey + `"
  [[realm.rule]]
  match = "/bench/**"
  publish = "anyone"
  subscribe = "anyone"
`

func TestBench_every_scenario_finds_waft_without_fault(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // workers are this very binary, and end often
	r := serve(t, nil, "--config", writeConfig(t, bayeuxOpen))
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	scenarios := [][]string{
		{"fan-out", "--kind", "bayeux", "--server", r.url() + "/bayeux", "--window", "8"},
		{"fan-out", "--kind", "bayeux", "--server", r.url() + "/bayeux", "--transport", "long-polling", "--rate", "50"},
	}
	for _, s := range bench.Scenarios {
		scenarios = append(scenarios, []string{s.Name})
	}
	for _, args := range scenarios {
		t.Run(strings.Join(args[:min(len(args), 3)], " "), func(t *testing.T) {
			if args[0] != bench.Publish {
				args = append(args, "--subscribers", "6", "--processes", "2")
			}
			duration := "1m"
			if args[0] == bench.Idle {
				duration = "50ms"
			}
			common := []string{"bench", "--json", "--messages", "20", "--duration", duration, "--warmup", "10ms", "--patience", "1m"}
			code, stdout, stderr := run(t, env, append(common, args...)...)
			var report bench.Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
				t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
			}
			if d := report.Deliver; d != nil && (report.Publish.Messages != 20 || d.Deliveries == 0 || d.Strays > 0 || report.Publish.GivenUp > 0) {
				t.Errorf("%s", stdout)
			}
			if c := report.Connect; args[0] != bench.Publish && (c == nil || c.Connected != 6) {
				t.Errorf("%s", stdout)
			}
		})
	}
}

func TestBench_says_what_is_wrong(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	env := map[string]string{envServer: r.url()}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "needs a scenario"},
		{[]string{"fanout"}, exitUsage, `no scenario "fanout"`},
		{[]string{"fan-out", "--kind", "nchan"}, exitUsage, `nchan servers do not speak "websocket"`},
		{[]string{"fan-out", "--size", "5"}, exitUsage, "a message has"},
		{[]string{"fan-out", "--server", "here"}, exitUsage, "not a URL"},
		{[]string{"fan-out", "--subscribers", "2"}, exitFailed, "401 Unauthorized"}, // no token to publish with
		{[]string{"fan-out", "--subscribers", "2", "--subscriber-token", "bad"}, exitFailed, "2 of 2 subscribers could not connect"},
		{[]string{"--worker"}, exitOK, ""}, // its stdin has ended
	} {
		code, stdout, stderr := run(t, env, append([]string{"bench", "--quiet"}, c.args...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("waft bench %v: exit code %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
}
