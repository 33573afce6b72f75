package sse

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub/place"
)

func TestStream_brings_messages_of_all_its_channels(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.listen("channel=/a&channel=b/**")
	if got := c.named("ready"); got != `{"resumed":false}` {
		t.Errorf("ready: %s", got)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !regexp.MustCompile(`^[234]\d\d\d$`).MatchString(c.retry) {
		t.Errorf("retry: %s", c.retry)
	}
	m := &broker.Message{ID: `7"<`, Channel: "/a", Data: []byte(`{"n": 1.50}`)}
	if _, err := s.broker.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	s.publish("/other", 0)
	s.publish("/b/c/d", `"x"`)
	var got struct {
		Channel, ID, Time string
		Data              json.RawMessage
	}
	if err := json.Unmarshal([]byte(c.named("message")), &got); err != nil {
		t.Fatal(err)
	}
	if at, err := time.Parse(time.RFC3339, got.Time); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %s: %v", got.Time, err)
	}
	if got.Channel != "/a" || got.ID != m.ID || string(got.Data) != `{"n":1.50}` {
		t.Errorf("received %+v", got)
	}
	if text := c.named("message"); !strings.Contains(text, `"channel":"/b/c/d"`) || !strings.Contains(text, `"data":"x"`) {
		t.Errorf("received %s", text)
	}
}

func TestStream_gives_data_alone_and_names_events_as_asked(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	for _, channels := range []string{"channel=a", "channel=a&channel=z"} {
		plain := s.listen(channels + "&envelope=0&event=message")
		byName := s.listen(channels + "&envelope=0&event=channel")
		plain.named("ready")
		byName.named("ready")
		s.publish("/a", `[1]`)
		if e := plain.next(); e.name != "message" || e.data != "[1]" {
			t.Errorf("%+v", e)
		}
		if e := byName.next(); e.name != "/a" || e.data != "[1]" {
			t.Errorf("%+v", e)
		}
	}
}

func TestStream_encodes_a_message_once_for_all_streams_of_a_form(t *testing.T) {
	m := &broker.Message{Channel: "/a", Data: []byte("1"), Position: broker.Position{Epoch: 1 << 63, Offset: 1 << 40}}
	one, _ := m.Encoded(single)
	two, _ := m.Encoded(single)
	if &one[0] != &two[0] {
		t.Error("encoded twice")
	}
	if want := "id: " + string(place.AppendSingle(nil, m)) + "\n"; !strings.HasPrefix(string(one), want) {
		t.Errorf("the shared event is %q; its id should be %q", one, want)
	}
}

func TestStream_comments_keep_it_open(t *testing.T) {
	s := newServer(t, Options{KeepAlive: time.Millisecond}, broker.Options{})
	for _, q := range []string{query("/a"), query("/a/*")} {
		c := s.listen(q)
		c.named("ready")
		for before := c.quiet; c.quiet < before+3; {
			s.publish("/a/b", 1) // the clock of the comments is the wheel's, this only ends read
			s.publish("/a", 1)
			if c.next(); c.status != 200 {
				t.Fatal(c.status)
			}
		}
	}
}

func TestStream_survives_messages_without_a_form(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	for _, q := range []string{query("/a"), query("/a", "/b/*")} {
		c := s.listen(q)
		c.named("ready")
		for _, m := range []*broker.Message{
			{Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": []byte(`{}`)}},
			{Channel: "/a", ID: "gone", Data: []byte("1")},
		} {
			if _, err := s.broker.Publish(t.Context(), broker.Principal{}, m, broker.PublishOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.broker.Remove(t.Context(), broker.Principal{}, "/a", "gone", true); err != nil {
			t.Fatal(err)
		}
		s.publish("/a", 2)
		c.want("1", "2")
	}
}

func TestStream_that_does_not_read_is_told_so_and_goes_on_from_its_id(t *testing.T) {
	s := newServer(t, Options{MaxMessages: 8}, deep(10_000))
	c := s.listen(query("/a"))
	c.named("ready")
	big := `"` + strings.Repeat("x", 100_000) + `"`
	for n := 0; s.broker.Stats().Sessions["sse"] == 1; n++ { // the stream itself may be counted after it is ready
		if n == 2000 {
			t.Fatal("200 MB were queued")
		}
		s.publish("/a", big)
	}
	last := brokertest.Publish(t, s.broker, "/a", `"last"`).Position.Offset
	read := uint64(0)
	for {
		e := c.next()
		if e.name == "end" {
			if !strings.Contains(e.data, `"slow_consumer"`) {
				t.Errorf("end: %s", e.data)
			}
			break
		}
		read++
	}
	if _, err := c.read(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the end: %v", err)
	}
	again := s.resume(query("/a"), c.last)
	again.named("ready")
	for e := range last - read {
		if got := again.named("message"); (got == `"last"`) != (e == last-read-1) {
			t.Fatalf("message %d of %d is %.10s", e+1, last-read, got)
		}
	}
}

// keyring knows tokens by name: subject and how long they last.
type keyring map[string]time.Duration

func (k keyring) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	life, ok := k[token]
	switch {
	case !ok:
		return broker.Principal{}, &broker.Error{Kind: broker.Unauthenticated, Text: "no such token"}
	case life < 0:
		return broker.Principal{}, broker.ErrCredentialExpired
	}
	who := broker.Principal{Subject: token, Issuer: "x"}
	if life > 0 {
		who.Expires = time.Now().Add(life)
	}
	return who, nil
}

// members lets only those with a credential subscribe to /private/**, and nobody to /secret.
var members = brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	switch {
	case p == "/secret" || act == broker.ActRead && p.Overlaps("/live"):
		return &broker.Error{Kind: broker.Forbidden, Text: "nobody may"}
	case p.Overlaps("/private/**") && who.Anonymous() && act != broker.ActPublish:
		return &broker.Error{Kind: broker.Unauthenticated, Text: "a token is needed"}
	}
	return nil
})

func TestStream_ends_with_its_credential(t *testing.T) {
	s := newServer(t, Options{Authenticator: keyring{"brief": 300 * time.Millisecond}}, broker.Options{Authorizer: members})
	open := s.listen("channel=open&access_token=brief")
	open.named("ready")
	c := s.listen("channel=/private/a&channel=open&access_token=brief")
	c.named("ready")
	if got := c.named("end"); !strings.Contains(got, `"reason":"credential_expired"`) {
		t.Errorf("end: %s", got)
	}
	s.publish("/open", 1)
	open.named("message") // whoever comes without one may have it too
	if n := s.handler.Stats().Ended[EndExpired]; n != 1 {
		if err := waitFor(func() bool { return s.handler.Stats().Ended[EndExpired] == 1 }); err != nil {
			t.Errorf("%d ended", n)
		}
	}
}

func waitFor(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("it did not come about")
		}
	}
	return nil
}

func TestStream_ends_when_the_rules_change(t *testing.T) {
	forbidden := false
	rules := brokertest.AuthorizerFunc(func(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
		if forbidden {
			return &broker.Error{Kind: broker.Forbidden, Text: "no longer"}
		}
		return nil
	})
	s := newServer(t, Options{}, broker.Options{Authorizer: rules})
	c := s.listen(query("/a"))
	c.named("ready")
	forbidden = true
	s.broker.Recheck(t.Context())
	if got := c.named("end"); !strings.Contains(got, `"reason":"forbidden"`) {
		t.Errorf("end: %s", got)
	}
}

func TestShutdown_ends_streams_with_a_word_and_refuses_new_ones(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	var clients []*client
	for range 5 {
		c := s.listen(query("/a"))
		c.named("ready")
		clients = append(clients, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error)
	go func() { done <- s.handler.Shutdown(ctx) }()
	for _, c := range clients {
		if got := c.named("end"); !strings.Contains(got, `"reason":"shutdown"`) {
			t.Errorf("end: %s", got)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	c := s.get(query("/a"))
	if c.status != http.StatusServiceUnavailable || c.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", c.status, c.header)
	}
}

func TestShutdown_cuts_off_what_is_left_when_its_time_is_over(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	c := s.listen(query("/a"))
	c.named("ready")
	now, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.handler.Shutdown(now)
	if err := s.awaitIdle(); err != nil {
		t.Error(err)
	}
}

func TestStream_over_HTTP2_resumes_and_ends(t *testing.T) {
	s := newServer(t, Options{KeepAlive: 5 * time.Millisecond}, broker.Options{})
	h2 := httptest.NewUnstartedServer(s.handler)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	defer h2.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	open := func(id string) (*client, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h2.URL+"/realm/x/events?"+query("/a", "/b/*"), nil)
		r.Header.Set("Last-Event-ID", id)
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if response.ProtoMajor != 2 || response.StatusCode != 200 {
			t.Fatalf("%s %s", response.Proto, response.Status)
		}
		t.Cleanup(func() { response.Body.Close() })
		c := &client{t: t, body: bufio.NewReader(response.Body)}
		c.named("ready")
		return c, cancel
	}
	c, leave := open("")
	s.publish("/a", 1)
	c.want("1")
	leave()
	if err := s.awaitIdle(); err != nil {
		t.Fatal(err)
	}
	s.publish("/a", 2)
	s.publish("/b/c", 3)
	c, leave = open(c.last)
	defer leave()
	c.want("2", "3")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { _ = s.handler.Shutdown(ctx) }()
	c.named("end")
}

func TestStream_goes_when_its_client_does(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	for range 10 {
		s.listen(query("/a", "/b/**")).close()
	}
	if err := s.awaitIdle(); err != nil {
		t.Error(err)
	}
	st := s.handler.Stats()
	if _, n := s.handler.guests.Count(); st.Opened != 10 || st.Ended[EndClient] != 10 || st.Streams != 0 || n != 0 {
		t.Errorf("%+v, %d addresses", st, n)
	}
	if n := s.broker.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions", n)
	}
}

func ExampleHandler() {
	b, _ := broker.New(broker.Options{Authorizer: brokertest.AllowAll})
	defer func() { _ = b.Shutdown(context.Background()) }()
	h, _ := New(Options{Broker: b})
	defer func() { _ = h.Shutdown(context.Background()) }()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/realm/default/events", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 400 the address names no channel: add ?channel=/news, and &channel=… for each further one
}
