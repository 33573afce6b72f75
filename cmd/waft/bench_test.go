package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

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
	config := writeConfig(t, bayeuxOpen+`
  [[realm.xmpp]]
  domain = "waft.localhost"
  server = "`+benchListen()+`"
  secret = "hush"
  reconnect_min = "1ms"
  reconnect_max = "20ms"
`)
	r := serve(t, nil, "--config", config)
	env := map[string]string{envRealmKey: goodKey, envServer: r.url()}
	scenarios := [][]string{
		{"fan-out", "--kind", "bayeux", "--server", r.url() + "/bayeux", "--window", "8"},
		{"fan-out", "--kind", "bayeux", "--server", r.url() + "/bayeux", "--transport", "long-polling", "--rate", "50"},
	}
	for _, scenario := range []string{"fan-out", "channels", "storm", "idle"} {
		scenarios = append(scenarios, []string{scenario, "--transport", "waft.v1"})
	}
	scenarios = append(scenarios, []string{"fan-out", "--transport=waft.v1", "--subscribe-url=" + r.url() + "/realm/default/ws?window=3", "--window", "8"})
	for _, scenario := range []string{"fan-out", "xmpp", "publish"} {
		scenarios = append(scenarios, []string{scenario, "--publish", "xmpp", "--config", config})
	}
	for _, s := range bench.Scenarios {
		scenarios = append(scenarios, []string{s.Name})
	}
	for _, args := range scenarios {
		t.Run(strings.Join(args[:min(len(args), 3)], " "), func(t *testing.T) {
			switch args[0] {
			case bench.Publish:
			case bench.Jabber:
				args = append(args, "--subscribers", "6", "--config", config)
			default:
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

// benchListen is a loopback address that nobody listens at: all of 127.0.0.0/8 is this machine on Linux.
func benchListen() string {
	if runtime.GOOS != "linux" {
		return defaultComponentPort
	}
	return fmt.Sprintf("127.%d.%d.%d:5347", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
}

func TestBench_finds_the_link_of_the_configuration(t *testing.T) {
	p := &program{env: environment{"LINK": "hush"}}
	config := writeConfig(t, bayeuxOpen+`
  [[realm.xmpp]]
  domain = "one.localhost"
  server = "127.0.0.1:1"
  secret = "first"
  [[realm.xmpp]]
  domain = "two.localhost"
  server = "127.0.0.1:2"
  host = "localhost"
  secret_env = "LINK"
`)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want bench.Component
		err  string
	}{
		{[]string{"--config", config}, bench.Component{Listen: "127.0.0.1:1", Domain: "one.localhost", Secret: "first"}, ""},
		{
			[]string{"--config", config, "--domain", "two.localhost", "--listen", "127.0.0.1:3"},
			bench.Component{Listen: "127.0.0.1:3", Domain: "two.localhost", Host: "localhost", Secret: "hush"},
			"",
		},
		{
			[]string{"--domain", "x.localhost", "--secret-file", file},
			bench.Component{Listen: defaultComponentPort, Domain: "x.localhost", Secret: "own"},
			"",
		},
		{[]string{"--domain", "x.localhost"}, bench.Component{}, "no secret"},
		{nil, bench.Component{}, "--domain and --secret-file"},
		{[]string{"--config", config, "--realm", "other"}, bench.Component{}, `no realm "other"`},
	} {
		var got bench.Component
		var err error
		command := p.benchCommand()
		command.Action = func(c *cli.Context) error {
			got, err = p.benchComponent(c)
			return nil
		}
		app := &cli.App{Commands: []*cli.Command{command}}
		if e := app.Run(append([]string{"waft", "bench"}, c.args...)); e != nil {
			t.Fatal(e)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%v: %+v, %v", c.args, got, err)
		}
	}
}

func TestBench_every_scenario_transport_and_kind_is_in_the_docs(t *testing.T) {
	section, _, _ := strings.Cut(docsPage(t, "benchmarks.md"), "## Beside other servers")
	names := slices.Clone(bench.Transports)
	for _, kind := range bench.Kinds() {
		if kind != "waft" { // is what bench takes a server for
			names = append(names, "--kind "+kind)
		}
	}
	for _, s := range bench.Scenarios {
		names = append(names, s.Name)
	}
	for _, name := range names {
		if !strings.Contains(section, "`"+name+"`") && !strings.Contains(section, " "+name+" ") {
			t.Errorf("docs/benchmarks.md does not say what `waft bench` means by %s", name)
		}
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
		{[]string{"fan-out", "--kind", "bayeux", "--transport", "waft.v1"}, exitUsage, `bayeux servers do not speak "waft.v1"`},
		{[]string{"fan-out", "--subscribers", "2", "--transport", "waft.v1", "--subscriber-token", "bad"}, exitFailed, "401 Unauthorized"},
		{[]string{"fan-out", "--subscribers", "2", "--transport", "waft.v1", "--prefix", "/**"}, exitFailed, "the server refused: invalid: "},
		{[]string{"fan-out", "--size", "5"}, exitUsage, "a message has"},
		{[]string{"fan-out", "--server", "here"}, exitUsage, "not a URL"},
		{[]string{"fan-out", "--subscribers", "2"}, exitFailed, "401 Unauthorized"}, // no token to publish with
		{[]string{"fan-out", "--subscribers", "2", "--subscriber-token", "bad"}, exitFailed, "2 of 2 subscribers could not connect"},
		{[]string{"xmpp"}, exitUsage, "needs the link of a realm"},
		{[]string{"fan-out", "--publish", "xmpp"}, exitUsage, "needs the link of a realm"},
		{[]string{"fan-out", "--publish", "smtp"}, exitUsage, "publish over xmpp"},
		{[]string{"--worker"}, exitOK, ""}, // its stdin has ended
	} {
		code, stdout, stderr := run(t, env, append([]string{"bench", "--quiet"}, c.args...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("waft bench %v: exit code %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
}
