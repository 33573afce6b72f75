package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub"
	"waft/httppub/openapitest"
)

var document = openapitest.MustParse(httppub.OpenAPI)

// The 404 is for another realm than the handler's, and 500 for what none of these tests does.
var elsewhere = []string{"GET /realm/{realm}/ws 404", "any 500"}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(document.Covered(m, []string{"connect"}, elsewhere))
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// server is a handler behind net/http, and its broker.
type server struct {
	t       testing.TB
	broker  *broker.Broker
	handler *Handler
	http    *httptest.Server
}

func newServer(t testing.TB, o Options, b broker.Options) *server {
	t.Helper()
	s := &server{t: t, broker: brokertest.New(t, b)}
	return s.serve(o)
}

// serve puts another handler before the same broker.
func (s *server) serve(o Options) *server {
	s.t.Helper()
	o.Broker = s.broker
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	n := &server{t: s.t, broker: s.broker, handler: h, http: httptest.NewServer(document.Handler(s.t, h))}
	s.t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = h.Shutdown(now)
		_ = n.awaitIdle()
		n.http.Close()
	})
	return n
}

func (s *server) awaitIdle() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.handler.guests.Wait(ctx)
}

func (s *server) publish(channel string, data any) {
	s.t.Helper()
	brokertest.Publish(s.t, s.broker, channel, fmt.Sprint(data))
}

// said is a frame from the server.
type said struct {
	Type     string
	Ref      json.RawMessage
	Channels []string
	Resumed  bool
	Lost     []string
	Place    string

	Channel   string
	ID        string
	Position  string
	Time      time.Time
	Data      json.RawMessage
	Duplicate bool

	Subject, Expires, Code, Message string
}

// client is a WebSocket client that remembers what a client is to remember.
type client struct {
	t  testing.TB
	ws *websocket.Conn

	place string
	seen  map[string]string // positions since the place
}

// answered is what a request got, whether or not it became a socket.
type answered struct {
	status int
	header http.Header
	text   string
}

// dial connects; header is "Name: value".
func (s *server) dial(query string, header ...string) (*client, answered, error) {
	d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: []string{Subprotocol}}
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	ws, response, err := d.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/realm/x/ws?"+query, h)
	a := answered{}
	if response != nil {
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		a = answered{response.StatusCode, response.Header, string(text)}
		if err := document.Check(openapitest.Exchange{Request: response.Request, Status: a.status, Header: a.header, Body: text}); err != nil {
			s.t.Error(err)
		}
	}
	if err != nil {
		return nil, a, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	c := &client{t: s.t, ws: ws, seen: map[string]string{}}
	s.t.Cleanup(c.close)
	return c, a, nil
}

func (s *server) connect(query string, header ...string) *client {
	s.t.Helper()
	c, a, err := s.dial(query, header...)
	if err != nil {
		s.t.Fatal(err, a)
	}
	return c
}

func (c *client) close() { _ = c.ws.Close() }

// say sends a frame as it is written.
func (c *client) say(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// sayJSON sends what v is as JSON.
func (c *client) sayJSON(v any) error { return c.ws.WriteJSON(v) }

func (c *client) read() (x said, err error) {
	kind, text, err := c.ws.ReadMessage()
	if err != nil {
		return x, err
	}
	if kind != websocket.TextMessage {
		return x, errors.New("a binary frame")
	}
	if err := json.Unmarshal(text, &x); err != nil {
		return x, fmt.Errorf("%s: %w", text, err)
	}
	switch x.Type {
	case "message":
		c.seen[x.Channel] = x.Position
	case "subscribed", "place", "lost":
		c.place, c.seen = x.Place, map[string]string{}
	}
	return x, nil
}

func (c *client) next() said {
	c.t.Helper()
	x, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a frame: %v", err)
	}
	return x
}

// hear is next for a frame of that type.
func (c *client) hear(kind string) said {
	c.t.Helper()
	x := c.next()
	if x.Type != kind {
		c.t.Fatalf("heard %+v, want %s", x, kind)
	}
	return x
}

// ask says a frame and hears the answer of that type.
func (c *client) ask(text, kind string) said {
	c.t.Helper()
	c.say(text)
	return c.hear(kind)
}

func (c *client) subscribe(channels ...string) said {
	c.t.Helper()
	list, _ := json.Marshal(channels)
	return c.ask(fmt.Sprintf(`{"type":"subscribe","ref":1,"channels":%s}`, list), "subscribed")
}

// want hears messages with these data.
func (c *client) want(data ...string) {
	c.t.Helper()
	var got []string
	for range data {
		got = append(got, string(c.hear("message").Data))
	}
	if !slices.Equal(got, data) {
		c.t.Fatalf("received %q, want %q", got, data)
	}
}

// nothing checks that no message comes before the answer to a ping.
func (c *client) nothing() {
	c.t.Helper()
	c.ask(`{"type":"ping"}`, "pong")
}

// ends reads up to the close frame.
func (c *client) ends(code int, reason string) {
	c.t.Helper()
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != code || e.Text != reason {
			c.t.Fatalf("it ended with %v, want %d %s", err, code, reason)
		}
		return
	}
}

// deep keeps n messages of each channel.
func deep(n int) broker.Options {
	return broker.Options{Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: n} }}
}

func waitFor(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			return errors.New("it did not happen in time")
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
