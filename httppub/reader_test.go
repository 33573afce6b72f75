package httppub

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/broker"
)

// Who may do what: each address, asked by nobody, with a token that is none, and with tokens of one right each.
func TestReader_authorization(t *testing.T) {
	for _, c := range []struct {
		method, path string
		allowed      map[string]int // by token; all others are refused: 403, and 401 for nobody
	}{
		{"GET", "channels/", map[string]int{"manage": 200}},
		{"GET", "channels/news", map[string]int{"": 200, "none": 200, "publish": 200, "subscribe": 200, "read": 200, "manage": 200}},
		{"GET", "channels/secret:a", map[string]int{"read": 200}},
		{"GET", "channels/news/messages", map[string]int{"": 200, "none": 200, "publish": 200, "subscribe": 200, "read": 200, "manage": 200}},
		{"GET", "channels/secret:a/messages", map[string]int{"read": 200}},
		{"HEAD", "channels/secret:a/messages", map[string]int{"read": 200}},
		{"GET", "channels/secret:a/messages?wait=1", map[string]int{"read+subscribe": 200}},
		{"GET", "channels/archive/messages", map[string]int{"": 200, "none": 200, "publish": 200, "subscribe": 200, "read": 200, "manage": 200}},
		{"GET", "channels/archive/messages?wait=1", map[string]int{"subscribe": 200}},
		{"DELETE", "channels/news/messages/1", map[string]int{"publish": 404}},
		{"GET", "sessions/", map[string]int{"manage": 200}},
		{"DELETE", "sessions/bayeux-99", map[string]int{"manage": 404}},
		{"GET", "usage", map[string]int{"manage": 200}},
	} {
		for _, card := range []string{"", "none", "publish", "subscribe", "read", "manage", "read+subscribe", "of another realm"} {
			want, ok := c.allowed[card]
			switch {
			case card == "of another realm":
				want = 401
			case card == "read+subscribe" && !ok:
				want = max(c.allowed["read"], c.allowed["subscribe"])
				if want == 0 {
					want = 403
				}
			case ok:
			case card == "":
				want = 401
			default:
				want = 403
			}
			synctest.Test(t, func(t *testing.T) { // which does not wait for those who are held
				w := openLibrary(t).do(c.method, c.path, func(r *http.Request) {
					if card != "" {
						token(card)(r)
					}
				})
				if w.Code != want {
					t.Errorf("%s %s with %q: %d %s, want %d", c.method, c.path, card, w.Code, w.Body, want)
				}
				if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" || w.Code > 204 && w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s with %q: %v", c.method, c.path, card, w.Header())
				}
			})
		}
	}
}

func TestReader_refusals(t *testing.T) {
	l := openLibrary(t)
	for _, c := range []struct {
		name, method, path string
		status             int
		part, allow        string
	}{
		{"no such address", "GET", "nothing", 404, "there is nothing at", ""},
		{"a bad channel", "GET", "channels/a b", 400, `has " " at byte 2`, ""},
		{"a reserved channel", "GET", "channels/meta:connect/messages", 403, "belongs to Bayeux", ""},
		{"posting to messages", "POST", news, 405, "this address answers to GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS"},
		{"deleting all messages", "DELETE", news, 405, "answers to GET", "GET, HEAD, OPTIONS"},
		{"getting one message", "GET", news + "/1", 405, "answers to DELETE", "DELETE, OPTIONS"},
		{"getting one session", "GET", "sessions/x-1", 405, "answers to DELETE", "DELETE, OPTIONS"},
		{"a method of nobody's", "BREW", "usage", 405, "answers to GET", "GET, HEAD, OPTIONS"},
		{"an unknown parameter", "GET", news + "?from=0", 400, "none of since", ""},
		{"a parameter where none is known", "GET", "usage?limit=1", 400, "takes none", ""},
		{"a bad query", "GET", news + "?limit=x", 400, "whole number", ""},
		{"after no session", "GET", "sessions/?after=x", 400, "not the label of a session", ""},
		{"after no channel", "GET", "channels/?after=a%20b", 400, "after: channel", ""},
		{"waiting where nothing is kept", "GET", "channels/fleeting/messages?wait=1", 400, "the rules keep no history", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "http://x/realm/r/"+strings.ReplaceAll(c.path, " ", "%20"), nil)
			r.Header.Set("Authorization", "Bearer manage")
			w := httptest.NewRecorder()
			l.ServeHTTP(w, r)
			expectAnswer(t, w, c.status, c.part)
			if w.Header().Get("Allow") != c.allow || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("the head is %v", w.Header())
			}
			r.Header.Set("Accept", "application/json")
			w = httptest.NewRecorder()
			l.ServeHTTP(w, r)
			var a answer
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Code == "" || !strings.Contains(a.Message, c.part) {
				t.Errorf("as JSON it is %s", w.Body)
			}
		})
	}
}

func TestReader_takes_no_body_and_does_not_wait_for_one(t *testing.T) {
	l := openLibrary(t)
	server := httptest.NewServer(l)
	defer server.Close()
	body := newSlowBody()
	defer body.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/realm/r/"+news, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest || !response.Close {
		t.Errorf("answered %d, closing %v", response.StatusCode, response.Close)
	}
}

func TestReader_does_not_wait_for_a_client_that_takes_nothing(t *testing.T) {
	l := openLibrary(t, func(o *ReaderOptions) { o.Limits.MaxPageBytes = 1 << 30 })
	l.within = 50 * time.Millisecond
	for i := range 10 {
		l.publish(t, "/news", fmt.Sprint(i), `"`+strings.Repeat("x", 900_000)+`"`)
	}
	served := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		for range 2 { // more than the sockets between hold
			l.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /realm/r/"+news+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Error("the handler waits for ever")
	}
}

func TestReader_lists_channels(t *testing.T) {
	l := openLibrary(t)
	l.fill(t, "/chat/1", 2)
	at := l.fill(t, "/chat/2", 1)[1]
	l.fill(t, "/news", 1)
	for range 2 {
		s, err := l.broker.Open(broker.SessionOptions{Protocol: "p"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []broker.Pattern{"/chat/2", "/chat/*"} {
			if _, err := s.Subscribe(t.Context(), broker.Principal{}, p, broker.SubscribeOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var page struct {
		Channels []channelEntry
		Next     string
	}
	path, got := "channels/?limit=1&prefix=chat%2F", []string{}
	for path != "" {
		page.Next = ""
		w := l.get(path, token("manage"))
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Channels) != 1 {
			t.Fatalf("%s: %s", path, w.Body)
		}
		if link := w.Header().Get("Link"); page.Next != "" && link != "<"+page.Next+`>; rel="next"` {
			t.Errorf("the link is %s", link)
		}
		got, path = append(got, string(page.Channels[0].Channel)), strings.TrimPrefix(page.Next, "/realm/r/")
	}
	if want := []string{"/chat/1", "/chat/2"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if c := page.Channels[0]; c.Messages != 1 || c.Position != at.String() || c.Subscriptions["p"] != 2 {
		t.Errorf("the last is %+v", c)
	}
	if w := l.get("channels?prefix=none", token("manage")); w.Body.String() != `{"channels":[]}`+"\n" {
		t.Errorf("none is %s", w.Body)
	}

	want := `{"channel":"/chat/2","messages":1,"position":"` + at.String() + `","kept":true,"subscriptions":{"p":2},"receivers":2}` + "\n"
	if w := l.get("channels/chat:2/", token("manage")); w.Body.String() != want {
		t.Errorf("one is %s, want %s", w.Body, want)
	}
	want = `{"channel":"/fleeting","messages":0,"position":"0","kept":false}` + "\n"
	if w := l.get("channels/fleeting"); w.Body.String() != want {
		t.Errorf("for who does not manage it is %s, want %s", w.Body, want)
	}
}

func TestReader_lists_and_ends_sessions(t *testing.T) {
	l := openLibrary(t)
	var all []*broker.Session
	for range 3 {
		s, err := l.broker.Open(broker.SessionOptions{Protocol: "p"})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	path, got := "sessions/?limit=2", []string{}
	for path != "" {
		w := l.get(path, token("manage"))
		var page struct {
			Sessions []sessionEntry
			Next     string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			got = append(got, s.Label)
			if strings.Contains(w.Body.String(), all[0].ID()) || s.Protocol != "p" || s.Opened.IsZero() {
				t.Errorf("the session is %s", w.Body)
			}
		}
		path = strings.TrimPrefix(page.Next, "/realm/r/")
	}
	if want := []string{all[0].Label(), all[1].Label(), all[2].Label()}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	for name, status := range map[string]int{all[0].ID(): 404, all[1].Label(): 204} {
		if w := l.do(http.MethodDelete, "sessions/"+name, token("manage")); w.Code != status {
			t.Errorf("ending %s: %d", name, w.Code)
		}
	}
	if all[0].Err() != nil || broker.KindOf(all[1].Err()) != broker.Closed {
		t.Errorf("the sessions: %v, %v", all[0].Err(), all[1].Err())
	}
}

func TestReader_usage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLibrary(t)
		s, err := l.broker.Open(broker.SessionOptions{Protocol: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Subscribe(t.Context(), broker.Principal{}, "/a", broker.SubscribeOptions{}); err != nil {
			t.Fatal(err)
		}
		l.publish(t, "/a", "1", "12345")
		l.publish(t, "/b", "1", "1")
		l.get("channels/b/messages")
		time.Sleep(90 * time.Second)
		want := `{"since":"2000-01-01T00:00:00Z","messages_in":2,"messages_out":1,"messages_read":1,"bytes_in":12,"bytes_out":8,` +
			`"connection_minutes":{"p":1.5},"connections":{"p":1}}` + "\n"
		if w := l.get("usage", token("manage")); w.Body.String() != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
	})
}

func TestReader_origins(t *testing.T) {
	const page, other = "https://app.example", "https://other.example"
	for _, c := range []struct {
		name            string
		origins         []string
		origin          string
		allowed, varies string
	}{
		{"none listed", nil, page, "", ""},
		{"listed", []string{page + "/"}, page, page, "Origin"},
		{"in other case", []string{page}, "HTTPS://App.Example", "HTTPS://App.Example", "Origin"},
		{"not listed", []string{page}, other, "", "Origin"},
		{"no page", []string{page}, "", "", "Origin"},
		{"all", []string{"*"}, other, "*", ""},
		{"null is not all", []string{page}, "null", "", "Origin"},
		{"null", []string{"null"}, "null", "null", "Origin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLibrary(t, func(o *ReaderOptions) { o.Origins = c.origins })
			for _, w := range []*httptest.ResponseRecorder{
				l.get(news, header("Origin", c.origin)),
				l.get("usage", header("Origin", c.origin)), // refused
				l.do(http.MethodOptions, news+"/1", header("Origin", c.origin), header("Access-Control-Request-Method", "DELETE")),
			} {
				h := w.Header()
				if h.Get("Access-Control-Allow-Origin") != c.allowed || h.Get("Vary") != c.varies || h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%d: %v", w.Code, h)
				}
				if exposed := h.Get("Access-Control-Expose-Headers"); (exposed != "") != (c.allowed != "") {
					t.Errorf("exposed are %q", exposed)
				}
			}
			w := l.do(http.MethodOptions, news+"/1", header("Origin", c.origin))
			if w.Code != 204 || w.Header().Get("Allow") != "DELETE, OPTIONS" || (w.Header().Get("Access-Control-Allow-Methods") != "") != (c.allowed != "") {
				t.Errorf("asked before: %d %v", w.Code, w.Header())
			}
		})
	}
}

func TestNewReader_refuses_bad_options(t *testing.T) {
	b := openLibrary(t).broker
	for _, o := range []ReaderOptions{
		{},
		{Broker: b, Limits: ReaderLimits{MaxPage: -1}},
		{Broker: b, Limits: ReaderLimits{MaxPageBytes: -1}},
		{Broker: b, Limits: ReaderLimits{MaxWait: -1}},
		{Broker: b, Limits: ReaderLimits{MaxHeld: -1}},
		{Broker: b, Limits: ReaderLimits{AddressHeld: -1}},
		{Broker: b, Origins: []string{"app.example"}},
		{Broker: b, Origins: []string{"https://app.example/x"}},
	} {
		if _, err := NewReader(o); broker.KindOf(err) != broker.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
