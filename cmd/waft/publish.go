package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"

	"waft/auth"
	"waft/broker"
)

const (
	publishTimeout = 30 * time.Second
	maxReceipt     = 64 << 10 // bytes
)

func (p *program) publishCommand() *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish one JSON message",
		ArgsUsage: "CHANNEL JSON",
		Description: "JSON is the message's data, of any JSON type; - reads it from stdin. The server's receipt is printed on stdout.\n" +
			"The token is that of --token or $" + envToken + "; without one, it is made with the realm's key from --config or\n$" + envRealmKey + ".\n\n" +
			"Example: waft publish /chat/hello '{\"text\":\"hi\"}'",
		Flags: clientFlags(
			configFlag(),
			&cli.StringFlag{Name: "id", Usage: "name the item `ID`; repeating it publishes it once"},
		),
		Action: p.publish,
	}
}

func (p *program) publish(c *cli.Context) error {
	if c.NArg() != 2 {
		return configErrorf("publish needs a channel and a JSON value, such as /chat/hello '{\"text\":\"hi\"}'")
	}
	channel, err := broker.ParseName(c.Args().Get(0))
	if err != nil {
		return configErrorf("%v", err)
	}
	text := []byte(c.Args().Get(1))
	if string(text) == "-" {
		if text, err = io.ReadAll(p.stdin); err != nil {
			return fmt.Errorf("reading the message from stdin: %w", err)
		}
	}
	data, err := broker.CompactJSON(text)
	if err != nil {
		return configErrorf("the message: %v", err)
	}
	to, err := p.address(c, "publish/")
	if err != nil {
		return err
	}
	token, err := p.publishToken(c, time.Minute)
	if err != nil {
		return err
	}
	body, err := publishBody(channel, c.String("id"), data)
	if err != nil {
		return err
	}
	request, err := publishRequest(c.Context, to.String(), token, body)
	if err != nil {
		return configErrorf("%v", err)
	}
	client := http.Client{Timeout: publishTimeout}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s: %s", response.Status, refusalText(response.Body))
	}
	receipt, err := io.ReadAll(io.LimitReader(response.Body, maxReceipt))
	if err != nil {
		return fmt.Errorf("the message is published, but its receipt could not be read: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", bytes.TrimSpace(receipt))
	return err
}

// publishToken is the token given, or one made for that long, or none: rules may open a channel to everybody.
func (p *program) publishToken(c *cli.Context, life time.Duration) (secret, error) {
	if token := p.givenToken(c); !token.isZero() {
		return token, nil
	}
	if firstOf(c.String("config"), p.env[envConfig], p.env[envRealmKey]) == "" {
		return secret{}, nil
	}
	s, err := load(overrides{config: c.String("config")}, p.env)
	if err != nil {
		return secret{}, err
	}
	r, ok := s.realm(c.String("realm"))
	if !ok || len(r.Keys) == 0 {
		return secret{}, nil
	}
	key, err := r.Keys[0].key(p.env, s.dir)
	if err != nil {
		return secret{}, configErrorf("%v", err)
	}
	token, err := auth.Mint(key, r.ID, auth.Claims{Lifetime: min(r.Tokens.MaxLifetime.Duration, life)})
	if err != nil {
		return secret{}, configErrorf("%v", err)
	}
	return newSecret(token), nil
}

// publishRequest posts body. A zero token is none.
func publishRequest(ctx context.Context, to string, token secret, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	token.show(request)
	return request, nil
}

// publishBody is the request of one item, with the data's text as it is.
func publishBody(channel broker.Channel, id string, data json.RawMessage) ([]byte, error) {
	type item struct {
		Channel broker.Channel  `json:"channel"`
		ID      string          `json:"id,omitempty"`
		Data    json.RawMessage `json:"json-object"`
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would rewrite < > and & inside data
	err := e.Encode(map[string][]item{"items": {{channel, id, data}}})
	return b.Bytes(), err
}

// refusalText is what a refused publish says: the sentence of its JSON, or the text.
func refusalText(body io.Reader) string {
	text := bodyText(body)
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(text), &said) == nil && said.Message != "" {
		return said.Message
	}
	return text
}
