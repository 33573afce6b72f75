package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"waft/auth"
	"waft/broker"
	"waft/broker/presence"
)

func (p *program) explainCommand(realm cli.Flag) *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "say whether a token, or nobody, may do something, and why",
		ArgsUsage: "[TOKEN]",
		Description: "It prints every grant of the token and every rule that was considered, and the verdict. The token or API key is given as for check;\n" +
			"with --anonymous there is none. The exit code is 0 if it is allowed, 1 if it is not or the token is refused.\n\n" +
			"Example: waft token explain --channel /chat/42 --action subscribe \"$TOKEN\"",
		Flags: []cli.Flag{
			configFlag(), realm,
			&cli.StringFlag{Name: "channel", Usage: "do something with the channel or `PATTERN`"},
			&cli.StringFlag{Name: "action", Value: broker.ActSubscribe.String(), Usage: "do `WHAT`: publish, subscribe, read or manage"},
			&cli.BoolFlag{Name: "anonymous", Usage: "explain what may be done without a token"},
		},
		Action: p.tokenExplain,
	}
}

var allActions = []broker.Action{broker.ActPublish, broker.ActSubscribe, broker.ActRead, broker.ActManage}

func (p *program) tokenCheck(c *cli.Context) error {
	about, err := aboutChannel(c)
	if err != nil {
		return err
	}
	judge, who, err := p.holder(c)
	if err != nil {
		return err
	}
	p.describe(who)
	if about == "" {
		return nil
	}
	for _, act := range allActions[:3] {
		fmt.Fprintf(p.stdout, "\n%s %s:\n", act, about)
		p.explain(c.Context, judge, who, act, about, "  ")
	}
	return nil
}

func (p *program) tokenExplain(c *cli.Context) error {
	about, err := aboutChannel(c)
	if err != nil {
		return err
	}
	if about == "" {
		return configErrorf("explain needs --channel")
	}
	act := broker.Action(0)
	for act.String() != c.String("action") {
		if act++; int(act) == len(allActions) {
			return configErrorf("--action: %q is none of publish, subscribe, read and manage", c.String("action"))
		}
	}
	judge, who, err := p.holder(c)
	if err != nil {
		return err
	}
	p.explain(c.Context, judge, who, act, about, "")
	if err := judge.Authorize(c.Context, who, act, about); err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	return nil
}

// explain prints what was considered, and the verdict.
func (p *program) explain(ctx context.Context, j *judge, who broker.Principal, act broker.Action, about broker.Pattern, indent string) {
	for _, line := range append(auth.ExplainGrants(who, act, about), j.explain(ctx, who, act, about)...) {
		fmt.Fprintf(p.stdout, "%s%s\n", indent, line)
	}
}

// judge decides as a running realm does: by its rules, and over them by whose the presence channels are.
type judge struct {
	broker.Authorizer
	rules    *auth.Rules
	presence *presence.Tracker // nil: none
}

func (r *realmSettings) judge() (*judge, error) {
	rules, err := r.rules()
	if err != nil {
		return nil, err
	}
	tracker, err := r.Presence.tracker()
	j := &judge{rules, rules, tracker}
	if tracker != nil {
		j.Authorizer = tracker.Authorizer(rules)
	}
	return j, err
}

// explain tells why Authorize decides as it does.
func (j *judge) explain(ctx context.Context, who broker.Principal, act broker.Action, about broker.Pattern) []string {
	c, ok := about.Channel()
	if !ok || j.presence == nil {
		return j.rules.Explain(who, act, about)
	}
	of, ok := j.presence.PresenceOf(c)
	if !ok {
		return j.rules.Explain(who, act, about)
	}
	lines := []string{fmt.Sprintf("%s tells who is present on %s (realm.presence)", c, of)}
	if err := j.Authorize(ctx, who, act, about); err != nil && act == broker.ActPublish { // whatever the rules say
		return append(lines, "refused: "+err.Error())
	}
	return append(lines, j.rules.Explain(who, act, about)...)
}

func aboutChannel(c *cli.Context) (broker.Pattern, error) {
	text := c.String("channel")
	if text == "" {
		return "", nil
	}
	about, err := broker.ParsePatternName(text)
	if err != nil {
		return "", configErrorf("--channel: %v", err)
	}
	return about, nil
}

// holder says who holds the token that was given, in a realm that judges so.
func (p *program) holder(c *cli.Context) (*judge, broker.Principal, error) {
	var nobody broker.Principal
	s, realm, err := p.tokenRealm(c)
	if err != nil {
		return nil, nobody, err
	}
	judge, err := realm.judge()
	if err != nil {
		return nil, nobody, configErrorf("%v", err)
	}
	if c.Bool("anonymous") {
		if c.Args().Present() {
			return nil, nobody, configErrorf("--anonymous goes without a token")
		}
		return judge, nobody, nil
	}
	token, err := p.tokenToCheck(c)
	if err != nil {
		return nil, nobody, err
	}
	verifier, err := realm.verifier(p.env, s.dir)
	if err != nil {
		return nil, nobody, configErrorf("%v", err)
	}
	verifier.Start(newLogger(p.stderr, "text", "warn"), nil)
	defer verifier.Close()
	who, err := verifier.Authenticate(c.Context, token)
	if broker.KindOf(err) == broker.Unauthenticated && err != nil {
		return nil, nobody, fmt.Errorf("the token is refused: %w", err)
	}
	return judge, who, err
}

// tokenToCheck finds the token. On stdin it stays out of the list of processes and the shell's history.
func (p *program) tokenToCheck(c *cli.Context) (string, error) {
	token := firstOf(c.Args().First(), p.env[envToken])
	if token == "" {
		token, _ = bufio.NewReader(p.stdin).ReadString('\n')
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", configErrorf("there is no token to check: give it as the argument, in %s or on stdin", envToken)
	}
	return token, nil
}
