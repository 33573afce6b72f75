package main

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"
)

func (p *program) configCommand() *cli.Command {
	flags := []cli.Flag{
		configFlag(),
		&cli.StringFlag{Name: "listen", Usage: "as in waft serve"},
		&cli.StringFlag{Name: "admin-listen", Usage: "as in waft serve"},
		&cli.StringFlag{Name: "data", Usage: "as in waft serve"},
	}
	return &cli.Command{
		Name:  "config",
		Usage: "check a configuration, or show the one in effect",
		Subcommands: []*cli.Command{{
			Name:        "check",
			Usage:       "say everything that is wrong with the configuration",
			Description: "The exit code is 2 if `waft serve` would refuse it.",
			Flags:       flags,
			Action: func(c *cli.Context) error {
				s, err := p.loadFor(c)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "%s is good: %s\n", s.name(), s.summary())
				return err
			},
		}, {
			Name:        "print",
			Usage:       "print the configuration in effect: flags, environment, file and defaults",
			Description: "The output is TOML. Secrets are left out.",
			Flags:       flags,
			Action: func(c *cli.Context) error {
				s, err := p.loadFor(c)
				if err != nil {
					return err
				}
				return s.print(p)
			},
		}},
	}
}

// loadFor is load for a command that has the flags of serve, and checks what serve checks.
func (p *program) loadFor(c *cli.Context) (*settings, error) {
	if c.Args().Present() {
		return nil, configErrorf("%s takes flags only, not %q", c.Command.HelpName, c.Args().First())
	}
	s, err := load(overrides{
		config: c.String("config"), listen: c.String("listen"), adminListen: c.String("admin-listen"), data: c.String("data"),
	}, p.env)
	if err != nil {
		return nil, err
	}
	return s, s.checkExposure(c.Context)
}

// summary is the configuration in a few words.
func (s *settings) summary() string {
	keys, rules, links := 0, 0, 0
	for _, r := range s.Realms {
		keys, rules, links = keys+len(r.Keys), rules+len(r.Rules), links+len(r.XMPP)
	}
	return fmt.Sprintf("realms %d, keys %d, rules %d, XMPP links %d", len(s.Realms), keys, rules, links)
}

func (s *settings) print(p *program) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).SetIndentTables(true).Encode(s); err != nil {
		return err
	}
	_, err := p.stdout.Write(b.Bytes())
	return err
}
