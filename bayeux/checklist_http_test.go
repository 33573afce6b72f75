package bayeux

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"waft/broker"
)

// 8.1 HTTP envelope, and the part of 8.2 that is about CORS.
var httpRows = []row{
	{1, "content_types_and_chunks", func(t *testing.T) {
		s := newServer(t)
		for _, r := range []request{
			{contentType: "application/json"},
			{contentType: "application/json;charset=UTF-8"},
			{contentType: "APPLICATION/JSON"},
			{contentType: "none"},
			{chunked: true},
			{contentType: "text/json"},
		} {
			r.body = "[" + handshakeMessage + "]"
			res, err := s.do(r)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "status", res.status, 200)
			equal(t, "replies", len(parseReply(t, res.body)), 1)
			if !strings.HasPrefix(res.header.Get("Content-Type"), "application/json") {
				t.Error("content type", res.header.Get("Content-Type"))
			}
		}
	}},
	{2, "single_object_is_processed", func(t *testing.T) {
		ok(t, newServer(t).post(handshakeMessage).with(t, `"h"`))
	}},
	{3, "form_with_one_or_two_message_fields", func(t *testing.T) {
		s := newServer(t)
		const form = "application/x-www-form-urlencoded"
		ok(t, s.send(request{contentType: form, body: "message=" + url.QueryEscape("["+handshakeMessage+"]")}).with(t, `"h"`))
		id := s.connected()
		two := url.Values{"message": {
			subscribe(id, `"1"`, `"/a"`), "[" + publish(id, `"2"`, "/a", "1") + "," + publish(id, `"3"`, "/a", "2") + "]",
		}}
		ms := s.send(request{contentType: form, body: two.Encode()})
		equal(t, "order of replies", ms[0].Get("id").Str+ms[1].Get("id").Str+ms[2].Get("id").Str, "123")
		equal(t, "events", strings.Join(s.post(connect(id, `"c"`)).events(), ","), "1,2")
	}},
	{4, "text_plain_form", func(t *testing.T) {
		r := request{contentType: "text/plain;charset=UTF-8", body: "message=" + url.QueryEscape("["+handshakeMessage+"]")}
		ok(t, newServer(t).send(r).with(t, `"h"`))
	}},
	{5, "sub_paths_without_redirect", func(t *testing.T) {
		s := newServer(t)
		s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, path := range []string{"", "/", "/handshake", "/connect", "/disconnect", "/subscribe", "/a/b"} {
			ok(t, s.send(request{path: path, body: "[" + handshakeMessage + "]"}).with(t, `"h"`))
		}
	}},
	{6, "bad_bodies_and_methods_leave_the_connection_usable", func(t *testing.T) {
		s := newServer(t)
		reused := 0
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			if c.Reused {
				reused++
			}
		}})
		check := func(what, body string, status int, want ...int) {
			t.Helper()
			if !slices.Contains(want, status) {
				t.Errorf("%s: status %d, want %v", what, status, want)
			}
			if len(body) > 200 || strings.Contains(body, ".go:") {
				t.Errorf("%s: too much is said: %s", what, body)
			}
		}
		bodies := []string{"{bad", "42", `"x"`, "", "[" + handshakeMessage, "\xff[]"}
		for _, body := range bodies {
			res, err := s.do(request{body: body, ctx: ctx})
			if err != nil {
				t.Fatal(err)
			}
			check(body, res.body, res.status, 400)
		}
		res, err := s.do(request{body: "other=1", contentType: "application/x-www-form-urlencoded", ctx: ctx})
		if err != nil {
			t.Fatal(err)
		}
		check("form without message", res.body, res.status, 400)
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodGet, "PROPFIND"} {
			req, _ := http.NewRequestWithContext(ctx, method, s.url, nil)
			res, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			check(method, string(body), res.StatusCode, 400, 405)
		}
		equal(t, "requests on the first connection", reused, len(bodies)+4)
	}},
	{7, "empty_and_nested_arrays", func(t *testing.T) {
		s := newServer(t)
		for _, body := range []string{"[]", "null", "[null]", " [ ] "} {
			equal(t, body, len(s.post(body)), 0)
		}
		id := s.handshake()
		ms := s.post("[" + publish(id, `"1"`, "/a", "1") + ",[" + publish(id, `"2"`, "/a", "1") + "],7," + publish(id, `"3"`, "/a", "1") + "]")
		ok(t, ms.with(t, `"1"`))
		ok(t, ms.with(t, `"3"`))
		equal(t, "replies", len(ms), 4)
	}},
	{8, "reply_headers", func(t *testing.T) {
		res, err := newServer(t).do(request{body: "[" + handshakeMessage + "]"})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "Cache-Control", res.header.Get("Cache-Control"), "no-cache, no-store")
		equal(t, "X-Content-Type-Options", res.header.Get("X-Content-Type-Options"), "nosniff")
		equal(t, "Set-Cookie", res.header.Get("Set-Cookie"), "")
	}},
	{9, "errors_keep_to_the_grammar", func(t *testing.T) {
		s := newServer(t)
		id := s.handshake()
		fails(t, s.post(`[{"id":"1"}]`).with(t, `"1"`), "402:channel:Missing required parameter")
		for _, name := range []string{`/a: \"b\"`, `/#ü`, `/a\nb`, `:::`, `/a,b`, `\u0000`} {
			fails(t, s.post("["+subscribe(id, `"1"`, `"`+name+`"`)+"]").with(t, `"1"`), "405")
			fails(t, s.post(`[{"channel":"`+name+`","id":"1","data":1}]`).with(t, `"1"`), "405")
			fails(t, s.post(`[{"channel":"/meta/connect","clientId":"`+name+`","id":"1"}]`).with(t, `"1"`), "401")
			fails(t, s.post(`[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["`+name+`"],"id":"1"}]`).with(t, `"1"`), "301")
		}
	}},
	{10, "ids_are_echoed_in_their_own_type", func(t *testing.T) {
		s := newServer(t)
		id := s.handshake()
		for _, raw := range []string{`"a1"`, `7`, `0`, `""`, `"\u00e9 \"x\""`, `1.50`, ``} {
			m := s.post("[" + publish(id, raw, "/a", "1") + "]")[0]
			equal(t, "id", m.Get("id").Raw, raw)
			equal(t, "there is one", m.Get("id").Exists(), raw != "")
		}
		equal(t, "a null id", s.post(`[` + publish(id, `null`, "/a", "1") + `]`)[0].Get("id").Exists(), false)
	}},
	{11, "no_advice_on_other_replies", func(t *testing.T) {
		s := newServer(t)
		id := s.connected()
		for _, body := range []string{
			subscribe(id, `"1"`, `"/a"`), subscribe(id, `"1"`, `"a"`), subscribe("nobody", `"1"`, `"/a"`),
			msg("/meta/unsubscribe", id, `"1"`, `"subscription":"/a"`), msg("/meta/unsubscribe", "nobody", `"1"`, `"subscription":"/a"`),
			publish(id, `"1"`, "/a", "1"), publish("nobody", `"1"`, "/a", "1"), publish(id, `"1"`, "/a b", "1"),
			msg("/meta/disconnect", "nobody", `"1"`, ""), msg("/meta/disconnect", id, `"1"`, ""),
		} {
			if m := s.post("["+body+"]").with(t, `"1"`); m.Get("advice").Exists() {
				t.Errorf("advice in %s", m.Raw)
			}
		}
	}},
	{12, "advice_on_handshake_and_connect_replies", func(t *testing.T) {
		s := newServer(t)
		id := s.handshake()
		for _, body := range []string{
			handshakeMessage, `{"channel":"/meta/handshake"}`, connect(id, `"1"`), connect("nobody", `"1"`), connect("", `"1"`),
			msg("/meta/connect", id, `"1"`, ""),
		} {
			// parseReply has looked at the numbers.
			if m := s.post("[" + body + "]")[0]; !m.Get("advice.reconnect").Exists() {
				t.Errorf("no advice in %s", m.Raw)
			}
		}
	}},
	{13, "long_holds_idle_connections_and_pipelining", func(t *testing.T) {
		minute := func(o *Options, _ *broker.Options) { o.Timeout = time.Minute }
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected()
			start := time.Now()
			ok(t, s.post("["+connect(id, `"1"`)+"]").with(t, `"1"`))
			if held := time.Since(start); held < time.Minute {
				t.Errorf("held for %v", held)
			}
			// The connection stays usable while nothing happens on it for long.
			time.Sleep(20 * time.Second)
			reused := false
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
			s.handshakeOn(ctx)
			equal(t, "connection reused", reused, true)
			time.Sleep(20 * time.Second)
			other, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(s.url, "/bayeux", "/other", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := s.client.Do(other)
			if err != nil {
				t.Fatal("another handler's response on the same connection:", err)
			}
			res.Body.Close()
			equal(t, "connection reused", reused, true)

			// Of two pipelined requests HTTP/1.1 answers the second after the first: after the held time, not never.
			id = s.connected()
			nc, r := s.rawConn()
			go writeAll(t, nc, append(rawPost("["+connect(id, `"1"`)+"]"), rawPost("["+publish(id, `"2"`, "/a", "1")+"]")...))
			for _, want := range []string{`"1"`, `"2"`} {
				ok(t, readResponse(t, r).with(t, want))
			}
		}, minute)
	}},
	{14, "preflight", func(t *testing.T) {
		s := newServer(t)
		for _, path := range []string{"", "/handshake", "/connect", "/"} {
			req, _ := http.NewRequest(http.MethodOptions, s.url+path, nil)
			req.Header.Set("Origin", page)
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "pragma")
			res, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			equal(t, "status", res.StatusCode/100, 2)
			checkCORS(t, res.Header)
			if !strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "POST") {
				t.Error("methods", res.Header.Get("Access-Control-Allow-Methods"))
			}
			for _, name := range []string{"Pragma", "Content-Type", "Authorization", "X-Requested-With", "Accept"} {
				if !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), name) {
					t.Errorf("%s is not allowed", name)
				}
			}
		}
	}},
	{15, "allowed_origin_is_echoed", func(t *testing.T) {
		res, err := newServer(t).do(request{body: "[" + handshakeMessage + "]", header: map[string]string{"Origin": page}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "status", res.status, 200)
		checkCORS(t, res.header)
	}},
	{16, "other_origins_are_refused", func(t *testing.T) {
		s := newServer(t)
		const evil = "https://evil.test"
		res, err := s.do(request{body: "[" + handshakeMessage + "]", header: map[string]string{"Origin": evil}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "POST", res.status, 403)
		equal(t, "Allow-Origin", res.header.Get("Access-Control-Allow-Origin"), "")
		req, _ := http.NewRequest(http.MethodOptions, s.url, nil)
		req.Header.Set("Origin", evil)
		preflight, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		preflight.Body.Close()
		equal(t, "preflight's Allow-Origin", preflight.Header.Get("Access-Control-Allow-Origin"), "")
		_, up, err := s.upgrade("", http.Header{"Origin": {evil}})
		if err == nil || up.status != 403 {
			t.Errorf("upgrade: %v %v", err, up)
		}
		equal(t, "refused", s.h.Stats().Refused[RefusedOrigin], 3)
		equal(t, "sessions", s.h.Stats().Sessions, 0)

		for _, origin := range []string{page, "HTTPS://APP.TEST", strings.TrimSuffix(s.url, "/bayeux")} { // the last is the server's own
			if _, _, err := s.upgrade("", http.Header{"Origin": {origin}}); err != nil {
				t.Errorf("upgrade from %s: %v", origin, err)
			}
		}
	}},
}

func checkCORS(t *testing.T, h http.Header) {
	t.Helper()
	equal(t, "Allow-Origin", h.Get("Access-Control-Allow-Origin"), page)
	equal(t, "Allow-Credentials", h.Get("Access-Control-Allow-Credentials"), "true")
	equal(t, "Vary", h.Get("Vary"), "Origin")
}

func (s *server) handshakeOn(ctx context.Context) {
	s.t.Helper()
	if _, err := s.do(request{body: "[" + handshakeMessage + "]", ctx: ctx}); err != nil {
		s.t.Fatal(err)
	}
}

func readResponse(t *testing.T, r *bufio.Reader) messages {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return parseReply(t, string(body))
}
