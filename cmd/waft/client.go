package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
)

const defaultServer = "http://127.0.0.1:8080"

// clientFlags are those of the commands that talk to a server.
func clientFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "talk to the server at `URL` ($" + envServer + "; default " + defaultServer + ")"},
		&cli.StringFlag{Name: "realm", Value: defaultRealm, Usage: "use the realm `ID`"},
		&cli.StringFlag{Name: "token", Usage: "show this `TOKEN` ($" + envToken + ")"},
	}, more...)
}

// address is where the realm's path is on the chosen server, with scheme "http" or "https".
func (p *program) address(c *cli.Context, path string) (*url.URL, error) {
	return realmAddress(p.server(c), c.String("realm"), path)
}

// serverURL is the chosen server, with scheme "http" or "https".
func (p *program) serverURL(c *cli.Context) (*url.URL, error) { return parseServer(p.server(c)) }

func (p *program) server(c *cli.Context) string {
	return firstOf(c.String("server"), p.env[envServer], defaultServer)
}

// realmAddress is where the realm's path is on the server at base.
func realmAddress(base, realm, path string) (*url.URL, error) {
	u, err := parseServer(base)
	if err != nil {
		return nil, err
	}
	return u.JoinPath("realm", url.PathEscape(realm), path), nil
}

func parseServer(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, configErrorf("the server %q is not a URL: %v", base, err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, configErrorf("the server %q is not a URL such as %s", base, defaultServer)
	}
	return u, nil
}

// webSocketScheme is what an address with the scheme "http" or "https" has for WebSockets.
func webSocketScheme(scheme string) string {
	return map[string]string{"http": "ws", "https": "wss"}[scheme]
}

// givenToken is the token of the command line or the environment; "" if there is none.
func (p *program) givenToken(c *cli.Context) secret {
	return newSecret(strings.TrimSpace(firstOf(c.String("token"), p.env[envToken])))
}

// show puts the token, if there is one, into the request's head.
func (s secret) show(r *http.Request) {
	if !s.isZero() {
		r.Header.Set("Authorization", "Bearer "+s.reveal())
	}
}

// bodyText is the beginning of a response that explains an error, as one line.
func bodyText(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, 1000))
	return strings.Join(strings.Fields(string(b)), " ")
}
