package httppub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"waft/broker"
)

const news = "channels/news/messages"

func TestMessages_have_the_publishers_text_and_all_that_is_known(t *testing.T) {
	l := openLibrary(t)
	at := l.publish(t, "/a/b", "it \"is\" <7>\u2028é", `{"n":1.0000000000000000001,"n":1e400,"s":"\u003c\ud83d\ude00"}`)
	w := l.get("channels/a:b/messages")
	p := readPage(t, w)
	if !strings.Contains(w.Body.String(), `"data":{"n":1.0000000000000000001,"n":1e400,"s":"\u003c\ud83d\ude00"},`) {
		t.Errorf("the text has changed: %s", w.Body)
	}
	m := p.Messages[0]
	if m.ID != "it \"is\" <7>\u2028é" || m.Channel != "/a/b" || m.Position != at.String() || m.Publisher != "bob" || m.Time.IsZero() || m.Time.Location().String() != "UTC" {
		t.Errorf("the message is %+v", m)
	}
	if p.Channel != "/a/b" || p.Position != at.String() || p.Next != "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the page is %+v, %v", p, w.Header())
	}
}

func TestMessages_without_data_and_publisher(t *testing.T) {
	m := &broker.Message{ID: "1", Channel: "/x", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage(`{}`)}, Position: broker.Position{Epoch: 1, Offset: 1}}
	want := `{"id":"1","channel":"/x","time":"0001-01-01T00:00:00Z","position":"1-1"}`
	if got := string(appendMessage(nil, m)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMessages_ranges(t *testing.T) {
	l := openLibrary(t)
	at := l.fill(t, "/news", 8)
	for _, c := range []struct{ query, ids, position, next string }{
		{"", "1 2 3 4 5 6 7 8", "8", ""},
		{"since=@5", "6 7 8", "8", ""},
		{"since=@8", "", "8", ""},
		{"since=0", "1 2 3 4 5 6 7 8", "8", ""},
		{"limit=3", "1 2 3", "3", "limit=3&since=@3"},
		{"limit=8", "1 2 3 4 5 6 7 8", "8", ""},
		{"since=@3&limit=2", "4 5", "5", "limit=2&since=@5"},
		{"since=0&limit=2", "1 2", "2", "limit=2&since=@2"},
		{"before=@3", "1 2", "2", ""},
		{"before=@1", "", "", ""},
		{"since=@2&before=@6&limit=2", "3 4", "4", "before=@6&limit=2&since=@4"},
		{"since=@4&before=@6&limit=2", "5", "5", ""},
		{"order=desc", "8 7 6 5 4 3 2 1", "8", ""},
		{"order=desc&limit=3", "8 7 6", "8", "before=@6&limit=3&order=desc"},
		{"order=desc&limit=3&before=@6", "5 4 3", "", "before=@3&limit=3&order=desc"},
		{"order=desc&limit=3&before=@3", "2 1", "", ""},
		{"order=desc&since=@5&limit=2", "8 7", "8", "before=@7&limit=2&order=desc&since=@5"},
		{"limit=999999999", "1 2 3 4 5 6 7 8", "8", ""},
	} {
		t.Run(c.query, func(t *testing.T) {
			fill := func(s string) string {
				for i := 8; i > 0; i-- {
					s = strings.ReplaceAll(s, fmt.Sprintf("@%d", i), at[i].String())
				}
				return s
			}
			w := l.get(news + "?" + fill(c.query))
			p := readPage(t, w)
			position, next, link := "", "", ""
			if c.position != "" {
				position = fill("@" + c.position)
			}
			if c.next != "" {
				next = "/realm/r/channels/news/messages?" + fill(c.next)
				link = "<" + next + `>; rel="next"`
			}
			if p.ids() != c.ids || p.Position != position || p.Next != next || w.Header().Get("Link") != link {
				t.Errorf("got %q, position %q, next %q, link %q", p.ids(), p.Position, p.Next, w.Header().Get("Link"))
			}
		})
	}
}

// walk follows the next links and gives the ids of all pages.
func (l *library) walk(t *testing.T, path string) string {
	t.Helper()
	var ids []string
	for pages := 0; path != ""; pages++ {
		if pages > 20 {
			t.Fatal("the pages have no end")
		}
		p := readPage(t, l.get(path))
		ids = append(ids, p.ids())
		path = strings.TrimPrefix(p.Next, "/realm/r/")
	}
	return strings.Join(ids, "|")
}

func TestMessages_pages_follow_one_another_in_both_orders(t *testing.T) {
	l := openLibrary(t)
	l.fill(t, "/news", 7)
	if err := l.broker.Remove(context.Background(), broker.Principal{Issuer: "r", Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/**"}}}, "/news", "4", false); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"limit=2": "1 2|3 5|6 7", "limit=4": "1 2 3 5|6 7", "limit=2&order=desc": "7 6|5 3|2 1", "limit=1&order=desc&since=0": "7|6|5|3|2|1",
	} {
		if got := l.walk(t, news+"/?"+query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	small := openLibrary(t, func(o *ReaderOptions) { o.Limits.MaxPageBytes = 2 * 300 })
	small.fill(t, "/news", 5)
	for query, want := range map[string]string{"": "1 2|3 4|5", "?order=desc": "5 4|3 2|1"} {
		if got := small.walk(t, news+query); got != want {
			t.Errorf("by bytes %s: %s, want %s", query, got, want)
		}
	}
}

func TestMessages_one_that_is_larger_than_a_page_comes_alone(t *testing.T) {
	l := openLibrary(t, func(o *ReaderOptions) { o.Limits.MaxPageBytes = 10 })
	l.fill(t, "/news", 2)
	if got := l.walk(t, news); got != "1|2" {
		t.Errorf("got %s", got)
	}
}

func TestMessages_what_is_lost_is_gone_and_never_silence(t *testing.T) {
	l := openLibrary(t)
	at := l.fill(t, "/news", 15) // 6 to 15 are kept
	other := openLibrary(t)
	foreign := other.fill(t, "/news", 15)
	for _, c := range []struct {
		name, query string
		status      int
	}{
		{"the last that nothing is missing after", "since=" + at[5].String(), http.StatusOK},
		{"one before it", "since=" + at[4].String(), http.StatusGone},
		{"the very first", "since=0", http.StatusGone},
		{"of another epoch", "since=" + foreign[9].String(), http.StatusGone},
		{"not yet given out", "since=" + broker.Position{Epoch: at[1].Epoch, Offset: 16}.String(), http.StatusGone},
		{"before one of another epoch", "before=" + foreign[9].String(), http.StatusGone},
		{"to wait behind it", "wait=5&since=" + at[4].String(), http.StatusGone},
		{"to wait from the very first", "wait=5&since=0", http.StatusGone},
	} {
		w := l.get(news+"?"+c.query, wantsJSON)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if c.status == http.StatusGone && (!strings.Contains(w.Body.String(), `"code":"history_lost"`) || w.Header().Get("Cache-Control") != "no-store") {
			t.Errorf("%s: %s, %v", c.name, w.Body, w.Header())
		}
	}
	if w := l.get("channels/never/messages?since=" + at[5].String()); w.Code != http.StatusGone {
		t.Errorf("a channel nobody knows: %d", w.Code)
	}
}

func TestMessages_of_a_channel_nobody_published_to(t *testing.T) {
	l := openLibrary(t)
	p := readPage(t, l.get(news))
	if p.ids() != "" || p.Position != "0" {
		t.Fatalf("%+v", p)
	}
	l.fill(t, "/news", 3)
	if p = readPage(t, l.get(news+"?since="+p.Position)); p.ids() != "1 2 3" {
		t.Errorf("%+v", p)
	}
	// Who has seen nothing of what is gone by now is told, where who comes for the first time gets what there is.
	l.fill(t, "/news", 10)
	if w := l.get(news + "?since=0"); w.Code != http.StatusGone {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if p := readPage(t, l.get(news)); len(p.Messages) != 10 {
		t.Errorf("%+v", p)
	}
}

func TestMessages_caches(t *testing.T) {
	l := openLibrary(t)
	at := l.fill(t, "/news", 5)
	l.fill(t, "/secret/news", 5)
	for _, c := range []struct{ query, want string }{
		{"", "public, no-cache"},
		{"?since=" + at[2].String(), "public, no-cache"},
		{"?limit=2", "public, no-cache"}, // the oldest that are kept: others tomorrow
		{"?limit=2&since=" + at[1].String(), "public, max-age=60"},
		{"?limit=2&since=0", "public, max-age=60"},
		{"?order=desc&limit=2", "public, no-cache"},
		{"?order=desc&limit=2&before=" + at[4].String(), "public, max-age=60"},
		{"?since=" + at[1].String() + "&before=" + at[4].String(), "public, max-age=60"},
		{"?wait=0", "public, no-cache"},
		{"?wait=1", "no-store"},
	} {
		w := l.get(news + c.query)
		if got := w.Header().Get("Cache-Control"); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
		if tag := w.Header().Get("ETag"); (tag == "") != (c.want == "no-store") || strings.HasPrefix(tag, "W/") {
			t.Errorf("%s: the tag is %s", c.query, tag)
		}
	}
	w := l.get("channels/secret:news/messages", token("read"))
	if w.Header().Get("Cache-Control") != "private, no-cache" || w.Header().Get("Vary") != "Authorization" {
		t.Errorf("what takes a token: %v", w.Header())
	}
	if w := l.get(news, token("read")); w.Header().Get("Cache-Control") != "public, no-cache" {
		t.Errorf("what takes none, with one: %v", w.Header())
	}
	off := openLibrary(t, func(o *ReaderOptions) { o.Limits.PageAge = -1 })
	at = off.fill(t, "/news", 5)
	if w := off.get(news + "?limit=2&since=" + at[1].String()); w.Header().Get("Cache-Control") != "public, no-cache" {
		t.Errorf("with a negative age: %v", w.Header())
	}
}

func TestMessages_are_not_sent_again_to_who_has_them(t *testing.T) {
	l := openLibrary(t)
	l.fill(t, "/news", 3)
	tag := l.get(news).Header().Get("ETag")
	for _, c := range []struct {
		have   string
		status int
	}{
		{tag, 304},
		{"W/" + tag, 304},
		{`"x", ` + tag + ` , "y"`, 304},
		{"*", 304},
		{`"x"`, 200},
		{strings.Trim(tag, `"`), 200},
		{"", 200},
	} {
		w := l.get(news, header("If-None-Match", c.have))
		if w.Code != c.status || (w.Code == 304) != (w.Body.Len() == 0) || w.Header().Get("ETag") != tag || w.Header().Get("Cache-Control") == "" {
			t.Errorf("%s: %d, %v", c.have, w.Code, w.Header())
		}
	}
	if w := l.do(http.MethodHead, news, header("If-None-Match", tag)); w.Code != 304 {
		t.Errorf("HEAD: %d", w.Code)
	}
	l.publish(t, "/news", "4", "4")
	if w := l.get(news, header("If-None-Match", tag)); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after a fourth message: %d, %v", w.Code, w.Header())
	}
	if s := l.Stats(); s.Unchanged != 5 || s.Refused[broker.Invalid] != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestMessages_head_is_that_of_the_body(t *testing.T) {
	l := openLibrary(t)
	l.fill(t, "/news", 3)
	got, head := l.get(news+"?limit=1"), l.do(http.MethodHead, news+"?limit=1")
	if head.Body.Len() != 0 || head.Code != 200 {
		t.Errorf("HEAD: %d %q", head.Code, head.Body)
	}
	for _, name := range []string{"Content-Length", "ETag", "Link", "Content-Type", "Cache-Control"} {
		if a, b := got.Header().Get(name), head.Header().Get(name); a != b || a == "" {
			t.Errorf("%s is %q, of HEAD %q", name, a, b)
		}
	}
}

func TestMessages_delete(t *testing.T) {
	l := openLibrary(t)
	const odd = "a/b messages é"
	l.publish(t, "/news", odd, "1")
	l.publish(t, "/news", "messages", "2")
	s, err := l.broker.Open(broker.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Subscribe(t.Context(), broker.Principal{}, "/news", broker.SubscribeOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id, token string
		status    int
	}{
		{odd, "", 401},
		{odd, "read+manage", 403},
		{odd, "publish", 204},
		{odd, "publish", 404},
		{"messages", "publish", 204},
		{strings.Repeat("x", 5000), "publish", 404},
	} {
		path := news + "/" + url.PathEscape(c.id)
		w := l.do(http.MethodDelete, path, func(r *http.Request) {
			if c.token != "" {
				token(c.token)(r)
			}
		})
		if w.Code != c.status || w.Code == 204 && w.Body.Len() > 0 {
			t.Errorf("%.20s with %q: %d %s", c.id, c.token, w.Code, w.Body)
		}
	}
	if got := s.Drain(nil); len(got) != 2 || !got[0].Message.Retracted || got[0].Message.ID != odd {
		t.Errorf("the subscriber was told %v", got)
	}
	if p := readPage(t, l.get(news)); p.ids() != "" || p.Position == "0" {
		t.Errorf("left is %+v", p)
	}
}
