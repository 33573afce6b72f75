package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"waft/auth"
	"waft/broker"
)

func (p *program) tokenCommand() *cli.Command {
	realm := &cli.StringFlag{Name: "realm", Value: defaultRealm, Usage: "of the realm `ID`"}
	return &cli.Command{
		Name:  "token",
		Usage: "make tokens, and find out what one may do",
		Description: "A token is a JWT signed with a key of its realm. Keys come from --config (or $" + envConfig + "), and that of the\n" +
			"realm " + defaultRealm + " from $" + envRealmKey + ".",
		Subcommands: []*cli.Command{{
			Name:  "mint",
			Usage: "print a new token",
			Description: "Without --publish, --subscribe, --read and --manage the token may do what its key may; with any of them, only that.\n\n" +
				"Example: waft token mint --subject alice --publish '/chat/**' --subscribe '/chat/**' --lifetime 24h",
			Flags: []cli.Flag{
				configFlag(), realm,
				&cli.StringFlag{Name: "key", Usage: "sign with the key `ID` (default: the realm's first that can)"},
				&cli.StringFlag{Name: "subject", Usage: "say that `NAME` holds it"},
				&cli.StringFlag{Name: "id", Usage: "give it the `ID` (jti) by which it can be revoked (default: a random one)"},
				&cli.DurationFlag{Name: "lifetime", Value: auth.DefaultLifetime, Usage: "let it expire after `DURATION`"},
				&cli.StringSliceFlag{Name: "publish", Usage: "allow to publish to `PATTERN`; repeatable"},
				&cli.StringSliceFlag{Name: "subscribe", Usage: "allow to subscribe to `PATTERN`; repeatable"},
				&cli.StringSliceFlag{Name: "read", Usage: "allow to read the history of `PATTERN`; repeatable"},
				&cli.BoolFlag{Name: "manage", Usage: "allow to manage the realm"},
			},
			Action: p.tokenMint,
		}, {
			Name:      "check",
			Usage:     "verify a token, and say who it is and what it may do",
			ArgsUsage: "[TOKEN]",
			Description: "The token or API key is the argument, $" + envToken + " or the first line of stdin, in this order. With --channel the rules\n" +
				"that decide are explained. The exit code is 1 if the token is refused, whatever the rules say.\n\n" +
				"Example: waft token check --channel /chat/42 \"$TOKEN\"",
			Flags: []cli.Flag{
				configFlag(), realm,
				&cli.StringFlag{Name: "channel", Usage: "explain what it may do with the channel or `PATTERN`"},
			},
			Action: p.tokenCheck,
		}, p.explainCommand(realm), p.apiKeyCommand()},
	}
}

// tokenRealm loads the configuration and finds the realm, which must take credentials.
func (p *program) tokenRealm(c *cli.Context) (*settings, *realmSettings, error) {
	s, err := load(overrides{config: c.String("config")}, p.env)
	if err != nil {
		return nil, nil, err
	}
	r, ok := s.realm(c.String("realm"))
	switch {
	case !ok:
		return nil, nil, configErrorf("%s has no realm %q", s.name(), c.String("realm"))
	case r.keyless():
		return nil, nil, configErrorf("the realm %q has no key: give one with --config or %s", r.ID, envRealmKey)
	}
	return s, r, nil
}

func (p *program) tokenMint(c *cli.Context) error {
	if c.Args().Present() {
		return configErrorf("token mint takes flags only, not %q", c.Args().First())
	}
	s, realm, err := p.tokenRealm(c)
	if err != nil {
		return err
	}
	key, err := realm.signingKey(c.String("key"), p.env, s.dir)
	if err != nil {
		return err
	}
	// It says which and when, so that it can be revoked.
	claims := auth.Claims{Subject: c.String("subject"), Lifetime: c.Duration("lifetime"), ID: firstOf(c.String("id"), rand.Text()), Issued: true}
	if claims.Lifetime <= 0 {
		return configErrorf("--lifetime must be above zero")
	}
	if limit := realm.Tokens.MaxLifetime.Duration; claims.Lifetime > limit {
		return configErrorf("--lifetime is above the %v that the realm %q takes (tokens.max_lifetime)", duration{limit}, realm.ID)
	}
	if claims.Rights, err = askedRights(c); err != nil {
		return err
	}
	token, err := auth.Mint(key, realm.ID, claims)
	if err != nil {
		return configErrorf("%v", err)
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

// signingKey is the realm's key with the id, or with none the first that can sign. The error is a *configError.
func (r *realmSettings) signingKey(id string, env environment, dir string) (auth.Key, error) {
	keys, err := r.keys(env, dir)
	switch {
	case err != nil:
		return auth.Key{}, configErrorf("%v", err)
	case len(keys) == 0:
		return auth.Key{}, configErrorf("the realm %q has no key of its own to sign with; whoever keeps its JWK set mints its tokens", r.ID)
	case id == "":
		return keys[max(0, slices.IndexFunc(keys, auth.Key.Signs))], nil
	}
	var ids []string
	for _, k := range keys {
		if k.ID == id {
			return k, nil
		}
		ids = append(ids, k.ID)
	}
	return auth.Key{}, configErrorf("the realm %q has no key %q%s", r.ID, id, didYouMean(id, ids))
}

// askedRights reads the flags that narrow a token; nil if there are none.
func askedRights(c *cli.Context) (*auth.Rights, error) {
	if !c.IsSet("publish") && !c.IsSet("subscribe") && !c.IsSet("read") && !c.IsSet("manage") {
		return nil, nil //nolint:nilnil // not narrowed is no error
	}
	rights := &auth.Rights{Manage: c.Bool("manage")}
	for name, list := range map[string]*[]broker.Pattern{
		"publish": &rights.Publish, "subscribe": &rights.Subscribe, "read": &rights.Read,
	} {
		for _, text := range c.StringSlice(name) {
			pattern, err := broker.ParsePatternName(text)
			if err != nil {
				return nil, configErrorf("--%s: %v", name, err)
			}
			*list = append(*list, pattern)
		}
	}
	return rights, nil
}

// describe prints a principal.
func (p *program) describe(who broker.Principal) {
	grants := make(map[broker.Action][]string)
	for _, g := range who.Grants {
		grants[g.Action] = append(grants[g.Action], string(g.Pattern))
	}
	list := func(act broker.Action) string { return firstOf(strings.Join(grants[act], " "), "nothing") }
	subject, _ := json.Marshal(who.Subject)
	fmt.Fprintf(p.stdout, "valid\nrealm      %s\nsubject    %s\n", who.Issuer, subject)
	for _, line := range []struct{ name, text string }{{"id", who.Credential.ID}, {"key", who.Credential.Key}} {
		if line.text != "" {
			text, _ := json.Marshal(line.text)
			fmt.Fprintf(p.stdout, "%-9s  %s\n", line.name, text)
		}
	}
	for _, line := range []struct {
		name string
		at   time.Time
	}{{"issued", who.Credential.Issued}, {"expires", who.Expires}} {
		if !line.at.IsZero() {
			fmt.Fprintf(p.stdout, "%-9s  %s\n", line.name, line.at.UTC().Format(time.RFC3339))
		}
	}
	fmt.Fprintf(p.stdout, "publish    %s\nsubscribe  %s\nread       %s\nmanage     %t\n",
		list(broker.ActPublish), list(broker.ActSubscribe), list(broker.ActRead), len(grants[broker.ActManage]) > 0)
}
