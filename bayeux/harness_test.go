package bayeux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"waft/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothWays{m}) }

// bothWays runs every test twice: with polls that give up their requests, and with polls held in their handlers.
type bothWays struct{ m *testing.M }

var holdInHandler bool

func (b bothWays) Run() int {
	code := b.m.Run()
	once := func(name string) bool { f := flag.Lookup(name); return f != nil && f.Value.String() != "" }
	if code == 0 && !once("test.bench") && !once("test.fuzz") && !once("test.list") {
		holdInHandler = true
		code = b.m.Run()
	}
	return code
}

// Everybody may do everything, but for channels below /token, which need a token, and /closed, where nobody may.
type rules struct{}

func (rules) Authorize(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	switch {
	case p.Overlaps("/closed/**") && !p.Covers("/**"):
		return broker.Errorf(broker.Forbidden, "%s is not for you", p)
	case broker.Pattern("/token/**").Covers(p) && who.Anonymous():
		return broker.Errorf(broker.Unauthenticated, "%s needs a token", p)
	}
	return nil
}

// The token "good" is alice's, every other is refused.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	if token == "good" {
		return broker.Principal{Subject: "alice", Issuer: "test"}, nil
	}
	return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the token is not good")
}

const (
	holdTime = 3 * time.Second // T of the checklist
	grace    = 2 * time.Second
	page     = "https://app.test"
)

// server is the checklist's default set-up. In a synctest bubble its connections are pipes, so that time is the test's own.
type server struct {
	t      testing.TB
	h      *Handler
	b      *broker.Broker
	url    string
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	client *http.Client
	web    *http.Server
}

func newServer(t testing.TB, set ...func(*Options, *broker.Options)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, l, new(net.Dialer).DialContext, set...)
}

// bubble runs f on a server with fake time.
func bubble(t *testing.T, f func(t *testing.T, s *server), set ...func(*Options, *broker.Options)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		f(t, startServer(t, l, l.dial, set...))
	})
}

func startServer(t testing.TB, l net.Listener, dial func(context.Context, string, string) (net.Conn, error), set ...func(*Options, *broker.Options)) *server {
	o := Options{Authenticator: tokens{}, Origins: []string{page}, Timeout: holdTime, MaxInterval: grace, HoldInHandler: holdInHandler, PureFront: true}
	bo := broker.Options{Authorizer: rules{}}
	for _, f := range set {
		f(&o, &bo)
	}
	b, err := broker.New(bo)
	if err != nil {
		t.Fatal(err)
	}
	o.Broker = b
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			_, _ = io.WriteString(w, "other")
			return
		}
		h.ServeHTTP(w, r) // whatever the path: a ServeMux would clean it
	}), IdleTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(l) })
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 200}
	s := &server{t: t, h: h, b: b, url: "http://" + l.Addr().String() + "/bayeux", dial: dial, client: &http.Client{Transport: transport}, web: web}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_ = h.Shutdown(ctx) // a test may have left it busy
		transport.CloseIdleConnections()
		web.Close()
		serving.Wait()
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error("broker.Shutdown:", err)
		}
	})
	return s
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "waft.test" }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return mine, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// messages are what came back.
type messages []gjson.Result

// with gives the message with the id, written as JSON.
func (ms messages) with(t testing.TB, id string) gjson.Result {
	t.Helper()
	for _, m := range ms {
		if m.Get("id").Raw == id {
			return m
		}
	}
	t.Fatalf("no reply with id %s in %v", id, ms)
	return gjson.Result{}
}

func (ms messages) String() string {
	var b strings.Builder
	for _, m := range ms {
		b.WriteString(m.Raw)
	}
	return b.String()
}

// events are the data of the events among ms, as JSON.
func (ms messages) events() (data []string) {
	for _, m := range ms {
		if !m.Get("successful").Exists() {
			data = append(data, m.Get("data").Raw)
		}
	}
	return data
}

// request is one POST; the zero value of each field is the usual.
type request struct {
	path, body, contentType string
	header                  map[string]string
	chunked                 bool
	ctx                     context.Context
}

type response struct {
	status int
	header http.Header
	body   string
}

func (s *server) do(r request) (response, error) {
	var body io.Reader = strings.NewReader(r.body)
	if r.chunked {
		body = struct{ io.Reader }{body}
	}
	if r.ctx == nil {
		r.ctx = context.Background()
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, s.url+r.path, body)
	if err != nil {
		return response{}, err
	}
	switch r.contentType {
	case "":
		req.Header.Set("Content-Type", "application/json")
	case "none":
	default:
		req.Header.Set("Content-Type", r.contentType)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	return s.answer(req)
}

func (s *server) answer(req *http.Request) (response, error) {
	res, err := s.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(b)}, err
}

// post sends a JSON body and gives the messages of the answer. It holds every one of them against the rules that clients
// depend on.
func (s *server) post(body string) messages {
	s.t.Helper()
	return s.send(request{body: body})
}

func (s *server) send(r request) messages {
	s.t.Helper()
	res, err := s.do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.status != http.StatusOK {
		s.t.Fatalf("status %d: %s", res.status, res.body)
	}
	return parseReply(s.t, res.body)
}

func parseReply(t testing.TB, text string) messages {
	t.Helper()
	if !gjson.Valid(text) || !gjson.Parse(text).IsArray() {
		t.Fatalf("not a JSON array: %s", text)
	}
	ms := messages(gjson.Parse(text).Array())
	for _, m := range ms {
		if wrong := brokenRule(m); wrong != "" {
			t.Errorf("%s: %s", wrong, m.Raw)
		}
	}
	return ms
}

var errorGrammar = regexp.MustCompile(`^\d{3}:[A-Za-z0-9_!~()$@ /*.,-]*:[A-Za-z0-9_!~()$@ /*.-]*$`)

// brokenRule checks rows 9 to 12 of the checklist and the whitelist of events on one message.
func brokenRule(m gjson.Result) string {
	reconnect, interval, timeout := m.Get("advice.reconnect"), m.Get("advice.interval"), m.Get("advice.timeout")
	channel := m.Get("channel").Str
	switch {
	case m.Get("id").Type == gjson.Null && m.Get("id").Exists():
		return "an id that is null"
	case !m.Get("successful").Exists():
		if channel == "/meta/disconnect" {
			return ""
		}
		for key := range m.Map() {
			if key != "channel" && key != "data" && key != "ext" && key != "timestamp" {
				return "an event with " + key
			}
		}
		if !m.Get("data").Exists() {
			return "an event without data"
		}
		return ""
	case m.Get("data").Exists():
		return "a reply with data"
	case m.Get("successful").Bool() == m.Get("error").Exists():
		return "a reply that is neither a success nor an error"
	case m.Get("error").Exists() && !errorGrammar.MatchString(m.Get("error").Str) && !strings.HasPrefix(m.Get("error").Str, "400::The replayId {"):
		return "an error outside the grammar"
	case channel == "/meta/handshake" || channel == "/meta/connect":
		if reconnect.Type != gjson.String || !isInteger(interval) || !isInteger(timeout) {
			return "incomplete advice"
		}
	case m.Get("advice").Exists():
		return "advice where it stops CometD"
	}
	return ""
}

func isInteger(v gjson.Result) bool {
	return v.Type == gjson.Number && !strings.ContainsAny(v.Raw, ".eE")
}

const handshakeMessage = `{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket","long-polling"],"id":"h"}`

// handshake gives a new clientId.
func (s *server) handshake() string {
	s.t.Helper()
	m := s.post("["+handshakeMessage+"]").with(s.t, `"h"`)
	if !m.Get("successful").Bool() {
		s.t.Fatalf("handshake failed: %s", m.Raw)
	}
	return m.Get("clientId").Str
}

// Messages, by clientId and id (as JSON; "" for none). rest is further members.
func msg(channel, clientID, id, rest string) string {
	b := fmt.Sprintf(`{"channel":%q`, channel)
	if clientID != "" {
		b += fmt.Sprintf(`,"clientId":%q`, clientID)
	}
	if id != "" {
		b += `,"id":` + id
	}
	if rest != "" {
		b += "," + rest
	}
	return b + "}"
}

func connect(clientID, id string) string {
	return msg("/meta/connect", clientID, id, `"connectionType":"long-polling"`)
}

func connectNow(clientID, id string) string {
	return msg("/meta/connect", clientID, id, `"connectionType":"long-polling","advice":{"timeout":0}`)
}

func subscribe(clientID, id, subscription string) string {
	return msg("/meta/subscribe", clientID, id, `"subscription":`+subscription)
}

func publish(clientID, id, channel, data string) string {
	return msg(channel, clientID, id, `"data":`+data)
}

// connected gives a session that has had its first connect and the subscriptions (as JSON).
func (s *server) connected(subscriptions ...string) string {
	s.t.Helper()
	id := s.handshake()
	s.post("[" + connect(id, `"c0"`) + "]")
	for _, sub := range subscriptions {
		if m := s.post("["+subscribe(id, `"s0"`, sub)+"]").with(s.t, `"s0"`); !m.Get("successful").Bool() {
			s.t.Fatal(m.Raw)
		}
	}
	return id
}

// event publishes from nowhere, straight into the broker.
func (s *server) event(channel, data string) {
	s.t.Helper()
	_, err := s.b.Publish(context.Background(), broker.Principal{}, &broker.Message{Channel: broker.Channel(channel), Data: []byte(data)},
		broker.PublishOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// poll posts in the background.
func (s *server) poll(body string) <-chan messages {
	answer := make(chan messages, 1)
	go func() {
		defer close(answer)
		res, err := s.do(request{body: body})
		if err != nil || res.status != http.StatusOK {
			s.t.Errorf("poll: %v %d %s", err, res.status, res.body)
			return
		}
		answer <- parseReply(s.t, res.body)
	}()
	return answer
}

// eventually waits for a state that comes about by itself.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the state was not reached")
}

// wsClient is gorilla's client with a goroutine that reads.
type wsClient struct {
	t      testing.TB
	ws     *websocket.Conn
	frames chan string // closed when the socket ends
	queue  messages    // of a frame that held several
	closed error       // why, once frames is closed
}

func (s *server) socket() *wsClient {
	s.t.Helper()
	c, res, err := s.upgrade("", nil)
	if err != nil {
		s.t.Fatalf("upgrade: %v %v", err, res)
	}
	return c
}

func (s *server) upgrade(path string, header http.Header, set ...func(*websocket.Dialer, *websocket.Conn)) (*wsClient, response, error) {
	u, _ := url.Parse(s.url + path)
	u.Scheme = "ws"
	dialer := websocket.Dialer{NetDialContext: s.dial, ReadBufferSize: 1024, WriteBufferSize: 1024}
	for _, f := range set {
		f(&dialer, nil)
	}
	ws, answer, err := dialer.Dial(u.String(), header)
	var res response
	if answer != nil {
		answer.Body.Close()
		res = response{status: answer.StatusCode, header: answer.Header}
	}
	if err != nil {
		return nil, res, err
	}
	for _, f := range set {
		f(&dialer, ws)
	}
	c := &wsClient{t: s.t, ws: ws, frames: make(chan string, 4096)}
	go c.read()
	s.t.Cleanup(func() {
		ws.Close()
		for range c.frames {
		}
	})
	return c, res, nil
}

func (c *wsClient) read() {
	defer close(c.frames)
	for {
		kind, b, err := c.ws.ReadMessage()
		if err != nil {
			c.closed = err
			return
		}
		if kind != websocket.TextMessage {
			c.closed = errors.New("a binary frame")
			return
		}
		c.frames <- string(b)
	}
}

func (c *wsClient) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next message, whatever frame it came in.
func (c *wsClient) next() gjson.Result {
	c.t.Helper()
	for len(c.queue) == 0 {
		select {
		case frame, ok := <-c.frames:
			if !ok {
				c.t.Fatalf("the socket was closed: %v", c.closed)
			}
			c.queue = parseReply(c.t, frame)
		case <-time.After(time.Hour): // in a bubble, where pings would keep time going for ever, that is at once
			c.t.Fatal("nothing came")
		}
	}
	m := c.queue[0]
	c.queue = c.queue[1:]
	return m
}

// ask sends one message and gives its reply, which must be the next message.
func (c *wsClient) ask(message string) gjson.Result {
	c.t.Helper()
	c.send("[" + message + "]")
	m := c.next()
	if want := gjson.Get(message, "id").Raw; m.Get("id").Raw != want {
		c.t.Fatalf("got %s instead of the reply with id %s", m.Raw, want)
	}
	return m
}

// silent fails if anything has arrived. Only in a bubble.
func (c *wsClient) silent() {
	c.t.Helper()
	synctest.Wait()
	select {
	case frame, ok := <-c.frames:
		c.t.Fatalf("unexpected frame %s (open: %v, %v)", frame, ok, c.closed)
	default:
	}
}

// closeCode waits for the end of the socket and gives the server's code.
func (c *wsClient) closeCode() int {
	c.t.Helper()
	for frame := range c.frames {
		c.t.Logf("before the close: %s", frame)
	}
	e, ok := errors.AsType[*websocket.CloseError](c.closed)
	if !ok {
		return 0
	}
	return e.Code
}

// handshake gives a session made on the socket.
func (c *wsClient) handshake() string {
	c.t.Helper()
	return c.ask(handshakeMessage).Get("clientId").Str
}

// connected gives a session made on the socket, with its first connect answered, and a second one held.
func (c *wsClient) connected(subscriptions ...string) string {
	c.t.Helper()
	id := c.handshake()
	c.ask(connectNow(id, `"c0"`))
	for _, sub := range subscriptions {
		if m := c.ask(subscribe(id, `"s0"`, sub)); !m.Get("successful").Bool() {
			c.t.Fatal(m.Raw)
		}
	}
	c.send("[" + connect(id, `"c1"`) + "]")
	return id
}

// openNow is what all addresses have open, as it is counted.
func (s *server) openNow() (open int) {
	s.h.addresses.mu.Lock()
	defer s.h.addresses.mu.Unlock()
	for _, a := range s.h.addresses.known {
		open += a.open
	}
	return open
}

// rawConn speaks HTTP by hand.
func (s *server) rawConn() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	u, _ := url.Parse(s.url)
	nc, err := s.dial(context.Background(), "tcp", u.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc, bufio.NewReader(nc)
}

func writeAll(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Error(err)
	}
}

func rawPost(body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /bayeux HTTP/1.1\r\nHost: waft.test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes()
}

// equal compares and says what was expected.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func ok(t testing.TB, m gjson.Result) {
	t.Helper()
	if !m.Get("successful").Bool() {
		t.Errorf("failed: %s", m.Raw)
	}
}

// fails checks the error's code; "401" or "401:arg:words".
func fails(t testing.TB, m gjson.Result, want string) {
	t.Helper()
	if m.Get("successful").Bool() || !strings.HasPrefix(m.Get("error").Str+":", want+":") {
		t.Errorf("got %s, want error %s", m.Raw, want)
	}
}
