package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"waft/auth"
	"waft/broker"
)

// What has to be refused. The words are those of --skip, of the report and of the metrics' labels.
const (
	forgedToken  = "forged"  // the good one, with another signature
	expiredToken = "expired" // signed with the realm's own key
	otherToken   = "other-realm"
	noToken      = "none"
)

var badTokens = []string{forgedToken, expiredToken, otherToken, noToken}

// checkTokens are a check's credentials.
type checkTokens struct {
	good secret
	bad  []badToken
}

// badToken is one that has to be refused, under one of the names above.
type badToken struct {
	name string
	secret
}

// checkTokenLifetime is that of a token made for a check; expiredFor is how long ago an expired one ended, which is far more
// than the leeway for clocks.
const (
	checkTokenLifetime = time.Minute
	expiredFor         = time.Hour
)

// checkTokens finds the tokens, or makes them: each is in its file, else in its variable, else signed with the realm's key.
func (p *program) checkTokens(c *cli.Context, channel broker.Channel) (*checkTokens, error) {
	skip := c.StringSlice("skip")
	if err := oneOf("--skip", skip, badTokens); err != nil {
		return nil, err
	}
	mint, err := p.tokenMaker(c, channel)
	if err != nil {
		return nil, err
	}
	find := func(flag, variable string, how auth.Claims, realm string) (secret, error) {
		switch given, err := p.tokenIn(c.String(flag), variable); {
		case err != nil || !given.isZero():
			return given, err
		case mint == nil:
			return secret{}, configErrorf("a token is missing: give it with --%s or $%s, or a key to make it with (--config, $%s)", flag, variable, envRealmKey)
		}
		return mint(how, realm)
	}
	t, realm := &checkTokens{}, c.String("realm")
	if t.good, err = find("token-file", envToken, auth.Claims{Lifetime: checkTokenLifetime}, realm); err != nil {
		return nil, err
	}
	for _, name := range badTokens {
		if slices.Contains(skip, name) {
			continue
		}
		var bad secret
		switch name {
		case forgedToken:
			bad = forge(t.good)
		case expiredToken:
			bad, err = find("expired-token-file", envExpiredToken, auth.Claims{Expires: time.Now().Add(-expiredFor)}, realm)
		case otherToken:
			bad, err = find("other-token-file", envOtherToken, auth.Claims{Lifetime: checkTokenLifetime}, anotherRealm(realm))
		}
		if err != nil {
			return nil, fmt.Errorf("%w; or leave it out with --skip %s", err, name)
		}
		t.bad = append(t.bad, badToken{name, bad})
	}
	return t, nil
}

// tokenIn reads a token from the file, or else takes that of the variable. The error is a *configError.
func (p *program) tokenIn(file, variable string) (secret, error) {
	if file == "" {
		return newSecret(strings.TrimSpace(p.env[variable])), nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return secret{}, configErrorf("reading a token: %v", err)
	}
	token := newSecret(strings.TrimSpace(string(text)))
	if token.isZero() {
		return secret{}, configErrorf("%s has no token in it", file)
	}
	return token, nil
}

// tokenMaker signs with the key that was chosen; nil if there is none. Its tokens are good for the channel alone.
func (p *program) tokenMaker(c *cli.Context, channel broker.Channel) (func(auth.Claims, string) (secret, error), error) {
	if firstOf(c.String("config"), p.env[envConfig], p.env[envRealmKey]) == "" {
		return nil, nil //nolint:nilnil // tokens may be given
	}
	s, realm, err := p.tokenRealm(c)
	if err != nil {
		return nil, err
	}
	key, err := realm.signingKey(c.String("key"), p.env, s.dir)
	if err != nil {
		return nil, err
	}
	one := []broker.Pattern{broker.Pattern(channel)}
	return func(claims auth.Claims, of string) (secret, error) {
		claims.Subject, claims.Issued = "waft-check", true
		claims.Rights = &auth.Rights{Publish: one, Subscribe: one, Read: one}
		text, err := auth.Mint(key, of, claims)
		if err != nil {
			return secret{}, configErrorf("%v", err)
		}
		return newSecret(text), nil
	}, nil
}

// anotherRealm is the id of a realm that is not this one; whether there is such a realm makes no difference.
func anotherRealm(realm string) string {
	if realm == "another" {
		return "yet-another"
	}
	return "another"
}

// forge changes the end of a token, a JWT's signature or an API key's secret. Not at the very end: of the last character of a
// signature not every bit counts.
func forge(good secret) secret {
	text := []byte(good.reveal())
	for i := max(len(text)-12, 0); i < max(len(text)-4, 1); i++ {
		if text[i] == 'x' {
			text[i] = 'y'
		} else {
			text[i] = 'x'
		}
	}
	return newSecret(string(text))
}
