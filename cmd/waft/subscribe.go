package main

import (
	"bufio"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"waft/broker"
)

func (p *program) subscribeCommand() *cli.Command {
	return &cli.Command{
		Name:      "subscribe",
		Usage:     "print the messages of channels, one JSON line each",
		ArgsUsage: "PATTERN…",
		Description: "A PATTERN is a channel (/chat/42), the channels one level below one (/chat/*) or all below it (/chat/**).\n" +
			"Quote it, so that the shell leaves the stars alone. Each message is one line on stdout:\n\n" +
			"   {\"channel\":\"/chat/42\",\"data\":{\"text\":\"hi\"}}\n\n" +
			"with the data's text as it was published. A lost connection is taken up again. Ctrl-C ends it.\n\n" +
			"Example: waft subscribe --count 1 '/chat/**'",
		Flags: clientFlags(
			&cli.IntFlag{Name: "count", Usage: "end after `N` messages"},
			&cli.BoolFlag{Name: "quiet", Usage: "say nothing on stderr while all goes well"},
		),
		Action: p.subscribe,
	}
}

func (p *program) subscribe(c *cli.Context) error {
	patterns := c.Args().Slice()
	if len(patterns) == 0 {
		return configErrorf("subscribe needs a pattern, such as '/chat/**'")
	}
	for i, text := range patterns {
		pattern, err := broker.ParsePatternName(text)
		if err != nil {
			return configErrorf("%v", err)
		}
		patterns[i] = string(pattern)
	}
	if c.Int("count") < 0 {
		return configErrorf("--count must not be negative")
	}
	to, err := p.address(c, "bayeux")
	if err != nil {
		return err
	}
	to.Scheme = webSocketScheme(to.Scheme)

	printed := 0
	client := &bayeuxClient{
		url: to.String(), token: p.givenToken(c), patterns: patterns,
		message: func(channel string, data json.RawMessage) (bool, error) {
			if err := p.printMessage(channel, data); err != nil {
				return false, &fatalError{fmt.Sprintf("printing a message: %v", err)}
			}
			printed++
			return printed != c.Int("count"), nil
		},
		note: func(format string, args ...any) {
			if !c.Bool("quiet") {
				fmt.Fprintf(p.stderr, "waft: "+format+"\n", args...)
			}
		},
	}
	return client.run(c.Context)
}

// printMessage writes one line, in one piece, so that a reader never sees half of it.
func (p *program) printMessage(channel string, data json.RawMessage) error {
	name, err := json.Marshal(channel)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(p.stdout, len(name)+len(data)+32)
	fmt.Fprintf(w, "{\"channel\":%s,\"data\":%s}\n", name, data)
	return w.Flush()
}
