package ws

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/httppub"
)

func TestRequest_that_is_wrong_is_refused_before_the_upgrade_and_no_token_is_logged(t *testing.T) {
	var log bytes.Buffer
	keys := keyring{"good-token": time.Minute, "long-token": time.Hour, "lasting-token": 0, "old-token": -1}
	s := newServer(t, Options{
		Authenticator: keys, Origins: []string{"https://app.example"},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, broker.Options{})
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	for _, c := range []struct {
		name, query, header string
		status              int
		names               string
	}{
		{"plain", "", "", 101, ""},
		{"window", "window=1000", "", 101, ""},
		{"cache_buster", "_=7", "", 101, ""},
		{"token", "", bearer("lasting-token"), 101, ""},
		{"token_in_the_address", "access_token=good-token", "", 101, ""},
		{"origin_of_its_own", "", "Origin: http://" + s.http.Listener.Addr().String(), 101, ""},
		{"origin_that_is_listed", "", "Origin: https://APP.example", 101, ""},

		{"origin", "", "Origin: https://evil.example", 403, "origin"},
		{"origin_null", "", "Origin: null", 403, "origin"},
		{"unknown_parameter", "channel=/a", "", 400, `"channel"`},
		{"parameter_twice", "window=1&window=1", "", 400, "2 times"},
		{"query", "%", "", 400, "query"},
		{"long_query", "_=" + strings.Repeat("x", 12<<10), "", 413, "query"},
		{"window_zero", "window=0", "", 400, "1000"},
		{"window_large", "window=1001", "", 400, "1000"},
		{"window_word", "window=x", "", 400, "1000"},
		{"two_tokens", "access_token=good-token", bearer("good-token"), 400, "both"},
		{"bad_token", "", bearer("bad-token"), 401, "no such"},
		{"old_token", "", bearer("old-token"), 401, "expired"},
		{"basic", "", "Authorization: Basic x", 401, "Basic"},
		{"bad_token_in_the_address", "access_token=bad-token", "", 401, "no such"},
		{"long_token_in_the_address", "access_token=long-token", "", 401, "5m0s"},
		{"lasting_token_in_the_address", "access_token=lasting-token", "", 401, "5m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.header != "" {
				header = append(header, c.header)
			}
			socket, got, err := s.dial(c.query, header...)
			if err == nil {
				defer socket.close()
				if socket.ws.Subprotocol() != Subprotocol {
					t.Errorf("it speaks %q", socket.ws.Subprotocol())
				}
			}
			if got.status != c.status || !strings.Contains(got.text, c.names) {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	refused := s.handler.Stats().Refused
	if refused[httppub.RefusedOrigin] != 2 || refused[httppub.RefusedCredential] != 5 || refused[httppub.RefusedExpired] != 1 || refused[httppub.RefusedMalformed] != 8 {
		t.Errorf("%v", refused)
	}
	if text := log.String(); strings.Contains(text, "-token") || !strings.Contains(text, "refused") {
		t.Errorf("the log:\n%s", text)
	}
}

func TestRequest_that_is_no_handshake_is_refused(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{})
	good := http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	for name, c := range map[string]struct {
		method, header, value string
		status                int
	}{
		"good":              {"GET", "X-Nothing", "", 101},
		"our_subprotocol":   {"GET", "Sec-WebSocket-Protocol", "mqtt, waft.v1", 101},
		"post":              {"POST", "X-Nothing", "", 405},
		"no_upgrade":        {"GET", "Upgrade", "", 400},
		"old_version":       {"GET", "Sec-WebSocket-Version", "8", 400},
		"no_key":            {"GET", "Sec-WebSocket-Key", "", 400},
		"other_subprotocol": {"GET", "Sec-WebSocket-Protocol", "mqtt", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, s.http.URL+"/realm/x/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = good.Clone()
			if r.Header.Set(c.header, c.value); c.value == "" {
				r.Header.Del(c.header)
			}
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != c.status {
				t.Errorf("%s", response.Status)
			}
			if c.status == 101 && (response.Header.Get("Sec-WebSocket-Protocol") == "") == (c.header == "Sec-WebSocket-Protocol") {
				t.Errorf("%v", response.Header)
			}
		})
	}
}

func TestLimits_of_sockets_are_of_the_realm_and_of_an_address_and_can_change(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	s := newServer(t, Options{
		Limits:        Limits{Sockets: 3, AddressSockets: 2},
		ClientAddress: func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-From")) },
	}, broker.Options{})
	dial := func(from string, status int) *client {
		t.Helper()
		c, got, err := s.dial("", "X-From: "+from)
		if got.status != status {
			t.Fatal(got, err)
		}
		if status == 429 && got.header.Get("Retry-After") == "" {
			t.Error("it does not say when to come back")
		}
		return c
	}
	first := dial("192.0.2.1", 101)
	dial("192.0.2.1", 101)
	dial("192.0.2.1", 429)
	dial("192.0.2.2", 101)
	dial("192.0.2.3", 429)
	if err := s.handler.SetLimits(Limits{Sockets: 5, AddressSockets: 2}); err != nil {
		t.Fatal(err)
	}
	dial("2001:db8::1", 101)
	first.close()
	if err := waitFor(func() bool { n, _ := s.handler.guests.Count(); return n == 3 }); err != nil {
		t.Fatal(err)
	}
	dial(address.String(), 101)
	refused := s.handler.Stats().Refused
	if refused[httppub.RefusedAddress] != 1 || refused[httppub.RefusedLimit] != 1 {
		t.Errorf("%v", refused)
	}
	if s.handler.SetLimits(Limits{SocketFrames: -1}) == nil {
		t.Error("a negative limit")
	}
}

func TestLimit_of_sessions_is_the_brokers(t *testing.T) {
	s := newServer(t, Options{}, broker.Options{MaxSessions: 1})
	s.connect("")
	if _, got, err := s.dial(""); got.status != 429 {
		t.Error(got, err)
	}
}

func TestNew_refuses_what_makes_no_sense(t *testing.T) {
	b := newServer(t, Options{}, broker.Options{}).broker
	for name, o := range map[string]Options{
		"broker": {}, "negative": {Broker: b, MaxFrame: -1}, "negative_time": {Broker: b, PongWait: -1},
		"origin": {Broker: b, Origins: []string{"app.example"}}, "limits": {Broker: b, Limits: Limits{Sockets: -1}},
	} {
		if _, err := New(o); broker.KindOf(err) != broker.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
