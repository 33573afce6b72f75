package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// bayeuxClient subscribes over WebSocket, and comes back by itself: to its session where the server still has it, with
// a new one where not. It is one goroutine; fields are run's.
type bayeuxClient struct {
	// static
	url      string // ws://…/bayeux
	token    secret // zero: anonymous
	patterns []string
	message  func(channel string, data json.RawMessage) (more bool, err error)
	note     func(format string, args ...any) // tells the user what goes on
	ready    func()                           // if not nil, is told when all patterns are subscribed to
	once     bool                             // a lost connection is an error, and so is a server that asks to try again

	// the session
	known    bool   // the server has taken a handshake: it is worth coming back to
	clientID string // "": none
	granted  int    // patterns subscribed to in it
	advice   advice // the server's latest
	failures int    // in a row
	serial   int    // of messages sent
	conn     *websocket.Conn
}

// advice is what a server says about coming back. Times are milliseconds.
type advice struct {
	Reconnect string `json:"reconnect"` // "retry", "handshake" or "none"
	Interval  int    `json:"interval"`  // before the next connect
	Timeout   int    `json:"timeout"`   // how long the server may hold one
}

// outgoing is a message to the server.
type outgoing struct {
	Channel        string            `json:"channel"`
	ID             string            `json:"id"`
	ClientID       string            `json:"clientId,omitempty"`
	Version        string            `json:"version,omitempty"`
	Connections    []string          `json:"supportedConnectionTypes,omitempty"`
	ConnectionType string            `json:"connectionType,omitempty"`
	Subscription   string            `json:"subscription,omitempty"`
	Ext            map[string]string `json:"ext,omitempty"`
}

// incoming is a message from the server: a reply, or an event.
type incoming struct {
	Channel      string          `json:"channel"`
	ClientID     string          `json:"clientId"`
	Successful   bool            `json:"successful"`
	Error        string          `json:"error"`
	Subscription string          `json:"subscription"`
	Advice       *advice         `json:"advice"`
	Data         json.RawMessage `json:"data"`
}

const (
	clientDialTimeout = 10 * time.Second
	clientReadLimit   = 64 << 20               // bytes of one frame: a server may join many messages
	clientSlack       = 15 * time.Second       // beyond the server's hold time, until it counts as gone
	clientMinBackoff  = 250 * time.Millisecond // doubled by every failure in a row
	clientMaxBackoff  = 15 * time.Second
	clientPatience    = time.Second // to wait with the socket open: meanwhile nothing is read from it
)

// errEnough says that message wants no more.
var errEnough = errors.New("enough")

// fatalError is one that trying again would not help.
type fatalError struct{ text string }

func (e *fatalError) Error() string { return e.text }

// refusedError says that the server has refused what was asked, with an HTTP status or Bayeux's number, which mean the same.
// Trying again would not help.
type refusedError struct {
	text string
	code int // 0: none was given
}

func (e *refusedError) Error() string { return e.text }

// laterError says that the server wants nothing to do with this client for a while.
type laterError struct {
	reason string
	wait   time.Duration
}

func (e *laterError) Error() string { return e.reason }

// run receives until ctx ends, message has enough (both: nil), or something fails that does not get better by itself.
// The first connection has to succeed; later ones are tried for as long as it takes.
func (c *bayeuxClient) run(ctx context.Context) error {
	for {
		asked, err := c.connection(ctx)
		if asked {
			return nil
		}
		if !c.worthTrying(err) {
			return err
		}
		wait := c.backoff()
		if later, ok := errors.AsType[*laterError](err); ok {
			wait = later.wait
		}
		c.note("%v; trying again in %v", err, wait.Round(time.Millisecond))
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

func (c *bayeuxClient) worthTrying(err error) bool {
	_, fatal := errors.AsType[*fatalError](err)
	_, refused := errors.AsType[*refusedError](err)
	return c.known && !c.once && !fatal && !refused
}

// backoff is the time to wait after a failure: longer after each, and never the same for the thousand clients that lost
// a server together.
func (c *bayeuxClient) backoff() time.Duration {
	d := min(clientMinBackoff<<min(c.failures, 10), clientMaxBackoff)
	c.failures++
	return d/2 + rand.N(d) //nolint:gosec // jitter
}

// connection is the life of one socket. asked tells whether it ended because we wanted it to.
func (c *bayeuxClient) connection(ctx context.Context) (asked bool, err error) {
	if err := c.dial(ctx); err != nil {
		return ctx.Err() != nil, err
	}
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.NetConn().SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	err = c.begin()
	for err == nil {
		err = c.receive(ctx)
	}
	asked = ctx.Err() != nil || errors.Is(err, errEnough)
	if _, refused := errors.AsType[*refusedError](err); asked || refused {
		c.farewell() // so that the server does not keep a session for somebody who will not come back
	}
	return asked, err
}

func (c *bayeuxClient) dial(ctx context.Context) error {
	conn, err := dialWebSocket(ctx, c.url, c.token)
	if err != nil {
		return err
	}
	conn.SetPingHandler(func(data string) error {
		c.extend()
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(clientDialTimeout))
	})
	c.conn = conn
	return nil
}

// dialWebSocket opens a WebSocket, with a token unless it is zero. A refusal is a *refusedError.
func dialWebSocket(ctx context.Context, url string, token secret, subprotocols ...string) (*websocket.Conn, error) {
	header := http.Header{}
	if !token.isZero() {
		header.Set("Authorization", "Bearer "+token.reveal())
	}
	d := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: clientDialTimeout, Subprotocols: subprotocols}
	conn, response, err := d.DialContext(ctx, url, header)
	if response != nil {
		defer response.Body.Close()
	}
	if err != nil && response != nil {
		err = fmt.Errorf("%s answered %s: %s", url, response.Status, bodyText(response.Body))
		if response.StatusCode >= 400 && response.StatusCode < 500 {
			return nil, &refusedError{err.Error(), response.StatusCode}
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", url, err)
	}
	conn.SetReadLimit(clientReadLimit)
	return conn, nil
}

// begin shakes hands, or takes the session that there was up again. Which of the two worked is seen in the replies.
func (c *bayeuxClient) begin() error {
	if c.clientID == "" {
		return c.handshake()
	}
	return c.send(c.connect())
}

func (c *bayeuxClient) handshake() error {
	m := outgoing{Channel: "/meta/handshake", Version: "1.0", Connections: []string{"websocket"}}
	if !c.token.isZero() {
		m.Ext = map[string]string{"token": c.token.reveal()}
	}
	return c.send(m)
}

func (c *bayeuxClient) connect() outgoing {
	return outgoing{Channel: "/meta/connect", ClientID: c.clientID, ConnectionType: "websocket"}
}

// send writes one frame.
func (c *bayeuxClient) send(messages ...outgoing) error {
	for i := range messages {
		c.serial++
		messages[i].ID = strconv.Itoa(c.serial)
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(clientDialTimeout))
	return c.conn.WriteJSON(messages)
}

// extend gives the server time: it may hold a connect for as long as it said.
func (c *bayeuxClient) extend() {
	hold := time.Duration(c.advice.Timeout) * time.Millisecond
	_ = c.conn.SetReadDeadline(time.Now().Add(max(hold, clientSlack) + clientSlack))
}

// receive reads one frame and does what it says.
func (c *bayeuxClient) receive(ctx context.Context) error {
	c.extend()
	if ctx.Err() != nil { // only now: the end of ctx sets a deadline, which extend may have overwritten
		return ctx.Err()
	}
	_, frame, err := c.conn.ReadMessage()
	if err != nil {
		return fmt.Errorf("the connection was lost (%w)", err)
	}
	var messages []incoming
	if err := json.Unmarshal(frame, &messages); err != nil {
		return fmt.Errorf("the server sent what is not Bayeux: %w", err)
	}
	for i := range messages {
		if err := c.handle(ctx, &messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// farewell ends the session and gives the server a moment to see it: closing with input unread would reset the
// connection, and what was written last might be lost. Reading may have failed already, so this is below WebSocket.
func (c *bayeuxClient) farewell() {
	if c.clientID != "" {
		_ = c.send(outgoing{Channel: "/meta/disconnect", ClientID: c.clientID})
	}
	until := time.Now().Add(time.Second)
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), until)
	nc := c.conn.NetConn()
	_ = nc.SetReadDeadline(until)
	if half, ok := nc.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, nc)
}

// sleep waits, and tells whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
