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

// TestPath reads addresses as they stand in the request line.
func TestPath(t *testing.T) {
	for _, c := range []struct {
		path    string
		channel broker.Channel // "": in the items
		fault   string         // a part of the error; "": none
	}{
		{path: "/realm/r/publish/"},
		{path: "/realm/r/publish"},
		{path: "/realm/r//publish/"},
		{path: "/realm/r//publish"},
		{path: "/realm/%72/publish/"},

		{path: "/realm/r/publish/news/", channel: "/news"},
		{path: "/realm/r/publish/news", channel: "/news"},
		{path: "/realm/r//publish/news/", channel: "/news"},
		{path: "/realm/r/publish/a%2Fb", channel: "/a/b"},
		{path: "/realm/r/publish/a%2fb/", channel: "/a/b"},
		{path: "/realm/r/publish/a/b/", channel: "/a/b"},
		{path: "/realm/r/publish/%2Fnews/", channel: "/news"},
		{path: "/realm/r/publish//news/", channel: "/news"}, // the channel "/news", unescaped
		{path: "/realm/r/publish/n%65ws/", channel: "/news"},
		{path: "/realm/r/publish/publish/", channel: "/publish"},
		{path: "/realm/r/publish/A-z_!~()$@/", channel: "/A-z_!~()$@"},

		{path: "/realm/r/publish/a//b/", fault: `channel "/a//b" has an empty segment at byte 3`},
		{path: "/realm/r/publish/a%2F%2Fb/", fault: `channel "/a//b" has an empty segment at byte 3`},
		{path: "/realm/r/publish/a//", fault: `channel "/a/" ends with a slash`},
		{path: "/realm/r/publish/a%2F/", fault: `channel "/a/" ends with a slash`},
		{path: "/realm/r/publish/a%2F", fault: `channel "/a/" ends with a slash`},
		{path: "/realm/r/publish//", fault: "the channel in the address is empty"},
		{path: "/realm/r/publish/%2F/", fault: `channel "/" ends with a slash`},
		{path: "/realm/r/publish/../", fault: `channel "/.." has "." at byte 1`},
		{path: "/realm/r/publish/a/../b/", fault: `has "." at byte 3`},
		{path: "/realm/r/publish/%2E%2E/", fault: `has "." at byte 1`},
		{path: "/realm/r/publish/./", fault: `has "." at byte 1`},
		{path: "/realm/r/publish/%zz/", fault: `invalid URL escape "%zz"`},
		{path: "/realm/r/publish/100%/", fault: `invalid URL escape "%"`},
		{path: "/realm/r/publish/a%252Fb/", fault: `has "%" at byte 2`}, // unescaped once only
		{path: "/realm/r/publish/a%25/", fault: `has "%" at byte 2`},
		{path: "/realm/r/publish/caf%C3%A9/", fault: `has 'é' at byte 4`},
		{path: "/realm/r/publish/%FF/", fault: `has "\xff" at byte 1`},
		{path: "/realm/r/publish/a%20b/", fault: `has " " at byte 2`},
		{path: "/realm/r/publish/%20/", fault: `has " " at byte 1`},
		{path: "/realm/r/publish/a+b/", fault: `has "+" at byte 2`},
		{path: "/realm/r/publish/+open/", fault: `has "+" at byte 1`},
		{path: "/realm/r/publish/a%00/", fault: `has "\x00" at byte 2`},
		{path: "/realm/r/publish/*/", fault: `has "*" at byte 1`},
		{path: "/realm/r/publish/" + strings.Repeat("x", 1000) + "/", fault: "the channel name has 1001 bytes, more than the limit of 512"},
		{path: "/realm/%zz/publish/", fault: "the realm in the address: invalid URL escape"},

		{path: "/", fault: "there is nothing at"},
		{path: "", fault: "there is nothing at"},
		{path: "/publish/", fault: "there is nothing at"},
		{path: "/realm/publish/", fault: "there is nothing at"},
		{path: "/realm//publish/", fault: "there is nothing at"},
		{path: "/realm/r/", fault: "there is nothing at"},
		{path: "/realm/r", fault: "there is nothing at"},
		{path: "/realm/r/publisher/", fault: "there is nothing at"},
		{path: "/realm/r/bayeux", fault: "there is nothing at"},
		{path: "/realm/r///publish/", fault: "there is nothing at"},
		{path: "/realm/r%2Fpublish/", fault: "there is nothing at"},
		{path: "/realm/r/Publish/", fault: "there is nothing at"},
		{path: "//realm/r/publish/", fault: "there is nothing at"},
		{path: "realm/r/publish/", fault: "there is nothing at"},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, err := parsePath(c.path)
			switch {
			case c.fault == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.fault == "" && (got.realm != "r" || got.channel != c.channel):
				t.Errorf("read as realm %q, channel %q; want r, %q", got.realm, got.channel, c.channel)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("the error is %v and should name: %s", err, c.fault)
			}
		})
	}
}

// TestPath_overTheWire makes sure that the server around us neither cleans nor decodes on the way in.
func TestPath_overTheWire(t *testing.T) {
	for _, c := range []struct {
		path   string
		status int
		part   string
		want   []string
	}{
		{"/realm/myrealm/publish/a%2Fb/?a=1", 200, "Published", []string{`/a/b 1`}},
		{"/realm/myrealm/publish/a%2F", 400, `channel "/a/" ends with a slash`, nil},
		{"/realm/myrealm/publish/a%252Fb/", 400, `has "%" at byte 2`, nil},
		{"/realm%2Fmyrealm/publish/a/", 404, "there is nothing at", nil},
		{"/realm/myrealm//publish", 400, `items[0]: the item has no "channel"`, nil},
		{"/realm/myrealm/publish/a//b/", 400, "an empty segment", nil},
		{"/realm/myrealm/publish/../", 400, `has "." at byte 1`, nil},
		{"/realm/myrealm/publish/%zz/", 400, "", nil}, // net/http answers by itself
		{"/realm/other/publish/a/", 404, `there is no realm "other"`, nil},
		{"/realm/myrealm/publish/\xc3\xa9%2Fb/", 400, `has 'é'`, nil},
		{"http://elsewhere.example/realm/myrealm/publish/a/", 200, "Published", []string{`/a 1`}},
	} {
		t.Run(c.path, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			body := `{"items":[{"fpp":1}]}`
			w := exchange(t, d, "POST "+c.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer good\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n15\r\n"+body+"\r\n0\r\n\r\n")
			expectAnswer(t, w, c.status, c.part)
			d.expect(t, c.want...)
		})
	}
}

// piece draws what paths are made of, the wrong as often as the right.
func piece() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"/", "//", "realm", "myrealm", "publish", "news", "..", ".", "%2F", "%2f", "%", "%zz", "%00", "+", " ", "é", "%C3%A9", ";", "?a=b", "#", "\\",
		}),
		rapid.StringMatching(`[a-zA-Z0-9%./_~-]{0,8}`),
	)
}

func path() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		prefix := rapid.SampledFrom([]string{"/", "/realm/", "/realm/myrealm/", "/realm/myrealm/publish/", "/realm/myrealm//publish"}).Draw(t, "prefix")
		return prefix + strings.Join(rapid.SliceOfN(piece(), 0, 6).Draw(t, "pieces"), "")
	})
}

func TestPath_neverRedirects(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	rapid.Check(t, func(t *rapid.T) {
		path := path().Draw(t, "path")
		method := rapid.SampledFrom([]string{"POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS"}).Draw(t, "method")
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			unescaped = path
		}
		r := httptest.NewRequest(method, "/", strings.NewReader(`{"items":[]}`))
		r.URL.Path, r.URL.RawPath = unescaped, path
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		switch {
		case w.Code >= 300 && w.Code < 400:
			t.Fatalf("%s %s is redirected to %s", method, path, w.Header().Get("Location"))
		case w.Code >= 500:
			t.Fatalf("%s %s gets %d", method, path, w.Code)
		case w.Code == http.StatusOK && method != http.MethodPost:
			t.Fatalf("%s %s is a publication", method, path)
		case w.Code == http.StatusOK && !Serves(r):
			t.Fatalf("%s is served and Serves denies it", path)
		}
	})
}

// FuzzPath holds what is accepted against what its words mean.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/realm/r/publish/", "/realm/r//publish/a%2Fb/", "/realm/r/publish/a//b", "/realm/r/publish/%zz", "/realm/r/publish/é+ ..", "//",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		to, err := parsePath(path)
		if err != nil {
			if k := broker.KindOf(err); k != broker.NotFound && k != broker.Invalid {
				t.Fatalf("%q: the error %v is of kind %v", path, err, k)
			}
			return
		}
		whole, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("%q was accepted and cannot be unescaped: %v", path, err)
		}
		if to.channel != "" {
			if _, err := broker.ParseChannel(string(to.channel)); err != nil {
				t.Fatalf("%q gives the channel %q: %v", path, to.channel, err)
			}
			if !strings.HasSuffix(strings.TrimSuffix(whole, "/"), string(to.channel)) {
				t.Fatalf("%q gives the channel %q, which is not what it ends with", path, to.channel)
			}
		}
		if !strings.HasPrefix(whole, "/realm/"+to.realm+"/") {
			t.Fatalf("%q gives the realm %q, which is not what it begins with", path, to.realm)
		}
	})
}
