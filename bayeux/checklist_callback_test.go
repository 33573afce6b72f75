package bayeux

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// 8.2 JSONP and static files.
var callbackRows = []row{
	{17, "callback", func(t *testing.T) {
		s := newServer(t)
		res := s.get("?message="+url.QueryEscape("["+handshakeMessage+"]")+"&jsonp=__jsonp1__", nil)
		equal(t, "status", res.status, 200)
		ok(t, parseReply(t, evaluate(t, res.body, "__jsonp1__")).with(t, `"h"`))
		equal(t, "Content-Type", res.header.Get("Content-Type"), "text/javascript; charset=utf-8")
		equal(t, "Cache-Control", res.header.Get("Cache-Control"), "no-cache, no-store")
		equal(t, "X-Content-Type-Options", res.header.Get("X-Content-Type-Options"), "nosniff")
		equal(t, "Content-Disposition", res.header.Get("Content-Disposition"), "attachment; filename=f.txt")
	}},
	{18, "names_that_clients_use", func(t *testing.T) {
		s := newServer(t)
		for _, name := range []string{"_cometd_jsonp_0", "jQuery19_17", "a.b.c", "$x", strings.Repeat("a", 100)} {
			ok(t, s.callAs(name, handshakeMessage).with(t, `"h"`))
		}
	}},
	{19, "other_names_are_refused_and_not_repeated", func(t *testing.T) {
		s := newServer(t)
		for _, name := range []string{"alert(1)", "<script>", "a[0]", "a..b", "1a", "a-b", strings.Repeat("a", 500), "a\n"} {
			res := s.get("?message="+url.QueryEscape(handshakeMessage)+"&jsonp="+url.QueryEscape(name), nil)
			equal(t, name, res.status, 400)
			if strings.Contains(res.body, name) || !strings.HasPrefix(res.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s: %v %s", name, res.header, res.body)
			}
		}
		equal(t, "sessions", s.h.Stats().Sessions, 0)
	}},
	{20, "default_name_and_switch", func(t *testing.T) {
		query := "?message=" + url.QueryEscape(handshakeMessage)
		s := newServer(t)
		for _, rest := range []string{"", "&jsonp="} {
			ok(t, parseReply(t, evaluate(t, s.get(query+rest, nil).body, "jsonpcallback")).with(t, `"h"`))
		}
		off := newServer(t, func(o *Options, _ *broker.Options) { o.NoJSONP = true })
		equal(t, "status", off.get(query, nil).status, 403)
		m := off.post(handshakeMessage).with(t, `"h"`)
		ok(t, m)
		equal(t, "types", m.Get("supportedConnectionTypes").Raw, `["websocket","eventsource","long-polling","cross-origin-long-polling"]`)
		fails(t, off.post(strings.Replace(handshakeMessage, `["websocket","long-polling"]`, `["callback-polling"]`, 1)).with(t, `"h"`), "301")
		connect := msg("/meta/connect", m.Get("clientId").Str, `"1"`, `"connectionType":"callback-polling"`)
		fails(t, off.post(connect).with(t, `"1"`), "301:callback-polling")
	}},
	{21, "data_evaluates_to_what_was_published", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		const data = "{\"text\":\"a\u2028b\u2029c</script>\",\"__proto__\":1,\"__proto__\":2}"
		s.event("/a", data)
		got := s.call(connectNow(id, `"1"`)).events()[0] // evaluate has looked for what must not be there
		equal(t, "text", gjson.Get(got, "text").Str, gjson.Get(data, "text").Str)
		equal(t, "members", strings.Count(got, `"__proto__"`), 2)
	}},
	{22, "spaces_as_plus_and_as_percent_20", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		for _, space := range []string{"+", "%20"} {
			query := strings.ReplaceAll(url.PathEscape(publish(id, "", "/a", `"b c"`)), "%20", space)
			s.get("?jsonp=f&message="+query, nil)
		}
		equal(t, "events", strings.Join(s.call(connectNow(id, `"1"`)).events(), ","), `"b c","b c"`)
	}},
	{23, "held_connect", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *server) {
			id := s.connected(`"/a"`)
			hold := msg("/meta/connect", id, `"1"`, `"connectionType":"callback-polling"`)
			again := msg("/meta/connect", id, `"2"`, `"connectionType":"callback-polling"`)
			answer := make(chan messages)
			go func() { answer <- s.call(hold) }()
			synctest.Wait()
			equal(t, "held", s.h.Stats().Polls, 1)
			heldFor(t, 0, func() {
				s.event("/a", "1")
				ms := <-answer
				equal(t, "events", strings.Join(ms.events(), ","), "1")
				ok(t, ms.with(t, `"1"`))
				equal(t, "last", ms[len(ms)-1].Get("channel").Str, "/meta/connect")
			})
			heldFor(t, holdTime, func() { ok(t, s.call(again).with(t, `"2"`)) })
		})
	}},
	{17, "long_queries_up_to_the_limit", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.MaxBody = 10 << 10 })
		id := s.connected(`"/a"`)
		query := "?message=" + url.QueryEscape(publish(id, `"1"`, "/a", `"`+strings.Repeat("x", 8<<10)+`"`))
		equal(t, "8 KiB", s.get(query, nil).status, 200)
		equal(t, "above the limit", s.get(query+"&x="+strings.Repeat("x", 2<<10), nil).status, 414)
		equal(t, "refused", s.h.Stats().Refused[RefusedTooLarge], 1)
	}},
	{17, "several_fields_and_none", func(t *testing.T) {
		s := newServer(t)
		id := s.connected(`"/a"`)
		two := url.Values{"message": {publish(id, `"1"`, "/a", "1"), "[" + publish(id, `"2"`, "/a", "2") + "]"}}
		equal(t, "replies", len(parseReply(t, evaluate(t, s.get("?"+two.Encode(), nil).body, "jsonpcallback"))), 2)
		for _, query := range []string{"?jsonp=f", "?message=", "?message=7", "?message=%zz", "?message=[];a", "?x=1"} {
			equal(t, query, s.get(query, nil).status, 400)
		}
	}},
	// A page cannot make the visitor's browser do by a script element what it may not do by a POST.
	{16, "scripts_of_other_pages_are_refused", func(t *testing.T) {
		query := "?message=" + url.QueryEscape(handshakeMessage)
		browser := map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
		from := func(site, referer string) map[string]string {
			h := maps.Clone(browser)
			if site != "" {
				h["Sec-Fetch-Site"] = site
			}
			if referer != "" {
				h["Referer"] = referer
			}
			return h
		}
		s := newServer(t)
		own := strings.TrimSuffix(s.url, "/bayeux")
		refused := uint64(0)
		for _, c := range []struct {
			name   string
			header map[string]string
			want   int
		}{
			{"no browser", nil, 200},
			{"listed page", from("cross-site", page+"/chat?x=1"), 200},
			{"listed page of the same site", from("same-site", page+"/"), 200},
			{"own page", from("same-origin", ""), 200},
			{"typed by the user", from("none", ""), 200},
			{"other page", from("cross-site", "https://evil.test/"), 403},
			{"other page that does not say so", from("cross-site", ""), 403},
			{"other page of the same site", from("same-site", "https://other.app.test/"), 403},
			{"listed name as a user's", from("cross-site", "https://app.test@evil.test/"), 403},
			{"listed name as a path", from("cross-site", "https://evil.test/https://app.test/"), 403},
			{"other scheme", from("cross-site", "http://app.test/"), 403},
			{"no address", from("cross-site", "about:blank"), 403},
			{"plain HTTP: listed page", from("", page+"/"), 200},
			{"plain HTTP: own page", from("", own+"/"), 200},
			{"plain HTTP: other page", from("", "http://evil.test/"), 403},
			{"plain HTTP: page that does not say", browser, 403},
			{"no browser, with a referer", map[string]string{"Referer": "http://evil.test/"}, 403},
			{"origin of a listed page", map[string]string{"Origin": page, "Sec-Fetch-Site": "cross-site"}, 200},
			{"origin of another page", map[string]string{"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site", "Referer": page}, 403},
		} {
			equal(t, c.name, s.get(query, c.header).status, c.want)
			if c.want == 403 {
				refused++
			}
		}
		equal(t, "refused", s.h.Stats().Refused[RefusedOrigin], refused)
		equal(t, "a POST that hides its page", s.status(request{body: handshakeMessage, header: from("cross-site", "")}), 403)
		equal(t, "a POST of no browser", s.status(request{body: handshakeMessage, header: map[string]string{"Referer": "http://evil.test/"}}), 200)

		open := newServer(t, func(o *Options, _ *broker.Options) { o.Origins = []string{"*"} })
		equal(t, "all pages are listed", open.get(query, from("cross-site", "")).status, 200)
	}},
	{14, "preflight_of_further_headers", func(t *testing.T) {
		s := newServer(t, func(o *Options, _ *broker.Options) { o.AllowHeaders = []string{"X-Tenant", "traceparent"} })
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.url+"/connect", nil)
		req.Header.Set("Origin", page)
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		equal(t, "allowed", res.Header.Get("Access-Control-Allow-Headers"), clientHeaders+", X-Tenant, traceparent")
		equal(t, "Max-Age", res.Header.Get("Access-Control-Max-Age"), "86400")
	}},
	{24, "client_script", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "faye.js")
		if err := os.WriteFile(file, []byte("var Faye;"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := newServer(t, func(o *Options, _ *broker.Options) { o.ClientScript = file })
		for _, path := range []string{"/client.js", ".js"} {
			res := s.get(path, map[string]string{"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"})
			equal(t, "status", res.status, 200)
			equal(t, "text", res.body, "var Faye;")
			equal(t, "Content-Type", res.header.Get("Content-Type"), "text/javascript; charset=utf-8")
			equal(t, "Allow-Origin", res.header.Get("Access-Control-Allow-Origin"), "*")
			tag := res.header.Get("ETag")
			equal(t, "a quoted tag", len(tag) > 10 && tag[0] == '"', true)
			again := s.get(path, map[string]string{"If-None-Match": tag})
			equal(t, "status", again.status, 304)
			equal(t, "text", again.body, "")
			equal(t, "another tag", s.get(path, map[string]string{"If-None-Match": `"x"`}).status, 200)
		}
		for _, path := range []string{"/nope.js", "/../x.js", "/client.js.map"} {
			equal(t, path, s.get(path, nil).status, 404)
		}
	}},
	{24, "no_client_script_is_a_clear_404", func(t *testing.T) {
		s := newServer(t)
		for _, path := range []string{"/client.js", ".js"} {
			res := s.get(path, nil)
			equal(t, "status", res.status, 404)
			equal(t, "what it says", strings.Contains(res.body, "no copy of the client script"), true)
		}
	}},
}

// get sends a GET. In path is the query too; "/.." stays as it is.
func (s *server) get(path string, header map[string]string) response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.answer(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *server) status(r request) int {
	s.t.Helper()
	res, err := s.do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.status
}

// call sends a body as a callback-polling client does.
func (s *server) call(body string) messages {
	s.t.Helper()
	return s.callAs("__jsonp1__", body)
}

func (s *server) callAs(callback, body string) messages {
	s.t.Helper()
	res := s.get("?"+url.Values{"message": {body}, "jsonp": {callback}}.Encode(), nil)
	if res.status != http.StatusOK {
		s.t.Fatalf("status %d: %s", res.status, res.body)
	}
	return parseReply(s.t, evaluate(s.t, res.body, callback))
}
