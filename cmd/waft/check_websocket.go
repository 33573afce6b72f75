package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// checkPlainSocket listens on a WebSocket without Bayeux (docs/websocket.md), as a page does: the token goes into the first frame.
type checkPlainSocket struct{ run *checkRun }

const plainSubprotocol = "waft.v1"

// plainFrame is what either side says, as far as listening needs it.
type plainFrame struct {
	Type    string          `json:"type"`
	Ref     int             `json:"ref,omitempty"`
	Token   string          `json:"token,omitempty"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
}

// plainCodes are the numbers of the words with which the server refuses somebody.
var plainCodes = map[string]int{
	"unauthenticated": http.StatusUnauthorized, "forbidden": http.StatusForbidden, "rate_limited": http.StatusTooManyRequests,
}

func (d *checkPlainSocket) listen(ctx context.Context, as secret, on listening) error {
	to := d.run.base.JoinPath("ws")
	to.Scheme = webSocketScheme(to.Scheme)
	conn, err := dialWebSocket(ctx, to.String(), secret{}, plainSubprotocol)
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if spoken := conn.Subprotocol(); spoken != plainSubprotocol {
		return fmt.Errorf("the server speaks %q, not %s", spoken, plainSubprotocol)
	}
	if !as.isZero() {
		if err := d.ask(conn, plainFrame{Type: "auth", Ref: 1, Token: as.reveal()}, "authenticated"); err != nil {
			return unlessOver(ctx, err)
		}
	}
	if err := d.ask(conn, plainFrame{Type: "subscribe", Ref: 2, Channel: string(d.run.channel)}, "subscribed"); err != nil {
		return unlessOver(ctx, err)
	}
	on.ready()
	for {
		var f plainFrame
		switch err := conn.ReadJSON(&f); {
		case err != nil:
			return unlessOver(ctx, fmt.Errorf("reading a frame: %w", err))
		case f.Type == "message":
			if !on.heard(f.Data) {
				return nil
			}
		case f.Type != "place": // error, lost, unsubscribed: nothing of it is an answer
			return errors.New(strings.TrimRight(fmt.Sprintf("the server said %s, unasked: %s %s", f.Type, f.Code, f.Message), ": "))
		}
	}
}

// ask sends a frame and reads its answer, which has to be of the type. Before there is a subscription nothing else comes.
func (d *checkPlainSocket) ask(conn *websocket.Conn, f plainFrame, want string) error {
	if err := conn.WriteJSON(f); err != nil {
		return fmt.Errorf("sending a frame: %w", err)
	}
	var answer plainFrame
	if err := conn.ReadJSON(&answer); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", f.Type, err)
	}
	switch {
	case answer.Type == "error" && answer.Ref == f.Ref:
		return &refusedError{fmt.Sprintf("the server refused the %s: %s: %s", f.Type, answer.Code, answer.Message), plainCodes[answer.Code]}
	case answer.Type != want || answer.Ref != f.Ref:
		return fmt.Errorf("the server answered %s with %s", f.Type, answer.Type)
	}
	return nil
}
