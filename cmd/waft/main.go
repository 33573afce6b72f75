package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the default action is back, so that the second one ends the process at once.
	context.AfterFunc(ctx, stop)
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		env: parseEnvironment(os.Environ()), invoked: invokedAs(os.Args[0]),
	}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// program is one run of waft: what it reads and writes, so that a test can be the terminal.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            environment
	invoked        string // how the user wrote the program's name, for commands to paste

	hangups <-chan os.Signal // each asks a server to read its configuration again; nil: SIGHUP does

	// started, if not nil, is told of a server that serves, before it is announced.
	started func(*server)
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// run executes the command line args, without the program's name, and gives the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	app := p.app()
	err := app.RunContext(ctx, append([]string{"waft"}, flagsFirst(app.Commands, args)...))
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "waft: %v\n", err)
	if _, wrong := errors.AsType[*configError](err); wrong {
		return exitUsage
	}
	return exitFailed
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "waft",
		Usage: "publish JSON messages over HTTP, Bayeux or XMPP, and receive them over any of these",
		Description: "`waft serve` runs a server; with no configuration it works at once, for this machine only.\n" +
			"Every command explains itself with --help. Configuration: docs/configuration.md.",
		Reader: p.stdin, Writer: p.stdout, ErrWriter: p.stderr,
		HideVersion:    true,
		ExitErrHandler: func(*cli.Context, error) {}, // run says it, once
		Commands: []*cli.Command{
			p.serveCommand(), p.publishCommand(), p.subscribeCommand(), p.checkCommand(), p.tokenCommand(), p.configCommand(), p.dataCommand(), p.benchCommand(), p.versionCommand(),
		},
	}
	app.Action = noCommand("waft", app.Commands, func(c *cli.Context) error { return cli.ShowAppHelp(c) })
	app.OnUsageError = usageError
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		for _, sub := range c.Subcommands {
			sub.OnUsageError = usageError
		}
		if len(c.Subcommands) > 0 {
			c.Action = noCommand("waft "+c.Name, c.Subcommands, func(c *cli.Context) error { return cli.ShowSubcommandHelp(c) })
		}
	}
	return app
}

// noCommand is what happens where one of commands has to follow, and something else does, or nothing: help.
func noCommand(name string, commands []*cli.Command, help cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		word := c.Args().First()
		if word == "" {
			return help(c)
		}
		var names []string
		for _, c := range commands {
			names = append(names, c.Name)
		}
		return configErrorf("there is no command %s%s (%s --help lists them)", word, didYouMean(word, names), name)
	}
}

// usageError is a command line that cannot be read.
func usageError(c *cli.Context, err error, _ bool) error {
	name := "waft"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != "waft" {
		name = c.Command.HelpName
	}
	return configErrorf("%v (%s --help lists the flags)", err, name)
}

// configFlag is --config, of every command that reads the configuration.
func configFlag() cli.Flag {
	return &cli.StringFlag{Name: "config", Usage: "read the configuration from `FILE` ($" + envConfig + ")"}
}
