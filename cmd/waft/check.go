package main

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"waft/broker"
)

func (p *program) checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "see from outside whether servers deliver messages and refuse bad tokens",
		ArgsUsage: "URL…",
		Description: "For cron, Kubernetes and the like. Messages are published to a channel of each server, and have to arrive by every protocol, each once,\n" +
			"unaltered and in order; then a forged token, an expired one, one of another realm, and none at all have to be refused.\n\n" +
			"The exit code is 0 if all went well, 1 if anything did not, 2 if it was asked for something that makes no sense.\n\n" +
			"Tokens are made with the realm's key from --config or $" + envRealmKey + ", for a minute and this channel; or they are given, in files or in $" + envToken + ",\n" +
			"$" + envExpiredToken + " and $" + envOtherToken + ": never on the command line, which every user of the machine can read. docs/check.md has examples.\n\n" +
			"Example: " + envRealmKey + "=… waft check --metrics-file /var/lib/node_exporter/waft.prom https://waft.example",
		Flags: []cli.Flag{
			configFlag(),
			&cli.StringFlag{Name: "realm", Value: defaultRealm, Usage: "use the realm `ID`"},
			&cli.StringFlag{Name: "key", Usage: "sign with the key `ID` of the configuration (default: the realm's first that can)"},
			&cli.StringFlag{Name: "channel", Value: "/waft/check", Usage: "publish to `CHANNEL`"},
			&cli.StringSliceFlag{Name: "protocol", Usage: "listen by `PROTOCOL`, repeatable: " + strings.Join(checkProtocols(), ", ") + " (default: all)"},
			&cli.BoolFlag{Name: "closed", Usage: "nobody may listen to the channel without a token: see that nobody does"},
			&cli.StringSliceFlag{Name: "skip", Usage: "do not try the `TOKEN`, repeatable: " + strings.Join(badTokens, ", ")},
			&cli.StringFlag{Name: "token-file", Usage: "the good token, in `FILE`"},
			&cli.StringFlag{Name: "expired-token-file", Usage: "one that has expired, in `FILE`"},
			&cli.StringFlag{Name: "other-token-file", Usage: "one that is good for another realm, in `FILE`"},
			&cli.StringFlag{Name: "admin", Usage: "ask the admin listener at `URL` too whether the realm's links to XMPP servers stand"},
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "give each server `DURATION`"},
			&cli.DurationFlag{Name: "linger", Value: 250 * time.Millisecond, Usage: "listen `DURATION` longer, for what should not come"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.StringFlag{Name: "metrics-file", Usage: "write Prometheus metrics to `FILE` too, which is replaced in one step"},
		},
		Action: p.check,
	}
}

// check looks at all servers at a time.
func (p *program) check(c *cli.Context) error {
	runs, err := p.checkRuns(c)
	if err != nil {
		return err
	}
	began := time.Now()
	report := checkReport{At: began.UTC(), Servers: make([]serverReport, len(runs))}
	var all sync.WaitGroup
	for i, run := range runs {
		all.Go(func() { report.Servers[i] = run.run(c.Context) })
	}
	all.Wait()
	report.complete(time.Since(began))
	write := report.writeText
	if c.Bool("json") {
		write = report.writeJSON
	}
	failed := write(p.stdout)
	if path := c.String("metrics-file"); path != "" {
		if err := report.writeMetrics(path); err != nil {
			failed = firstError(failed, fmt.Errorf("writing the metrics: %w", err))
		}
	}
	if !report.OK {
		return firstError(failed, fmt.Errorf("the check failed: %s", report.summary()))
	}
	return failed
}

// checkRuns reads the command line.
func (p *program) checkRuns(c *cli.Context) ([]*checkRun, error) {
	if c.NArg() == 0 {
		return nil, configErrorf("check needs the URL of a server, such as %s", defaultServer)
	}
	if c.Duration("timeout") <= 0 || c.Duration("linger") < 0 {
		return nil, configErrorf("--timeout must be above zero, and --linger not negative")
	}
	channel, err := broker.ParseName(c.String("channel"))
	if err != nil {
		return nil, configErrorf("--channel: %v", err)
	}
	protocols := c.StringSlice("protocol")
	if len(protocols) == 0 {
		protocols = checkProtocols()
	}
	if err := oneOf("--protocol", protocols, checkProtocols()); err != nil {
		return nil, err
	}
	tokens, err := p.checkTokens(c, channel)
	if err != nil {
		return nil, err
	}
	var admin *url.URL
	if address := c.String("admin"); address != "" {
		if admin, err = parseServer(address); err != nil {
			return nil, configErrorf("--admin: %v", err)
		}
		if c.NArg() > 1 {
			return nil, configErrorf("--admin is one server's: check the others by themselves")
		}
	}
	var runs []*checkRun
	for _, server := range c.Args().Slice() {
		to, err := realmAddress(server, c.String("realm"), "")
		switch {
		case err != nil:
			return nil, err
		case to.User != nil:
			return nil, configErrorf("the URL %s has a password in it, which every user of this machine can read; waft takes tokens", to.Redacted())
		case slices.ContainsFunc(runs, func(r *checkRun) bool { return r.server == server }):
			return nil, configErrorf("%s is named twice", server)
		}
		runs = append(runs, &checkRun{
			server: server, realm: c.String("realm"), base: to, admin: admin, channel: channel, protocols: slices.Compact(slices.Sorted(slices.Values(protocols))),
			tokens: tokens, closed: c.Bool("closed"), timeout: c.Duration("timeout"), linger: c.Duration("linger"), id: rand.Text(),
		})
	}
	return runs, nil
}

// oneOf refuses words that are not among those known.
func oneOf(flag string, words, known []string) error {
	for _, word := range words {
		if !slices.Contains(known, word) {
			return configErrorf("%s: %q is none of %s%s", flag, word, strings.Join(known, ", "), didYouMean(word, known))
		}
	}
	return nil
}

// checkRun is the check of one server.
type checkRun struct {
	// static
	server    string   // as it was given
	base      *url.URL // of the realm
	admin     *url.URL // of the admin listener; nil: it is not asked
	realm     string
	channel   broker.Channel
	protocols []string
	tokens    *checkTokens
	closed    bool          // without a token nobody may listen
	timeout   time.Duration // for all of it
	linger    time.Duration // of a listener that has heard everything
	id        string        // tells its messages from those of others

	idle func([]*ear) // if not nil, is called with all that listen when nothing else is left to do

	began time.Time // owned by run's goroutine, and set before any other starts
}
