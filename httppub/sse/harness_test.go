package sse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub"
	"waft/httppub/openapitest"
)

var document = openapitest.MustParse(httppub.OpenAPI)

// The 404 is for another realm than the handler's, and 500 for what none of these tests does.
var elsewhere = []string{"GET /realm/{realm}/events 404", "OPTIONS /realm/{realm}/events 404", "any 500"}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(document.Covered(m, []string{"listen", "listenOptions"}, elsewhere))
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

// get asks for a stream; header is "Name: value".
func (s *server) get(query string, header ...string) *client {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &client{t: s.t, nc: nc, r: bufio.NewReader(nc)}
	s.t.Cleanup(c.close)
	text := fmt.Sprintf("GET /realm/x/events?%s HTTP/1.1\r\nHost: waft.example\r\n%s\r\n", query, strings.Join(append(header, ""), "\r\n"))
	_, _ = io.WriteString(nc, text)
	response, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it ends with the connection
	if err != nil {
		s.t.Fatal(err)
	}
	c.status, c.header = response.StatusCode, response.Header
	if request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text))); err != nil {
		s.t.Error(err)
	} else if err := document.Check(openapitest.Exchange{Request: request, Status: c.status, Header: c.header}); err != nil {
		s.t.Error(err)
	}
	c.body = bufio.NewReader(response.Body)
	return c
}

// listen is get for a stream that must begin.
func (s *server) listen(query string, header ...string) *client {
	s.t.Helper()
	c := s.get(query, header...)
	if c.status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", query, c.status, c.rest())
	}
	return c
}

// resume is listen with the id of the last event.
func (s *server) resume(query, id string) *client {
	s.t.Helper()
	return s.listen(query, "Last-Event-ID: "+id)
}

// event is one as a page would see it.
type event struct{ id, name, data string }

// client reads a stream by the rules of WHATWG HTML §9.2.6.
type client struct {
	t      testing.TB
	nc     net.Conn
	r      *bufio.Reader
	body   *bufio.Reader
	status int
	header http.Header
	last   string // event id
	retry  string
	quiet  int // comments
}

func (c *client) close() { _ = c.nc.Close() }

func (c *client) rest() string {
	b, _ := io.ReadAll(c.body)
	return strings.TrimSpace(string(b))
}

// read gives the next event, or the error that ended the stream.
func (c *client) read() (event, error) {
	e, id := event{name: "message"}, c.last
	for {
		line, err := c.body.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			c.last = id
			if e.data != "" {
				e.id = id
				return e, c.check(e)
			}
			e = event{name: "message"}
		case ":":
			c.quiet++
		case "id":
			id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "retry":
			c.retry = value
		default:
			return event{}, fmt.Errorf("the line %q", line)
		}
	}
}

// check holds an event against the document. A message's data is what it was published with, or an envelope; a name that is none of ours is a
// channel's.
func (c *client) check(e event) error {
	if e.name == "message" && !strings.HasPrefix(e.data, `{"channel":`) || strings.HasPrefix(e.name, "/") {
		return nil
	}
	return document.CheckEvent("listen", e.name, e.data)
}

func (c *client) next() event {
	c.t.Helper()
	e, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for an event: %v", err)
	}
	return e
}

// named is next for an event of that name, and gives its data.
func (c *client) named(name string) string {
	c.t.Helper()
	e := c.next()
	if e.name != name {
		c.t.Fatalf("the event %+v, want one called %s", e, name)
	}
	return e.data
}

// messages reads so many.
func (c *client) messages(n int) (data []string) {
	c.t.Helper()
	for range n {
		data = append(data, c.named("message"))
	}
	return data
}

func (c *client) want(data ...string) {
	c.t.Helper()
	if got := c.messages(len(data)); !slices.Equal(got, data) {
		c.t.Fatalf("received %q, want %q", got, data)
	}
}

// query makes one of channels, with the message's own data.
func query(channels ...string) string {
	return url.Values{"channel": channels, "envelope": {"0"}}.Encode()
}

// deep keeps n messages of each channel.
func deep(n int) broker.Options {
	return broker.Options{Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: n} }}
}
