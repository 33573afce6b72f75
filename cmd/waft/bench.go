package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"waft/cmd/waft/bench"
)

func (p *program) benchCommand() *cli.Command {
	var scenarios strings.Builder
	for _, s := range bench.Scenarios {
		fmt.Fprintf(&scenarios, "   %-10s %s\n", s.Name, s.About)
	}
	return &cli.Command{
		Name:      "bench",
		Usage:     "load a server, and say what it can do and what that costs",
		ArgsUsage: "SCENARIO",
		Description: "SCENARIO is one of\n\n" + scenarios.String() + "\n" +
			"Subscribers are connections in processes of their own. By default each publisher has --window messages on their way and sends the next\n" +
			"when one is with everybody (a closed loop); with --rate messages are due by the clock, and latency counts from then (an open loop).\n" +
			"With --pid, which is the server's on this machine, its processor time and memory are told too. The result is on stdout.\n" +
			"docs/benchmarks.md says how to read it, and how to measure other servers.\n\n" +
			"Example: waft bench fan-out --subscribers 5000 --pid $(pidof waft)",
		Flags: clientFlags(
			configFlag(),
			&cli.IntFlag{Name: "subscribers", Usage: "open `N` connections"},
			&cli.IntFlag{Name: "channels", Usage: "share them out over `N` channels"},
			&cli.IntFlag{Name: "publishers", Usage: "publish on `N` connections", Value: 1},
			&cli.IntFlag{Name: "window", Usage: "have `N` messages of each publisher on their way"},
			&cli.Float64Flag{Name: "rate", Usage: "publish `N` messages a second, whatever the server does; in storm: connect"},
			&cli.IntFlag{Name: "size", Usage: "make messages of `BYTES`", Value: 128},
			&cli.DurationFlag{Name: "duration", Usage: "measure for `TIME`"},
			&cli.IntFlag{Name: "messages", Usage: "end after `N` messages"},
			&cli.DurationFlag{Name: "warmup", Usage: "publish for `TIME` before that", Value: time.Second},
			&cli.DurationFlag{Name: "patience", Usage: "wait `TIME` for a message that does not arrive everywhere", Value: 5 * time.Second},
			&cli.IntFlag{Name: "connecting", Usage: "connect `N` at the same time", Value: 64},
			&cli.IntFlag{Name: "processes", Usage: "share the subscribers out over `N` processes"},
			&cli.StringSliceFlag{Name: "local", Usage: "connect from `ADDRESS`; several take turns"},
			&cli.StringFlag{Name: "prefix", Usage: "use channels below `CHANNEL`", Value: "/bench"},
			&cli.StringFlag{Name: "subscriber-token", Usage: "have subscribers show this `TOKEN`"},
			&cli.IntFlag{Name: "pid", Usage: "measure the server's process `PID` and those it started"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "quiet", Usage: "say nothing on stderr while all goes well"},
			&cli.StringFlag{Name: "kind", Usage: "the server is a `KIND`: " + strings.Join(bench.Kinds(), ", "), Value: "waft"},
			&cli.StringFlag{Name: "transport", Usage: "subscribe over `TRANSPORT`: " + strings.Join(bench.Transports, ", ")},
			&cli.StringFlag{Name: "subscribe-url", Usage: "subscribe at `URL`, in which {channel} stands for the channel"},
			&cli.StringFlag{Name: "publish", Usage: "publish over `WAY`: xmpp, whatever subscribers speak (default as KIND has it)"},
			&cli.StringFlag{Name: "publish-url", Usage: "publish at `URL`, likewise"},
			&cli.StringFlag{Name: "publish-body", Usage: "post `TEXT`, with {channel}, and {data} for a message's JSON ({string}: inside a JSON string, {form}: in a form)"},
			&cli.StringFlag{Name: "publish-type", Usage: "post it as `TYPE`"},
			&cli.StringFlag{Name: "listen", Usage: "over XMPP: be the XMPP server at `ADDRESS` (the link's in --config; default " + defaultComponentPort + ")"},
			&cli.StringFlag{Name: "domain", Usage: "over XMPP: the component is `DOMAIN` (of the links in --config; default the first)"},
			&cli.StringFlag{Name: "secret-file", Usage: "over XMPP: its secret is in `FILE` (default the link's in --config)"},
			&cli.BoolFlag{Name: benchWorker, Hidden: true},
		),
		Action: p.bench,
	}
}

// benchWorker is the flag that bench runs its own workers with.
const benchWorker = "worker"

func (p *program) bench(c *cli.Context) error {
	if c.Bool(benchWorker) {
		return bench.Work(c.Context, p.stdin, p.stdout)
	}
	if c.NArg() != 1 {
		return configErrorf("bench needs a scenario, such as %s", bench.FanOut)
	}
	o, err := p.benchOptions(c)
	if err != nil {
		return err
	}
	report, err := bench.Run(c.Context, o)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if c.Bool("json") {
		e := json.NewEncoder(p.stdout)
		e.SetEscapeHTML(false)
		err = e.Encode(report)
	} else {
		err = report.Table(p.stdout)
	}
	if err == nil && report.Trouble() != "" {
		err = fmt.Errorf("bench: %s", report.Trouble())
	}
	return err
}

// benchTokenLife is how long the token lives that a run makes for itself, beyond what it measures.
const benchTokenLife = 10 * time.Minute

func (p *program) benchOptions(c *cli.Context) (bench.Options, error) {
	o := bench.Options{
		Scenario: c.Args().First(), Subscribers: c.Int("subscribers"), Channels: c.Int("channels"), Publishers: c.Int("publishers"),
		Window: c.Int("window"), Rate: c.Float64("rate"), Size: c.Int("size"), Duration: c.Duration("duration"), Messages: c.Int("messages"),
		Warmup:   c.Duration("warmup"),
		Patience: c.Duration("patience"), Connecting: c.Int("connecting"), Processes: c.Int("processes"), Locals: c.StringSlice("local"),
		Prefix: c.String("prefix"), SubscriberToken: c.String("subscriber-token"), PID: c.Int("pid"), Spawn: bench.Command(p.stderr, "bench", "--"+benchWorker),
	}
	if o.Warmup == 0 {
		o.Warmup = -1
	}
	if !c.Bool("quiet") {
		o.Progress = prefixed{p.stderr}
	}
	scenario, err := bench.ScenarioNamed(o.Scenario)
	if err != nil {
		return o, configErrorf("%v", err)
	}
	base, err := p.serverURL(c)
	if err != nil {
		return o, err
	}
	if o.Target, err = bench.Preset(c.String("kind"), base.String(), c.String("realm"), firstOf(c.String("transport"), scenario.Transport)); err != nil {
		return o, configErrorf("%v", err)
	}
	for flag, to := range map[string]*string{
		"subscribe-url": &o.Target.Subscribe, "publish-url": &o.Target.Publish, "publish-body": &o.Target.Body, "publish-type": &o.Target.ContentType,
	} {
		if c.IsSet(flag) {
			*to = c.String(flag)
		}
	}
	o.Target.PublishOver = c.String("publish")
	if o.Target.Linked() {
		if o.Target.Component, err = p.benchComponent(c); err != nil {
			return o, err
		}
	}
	token, err := p.publishToken(c, benchTokenLife+o.Duration)
	if err != nil {
		return o, err
	}
	o.Token = token.reveal()
	if err := o.Check(); err != nil {
		return o, configErrorf("%v", err)
	}
	return o, nil
}

// defaultComponentPort is where XMPP servers take components.
const defaultComponentPort = "127.0.0.1:5347"

// benchComponent is the realm's link in the configuration, if there is one, with what flags say otherwise.
func (p *program) benchComponent(c *cli.Context) (bench.Component, error) {
	k := bench.Component{Listen: c.String("listen"), Domain: c.String("domain")}
	from, dir := secretSettings{SecretFile: c.String("secret-file")}, ""
	if firstOf(c.String("config"), p.env[envConfig]) != "" {
		s, err := load(overrides{config: c.String("config")}, p.env)
		if err != nil {
			return k, err
		}
		r, _ := s.realm(c.String("realm"))
		if r == nil {
			return k, configErrorf("the configuration has no realm %q", c.String("realm"))
		}
		for i := range r.XMPP {
			x := &r.XMPP[i]
			if k.Domain != "" && k.Domain != x.Domain {
				continue
			}
			k.Domain, k.Host, k.Listen = x.Domain, x.Host, firstOf(k.Listen, x.Server)
			if from.SecretFile == "" {
				from, dir = x.secretSettings, s.dir
			}
			break
		}
	}
	if k.Domain == "" {
		return k, configErrorf("over XMPP bench needs the link of a realm: name the configuration that has one with --config, or --domain and --secret-file")
	}
	k.Listen = firstOf(k.Listen, defaultComponentPort)
	key, err := from.resolve(p.env, dir)
	if err != nil {
		return k, configErrorf("the link of %s: %v", k.Domain, err)
	}
	k.Secret = key.reveal()
	return k, nil
}

// prefixed writes whole lines, and says who does.
type prefixed struct{ w io.Writer }

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte("waft: "), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
