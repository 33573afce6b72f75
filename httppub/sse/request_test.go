package sse

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unsafe"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/httppub"
	"waft/httppub/place"
)

func TestRequest_that_is_wrong_is_told_before_the_stream_begins(t *testing.T) {
	s := newServer(t, Options{MaxChannels: 3, Authenticator: keyring{"good": time.Minute}}, broker.Options{Authorizer: members})
	for _, c := range []struct {
		name, method, query string
		header              string
		status              int
		text                string
	}{
		{"no_channel", "GET", "", "", 400, "names no channel"},
		{"empty_channel", "GET", "channel=", "", 400, "a channel name is missing"},
		{"channel_grammar", "GET", "channel=/a%20b", "", 400, `" " at byte 2`},
		{"wildcard_in_the_middle", "GET", "channel=/a/*/b", "", 400, "byte 3"},
		{"reserved_channel", "GET", "channel=/meta/connect", "", 403, "belongs to Bayeux"},
		{"too_many_channels", "GET", "channel=a&channel=b&channel=c&channel=d", "", 400, "limit of 3"},
		{"unknown_parameter", "GET", "channel=a&chanel=b", "", 400, `unknown parameter "chanel"`},
		{"parameter_twice", "GET", "channel=a&envelope=0&envelope=1", "", 400, "2 times"},
		{"envelope", "GET", "channel=a&envelope=no", "", 400, "0 or 1"},
		{"event", "GET", "channel=a&event=x", "", 400, "message or channel"},
		{"escape", "GET", "channel=a%zz", "", 400, "cannot be read"},
		{"semicolon", "GET", "channel=a;b", "", 400, "cannot be read"},
		{"id", "GET", "channel=a&last_event_id=17", "", 400, "not one that this server gave out"},
		{"id_header", "GET", "channel=a", "Last-Event-ID: é", 400, "not one that this server gave out"},
		{"position_of_several", "GET", "channel=a&channel=b&last_event_id=a-1", "", 400, "not one that this server gave out"},
		{"two_ids", "GET", "channel=a&last_event_id=1&lastEventId=2", "", 400, "differ"},
		{"huge_query", "GET", "channel=" + strings.Repeat("a", maxQuery), "", 414, "too long"},
		{"long_channel", "GET", "channel=" + strings.Repeat("a", 600), "", 400, "601 bytes"},
		{"post", "POST", "channel=a", "", 405, "with GET"},
		{"head", "HEAD", "channel=a", "", 405, "with GET"},
		{"forbidden_channel", "GET", "channel=a&channel=/secret", "", 403, "nobody may"},
		{"token_needed", "GET", "channel=/private/a", "", 401, "a token is needed"},
		{"bad_token", "GET", "channel=a", "Authorization: Bearer bad", 401, "no such token"},
		{"bad_token_in_the_address", "GET", "channel=a&access_token=bad", "", 401, "no such token"},
		{"two_tokens", "GET", "channel=a&access_token=good", "Authorization: Bearer good", 400, "send one"},
		{"basic", "GET", "channel=a", "Authorization: Basic eDp5", 401, "Basic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/realm/x/events?"+c.query, nil)
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			document.Handler(t, s.handler).ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", w.Header())
			}
			if c.status == 405 && w.Header().Get("Allow") != "GET, OPTIONS" || c.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
	st := s.handler.Stats()
	if st.Opened != 0 || st.Refused[httppub.RefusedMalformed] == 0 || st.Refused[httppub.RefusedCredential] != 4 || st.Refused[httppub.RefusedForbidden] != 2 {
		t.Errorf("%+v", st)
	}
	if in, _ := s.handler.guests.Count(); s.broker.Stats().Sessions["sse"] != 0 || in != 0 {
		t.Errorf("%d sessions, %d entered", s.broker.Stats().Sessions["sse"], in)
	}
}

func TestRequest_with_a_token_in_the_address_that_lasts_is_refused_and_no_token_is_logged(t *testing.T) {
	var log bytes.Buffer
	keys := keyring{"forever-token": 0, "lasting-token": 6 * time.Minute, "short-token": 4 * time.Minute, "expired-token": -1}
	s := newServer(t, Options{Authenticator: keys, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		broker.Options{Authorizer: members})
	for token, status := range map[string]int{"forever-token": 401, "lasting-token": 401, "expired-token": 401, "short-token": 200} {
		if c := s.get("channel=/private/a&access_token=" + token); c.status != status {
			t.Errorf("%s in the address: %d", token, c.status)
		}
		if token != "expired-token" {
			if c := s.get("channel=/private/a", "Authorization: Bearer "+token); c.status != 200 {
				t.Errorf("%s in the header: %d", token, c.status)
			}
		}
	}
	if n := s.handler.Stats().Refused[httppub.RefusedExpired]; n != 1 {
		t.Errorf("%d expired", n)
	}
	if text := log.String(); strings.Contains(text, "-token") || !strings.Contains(text, "refused") {
		t.Errorf("the log:\n%s", text)
	}
}

func TestOrigin(t *testing.T) {
	s := newServer(t, Options{Origins: []string{"https://App.example"}}, broker.Options{})
	for _, c := range []struct {
		origin string
		status int
	}{
		{"", 200},
		{"https://app.example", 200},
		{"http://waft.example", 200}, // the server's own
		{"https://evil.example", 403},
		{"https://app.example.evil", 403},
		{"null", 403},
	} {
		for _, method := range []string{"GET", "OPTIONS"} {
			t.Run(method+" "+c.origin, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				r, err := http.NewRequestWithContext(ctx, method, s.http.URL+"/realm/x/events?channel=a", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "waft.example"
				if c.origin != "" {
					r.Header.Set("Origin", c.origin)
				}
				response, err := s.http.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				want, allow := c.status, c.origin
				if want == 200 && method == "OPTIONS" {
					want = 204
				}
				if c.status == 403 {
					allow = ""
				}
				if response.StatusCode != want || response.Header.Get("Access-Control-Allow-Origin") != allow || response.Header.Get("Vary") != "Origin" {
					t.Errorf("%d %v", response.StatusCode, response.Header)
				}
				if want == 204 && !strings.Contains(response.Header.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
					t.Errorf("%v", response.Header)
				}
			})
		}
	}
	if _, err := New(Options{Broker: s.broker, Origins: []string{"app.example/x"}}); broker.KindOf(err) != broker.Invalid {
		t.Error(err)
	}
}

func TestCredentials_bad_ones_of_an_address_are_refused_unread(t *testing.T) {
	damper, err := broker.NewDamper(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Damper: damper, Authenticator: shortLived{}}, broker.Options{})
	for _, c := range []struct {
		query, field string
		status       int
	}{
		{"", "Authorization: Bearer bad", 401},
		{"&access_token=bad", "X-None: 1", 401},
		{"&access_token=good", "X-None: 1", 429},
		{"", "Authorization: Bearer good", 429},
		{"", "X-None: 1", 200},
	} {
		got := s.get(query("/a")+c.query, c.field)
		if got.status != c.status || (got.header.Get("Retry-After") == "5") != (c.status == 429) {
			t.Errorf("%s %s: %d, Retry-After %q", c.query, c.field, got.status, got.header.Get("Retry-After"))
		}
	}
	if refused := s.handler.Stats().Refused; refused[httppub.RefusedDamped] != 2 || refused[httppub.RefusedCredential] != 2 || refused[httppub.RefusedLimit] != 0 {
		t.Errorf("%v", refused)
	}
}

// shortLived knows one token, "good".
type shortLived struct{}

func (shortLived) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	if token != "good" {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "bad")
	}
	return broker.Principal{Issuer: "x", Expires: time.Now().Add(time.Minute)}, nil
}

func TestLimits_of_streams(t *testing.T) {
	from := "192.0.2.1"
	s := newServer(t, Options{
		Limits:        Limits{Streams: 3, AddressStreams: 2},
		ClientAddress: func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("From")) },
	}, broker.Options{})
	get := func(from string, status int) *client {
		t.Helper()
		c := s.get(query("/a"), "From: "+from)
		if c.status != status {
			t.Fatalf("%s: %d %s", from, c.status, c.rest())
		}
		if status == 429 && c.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return c
	}
	first := get(from, 200)
	get(from, 200)
	get(from, 429)
	get("2001:db8::1", 200)
	get("2001:db8::2", 429) // four, and the same network
	st := s.handler.Stats()
	if st.Refused[httppub.RefusedAddress] != 1 || st.Refused[httppub.RefusedLimit] != 1 {
		t.Errorf("%+v", st)
	}
	if err := s.handler.SetLimits(Limits{AddressStreams: 1}); err != nil {
		t.Fatal(err)
	}
	get("2001:db8::2", 429)
	if get("2001:db8:0:1::", 200); s.handler.SetLimits(Limits{Streams: -1}) == nil {
		t.Error("a limit below zero")
	}
	if err := s.handler.SetLimits(Limits{AddressStreams: 2}); err != nil {
		t.Fatal(err)
	}
	first.close()
	left := func() bool {
		in, _ := s.handler.guests.Count()
		return in == 3
	}
	if err := waitFor(left); err != nil {
		t.Fatal(err)
	}
	get(from, 200)
}

func TestLimits_of_the_broker(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{MaxSessions: 1})
	brokertest.Open(t, s.broker, broker.SessionOptions{})
	c := s.get(query("/a"))
	if c.status != 429 || !strings.Contains(c.rest(), "1 sessions") {
		t.Errorf("%d", c.status)
	}
}

func TestNew_refuses_what_makes_no_sense(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for name, o := range map[string]Options{
		"broker": {}, "channels": {Broker: b, MaxChannels: place.MostChannels + 1}, "negative": {Broker: b, MaxBytes: -1},
		"time": {Broker: b, KeepAlive: -1}, "limits": {Broker: b, Limits: Limits{AddressStreams: -1}},
	} {
		if _, err := New(o); broker.KindOf(err) != broker.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	b := brokertest.New(f, broker.Options{})
	h, err := New(Options{Broker: b})
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = h.Shutdown(f.Context()) }()
	for _, q := range []string{"channel=a&channel=/b/**&event=channel&envelope=0", "channel=a&last_event_id=x-1", "channel=%", "&&=&channel", "lastEventId="} {
		f.Add(q, "")
	}
	f.Add("channel=/a", "1-1")
	f.Fuzz(func(t *testing.T, query, id string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}, Header: http.Header{"Last-Event-Id": {id}}}
		a, err := h.parseAsk(r)
		if err == nil {
			_, err = a.place()
		}
		if err != nil && broker.KindOf(err) != broker.Invalid {
			t.Errorf("%q %q: %v", query, id, err)
		}
		if err == nil && len(a.patterns) == 0 {
			t.Error("no channel: " + fmt.Sprint(a))
		}
	})
}

// What a stream keeps of its address is as long as it has to be: with a token and an id a query has up to 24 KB.
func TestAsk_keeps_nothing_of_the_query_but_its_channels(t *testing.T) {
	h := newServer(t, Options{}, broker.Options{}).handler
	r := httptest.NewRequest(http.MethodGet, "/realm/x/events?channel=/a&channel=/b/**&_="+strings.Repeat("x", 10_000), nil)
	a, err := h.parseAsk(r)
	if err != nil || len(a.patterns) != 2 {
		t.Fatal(a.patterns, err)
	}
	query := uintptr(unsafe.Pointer(unsafe.StringData(r.URL.RawQuery)))
	for _, p := range a.patterns {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(string(p)))) - query; at < uintptr(len(r.URL.RawQuery)) {
			t.Errorf("%s is byte %d of the query", p, at)
		}
	}
}
