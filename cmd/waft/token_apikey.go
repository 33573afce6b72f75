package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"waft/auth"
)

func (p *program) apiKeyCommand() *cli.Command {
	return &cli.Command{
		Name:  "api-key",
		Usage: "print a new API key, and what to put into the configuration for it",
		Description: "An API key is a token that never changes, for programs that cannot make tokens. It is printed this once: the configuration\n" +
			"holds only its hash. The first line is the key, the rest is TOML.\n\n" +
			"Example: waft token api-key --id backend",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Value: "backend", Usage: "call it `ID`"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return configErrorf("token api-key takes flags only, not %q", c.Args().First())
			}
			key, hash := auth.GenerateAPIKey()
			_, err := fmt.Fprintf(p.stdout, "%s\n\n[[realm.api_key]]\nid = %q\nhash = %q\npublish = [\"/**\"]\n", key, c.String("id"), hash)
			return err
		},
	}
}
