package httppub

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waft/broker"
)

func TestResource(t *testing.T) {
	for _, c := range []struct {
		path  string
		want  resource // without base
		fault string   // a part of the error; "": none
	}{
		{path: "channels", want: resource{kind: channelList}},
		{path: "channels/", want: resource{kind: channelList}},
		{path: "channels/news", want: resource{kind: oneChannel, channel: "/news"}},
		{path: "channels/news/", want: resource{kind: oneChannel, channel: "/news"}},
		{path: "channels/chat%2F42/", want: resource{kind: oneChannel, channel: "/chat/42"}},
		{path: "channels/chat%2f42", want: resource{kind: oneChannel, channel: "/chat/42"}},
		{path: "channels/%2Fchat%2F42", want: resource{kind: oneChannel, channel: "/chat/42"}},
		{path: "channels/chat:42", want: resource{kind: oneChannel, channel: "/chat/42"}},
		{path: "channels/:chat%3A42", want: resource{kind: oneChannel, channel: "/chat/42"}},
		{path: "channels/news/messages", want: resource{kind: messageList, channel: "/news"}},
		{path: "channels/news/messages/", want: resource{kind: messageList, channel: "/news"}},
		{path: "channels/messages", want: resource{kind: oneChannel, channel: "/messages"}},
		{path: "channels/messages/messages", want: resource{kind: messageList, channel: "/messages"}},
		{path: "channels/news:messages", want: resource{kind: oneChannel, channel: "/news/messages"}},
		{path: "channels/news:messages/messages", want: resource{kind: messageList, channel: "/news/messages"}},
		{path: "channels/news/messages/7", want: resource{kind: oneMessage, channel: "/news", name: "7"}},
		{path: "channels/news/messages/messages", want: resource{kind: oneMessage, channel: "/news", name: "messages"}},
		{path: "channels/news/messages/a%2Fb%20%C3%A9:", want: resource{kind: oneMessage, channel: "/news", name: "a/b é:"}},
		{path: "sessions/", want: resource{kind: sessionList}},
		{path: "sessions/bayeux-7", want: resource{kind: oneSession, name: "bayeux-7"}},
		{path: "usage", want: resource{kind: usage}},
		{path: "usage/", want: resource{kind: usage}},

		{path: "channels/chat/42/messages", fault: `write its slashes as %2F or as a colon`},
		{path: "channels/chat/42", fault: `write its slashes as %2F or as a colon`},
		{path: "channels/news/messages/7/8", fault: `write its slashes as %2F or as a colon`},
		{path: "channels//messages", fault: "the channel in the address is empty"},
		{path: "channels//", fault: "the channel in the address is empty"},
		{path: "channels/news/messages//", fault: "the id in the address is empty"},
		{path: "channels/a::b", fault: `channel "/a//b" has an empty segment`},
		{path: "channels/a:", fault: `channel "/a/" ends with a slash`},
		{path: "channels/../usage", fault: "write its slashes"},
		{path: "channels/%2E%2E", fault: `has "." at byte 1`},
		{path: "channels/a%252Fb", fault: `has "%" at byte 2`},
		{path: "channels/%zz", fault: `invalid URL escape "%zz"`},
		{path: "channels/*", fault: `has "*" at byte 1`},
		{path: "channels/a%00", fault: `has "\x00" at byte 2`},
		{path: "channels/meta:connect/messages", fault: "/meta/connect belongs to Bayeux"},
		{path: "channels/service", fault: "/service belongs to Bayeux"},
		{path: "channels/" + strings.Repeat("x", 600), fault: "more than the limit of 512"},
		{path: "sessions/a/b", fault: "there is nothing at"},
		{path: "sessions/%", fault: "invalid URL escape"},
		{path: "usage/x", fault: "there is nothing at"},
		{path: "channelss", fault: "there is nothing at"},
		{path: "", fault: "there is nothing at"},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, err := parseResource("/realm/r/" + c.path)
			switch {
			case c.fault == "" && err != nil:
				t.Fatal(err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Fatalf("the error is %v and should have %q", err, c.fault)
			}
			if got.base = ""; err == nil && got != c.want {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

// Every channel and every id has an address of its own, however like the words of an address they are.
func TestResource_names_every_channel_and_every_item(t *testing.T) {
	segment := rapid.OneOf(rapid.SampledFrom([]string{"messages", "channels", "sessions", "usage", "realm"}), rapid.StringMatching(`[A-Za-z0-9_!~()$@-]{1,5}`))
	rapid.Check(t, func(t *rapid.T) {
		channel := broker.Channel("/" + strings.Join(rapid.SliceOfN(segment, 1, 5).Draw(t, "segments"), "/"))
		id := rapid.StringN(1, 20, 100).Draw(t, "id")
		for _, spelling := range []string{
			url.PathEscape(string(channel)), url.PathEscape(string(channel[1:])), strings.ReplaceAll(string(channel[1:]), "/", ":"),
		} {
			for suffix, want := range map[string]resource{
				"":                                {kind: oneChannel},
				"/messages":                       {kind: messageList},
				"/messages/" + url.PathEscape(id): {kind: oneMessage, name: id},
			} {
				got, err := parseResource("/realm/r/channels/" + spelling + suffix)
				want.channel, got.base = channel, ""
				if channel.Reserved() {
					continue
				}
				if err != nil || got != want {
					t.Fatalf("%s%s is read as %+v (%v), want %+v", spelling, suffix, got, err, want)
				}
			}
		}
	})
}

func TestReads(t *testing.T) {
	for path, want := range map[string]string{
		"/realm/a/channels/x/messages": "a", "/realm/a/channels": "a", "/realm/a/sessions/": "a", "/realm/a/usage": "a",
		"/realm/a/nothing": "", "/realm/a/publish/": "", "/realm//usage": "", "/usage": "", "/": "", "/realm/a": "", "/realm/a/": "", "/realm/a/usages": "",
	} {
		realm, ok := Reads(httptest.NewRequest(http.MethodGet, path, nil))
		if realm != want || ok != (want != "") {
			t.Errorf("%s is of realm %q (%v), want %q", path, realm, ok, want)
		}
	}
}

func FuzzResource(f *testing.F) {
	for _, s := range []string{"channels/a%2Fb/messages/7", "channels/a:b", "sessions/x-1", "usage/", "channels//", "channels/%"} {
		f.Add("/realm/r/" + s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		to, err := parseResource(path)
		if err != nil {
			if k := broker.KindOf(err); k != broker.Invalid && k != broker.NotFound && k != broker.Forbidden {
				t.Fatalf("%q: kind %v", path, k)
			}
			return
		}
		if to.channel != "" {
			if _, err := broker.ParseChannel(string(to.channel)); err != nil {
				t.Fatalf("%q gives the channel %q: %v", path, to.channel, err)
			}
		}
		if strings.HasSuffix(to.base, "/") {
			t.Fatalf("%q has the base %q", path, to.base)
		}
	})
}
