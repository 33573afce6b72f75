package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// dialSocket gives the status too.
func dialSocket(t *testing.T, d websocket.Dialer, url string, header http.Header) (*websocket.Conn, int, error) {
	t.Helper()
	ws, response, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http"), header)
	if response == nil {
		return ws, 0, err
	}
	_ = response.Body.Close()
	return ws, response.StatusCode, err
}

// openSocket opens a plain WebSocket and subscribes.
func openSocket(t *testing.T, url string, header http.Header, channel string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: time.Minute, Subprotocols: []string{"waft.v1"}}
	ws, status, err := dialSocket(t, d, url, header)
	if err != nil {
		t.Fatal(url, err, status)
	}
	t.Cleanup(func() { ws.Close() })
	if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"subscribe","channel":%q}`, channel)); err != nil {
		t.Fatal(err)
	}
	hears(t, ws, `"subscribed"`)
	return ws
}

// hears reads the next frame, which must have the text.
func hears(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	_, got, err := ws.ReadMessage()
	if err != nil || !strings.Contains(string(got), text) {
		t.Fatalf("heard %s, %v; want %s", got, err, text)
	}
}

func TestServe_plain_WebSockets_are_of_one_realm_and_go_away_when_it_stops(t *testing.T) {
	key := "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	config := writeConfig(t, "[[realm]]\nid = 'a'\n"+key+"[[realm]]\nid = 'b'\n"+key)
	r := serve(t, nil, "--config", config)
	a := openSocket(t, r.url()+"/realm/a/ws", nil, "/**")
	b := openSocket(t, r.url()+"/realm/b/ws", nil, "/**")
	for _, realm := range []string{"b", "a"} {
		code, _, stderr := run(t, nil, "publish", "--config", config, "--server", r.url(), "--realm", realm, "/x", `"in `+realm+`"`)
		if code != exitOK {
			t.Fatal(stderr)
		}
	}
	hears(t, a, `"data":"in a"}`)
	hears(t, b, `"data":"in b"}`)
	_, page := r.get(t, "/metrics")
	for _, want := range []string{`waft_websocket_sockets{realm="a"} 1`, `waft_websocket_opened_total{realm="b"} 1`, `waft_sessions{protocol="websocket",realm="a"} 1`} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
	done := make(chan int)
	go func() { done <- r.stop() }()
	for _, ws := range []*websocket.Conn{a, b} {
		_, _, err := ws.ReadMessage()
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != 1001 || e.Text != "shutdown" {
			t.Error(err)
		}
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A token of one realm means nothing in another, by header, address or frame.
func TestServe_plain_WebSockets_do_not_take_another_realms_token(t *testing.T) {
	config := writeConfig(t, "[[realm]]\nid = 'a'\n[[realm.key]]\nsecret = '"+goodKey+"'\n[[realm]]\nid = 'b'\n[[realm.key]]\nsecret = '"+goodKey+"'\n")
	r := serve(t, nil, "--config", config)
	code, token, stderr := run(t, nil, "token", "mint", "--config", config, "--realm", "a", "--lifetime", "1m")
	if code != exitOK {
		t.Fatal(stderr)
	}
	token = strings.TrimSpace(token)
	for realm, want := range map[string]int{"a": 101, "b": 401} {
		for _, ask := range []struct{ query, header string }{{"", "Bearer " + token}, {"?access_token=" + token, ""}} {
			h := http.Header{}
			if ask.header != "" {
				h.Set("Authorization", ask.header)
			}
			ws, status, _ := dialSocket(t, *websocket.DefaultDialer, r.url()+"/realm/"+realm+"/ws"+ask.query, h)
			if ws != nil {
				ws.Close()
			}
			if status != want {
				t.Errorf("%s: %d, want %d", realm, status, want)
			}
		}
		ws := openSocket(t, r.url()+"/realm/"+realm+"/ws", nil, "/x")
		if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"auth","token":"`+token+`"}`)); err != nil {
			t.Fatal(err)
		}
		if want == 101 {
			hears(t, ws, `"authenticated"`)
		} else {
			hears(t, ws, `"unauthenticated"`)
		}
	}
}

func TestReload_changes_limits_and_rules_of_plain_WebSockets(t *testing.T) {
	r := serveReloadable(t, nil, reloadBase)
	ws := openSocket(t, r.url()+"/realm/default/ws", nil, "/x")
	if log := r.reload(reloadBase + "[realm.websocket]\nmax_sockets = 1\n[[realm.rule]]\nmatch = '/x'\nsubscribe = 'nobody'\n"); !strings.Contains(log, "subscriptions_ended=1") {
		t.Fatal(log)
	}
	hears(t, ws, `{"type":"unsubscribed","channels":["/x"],"code":"forbidden"`)
	_, status, err := dialSocket(t, *websocket.DefaultDialer, r.url()+"/realm/default/ws", nil)
	if status != http.StatusTooManyRequests {
		t.Error(status, err)
	}
	if log := r.reload(reloadBase + "[realm.websocket]\nmax_frame = 1\n"); !strings.Contains(log, "restart it for realm.websocket.max_frame") {
		t.Error(log)
	}
}
