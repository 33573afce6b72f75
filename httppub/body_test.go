package httppub

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"waft/broker"
)

// bodyOf is a valid body of exactly n bytes.
func bodyOf(n int) string {
	const before, after = `{"items":[{"channel":"a","fpp":"`, `"}]}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

func unknownLength(r *http.Request) { r.ContentLength = -1 }

func TestBody_limit(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"with Content-Length":    func(*http.Request) {},
		"without Content-Length": unknownLength,
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, Options{MaxBody: 1000}, broker.Options{})
			expectAnswer(t, d.post("/realm/myrealm/publish/", bodyOf(1000), change), 200, "Published")
			if got := len(d.received()); got != 1 {
				t.Errorf("%d messages were delivered", got)
			}
			expectAnswer(t, d.post("/realm/myrealm/publish/", bodyOf(1001), change), 413, "the body has more than the limit of 1000 bytes")
			d.expect(t)
		})
	}
}

func TestBody_defaultLimitIsAMillion(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	expectAnswer(t, d.post("/realm/myrealm/publish/", bodyOf(1_000_000)), 200, "Published")
	expectAnswer(t, d.post("/realm/myrealm/publish/", bodyOf(1_000_001)), 413, "the limit of 1000000 bytes")
}

func TestBody_tooSlow(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	w := d.post("/realm/myrealm/publish/", "", func(r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"items":[{"channel":"a","fpp":1}]}`), iotest.ErrReader(os.ErrDeadlineExceeded)))
	}, wantsJSON)
	expectAnswer(t, w, 408, `{"message":"the body took too long to arrive","code":"timeout"}`)
	if w.Header().Get("Connection") != "close" {
		t.Error("the connection goes on")
	}
	d.expect(t)
}

// TestBody_tooLargeIsNotRead: a client that waits for "100 Continue" is told before it sends.
func TestBody_tooLargeIsNotRead(t *testing.T) {
	d := openDoor(t, Options{MaxBody: 10}, broker.Options{})
	w := d.post("/realm/myrealm/publish/", bodyOf(1000), func(r *http.Request) {
		r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	})
	expectAnswer(t, w, 413, "the limit of 10 bytes")
}

func TestBody_brokenOff(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	w := d.post("/realm/myrealm/publish/", "", func(r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"items":[{"channel":"a","fpp":1}`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	})
	expectAnswer(t, w, 400, "the body broke off before its end")
	d.expect(t)
}

func TestBody_contentEncoding(t *testing.T) {
	const body = `{"items":[{"channel":"a","fpp":1}]}`
	d := openDoor(t, Options{}, broker.Options{})
	for _, encoding := range []string{"br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "?"} {
		w := d.post("/realm/myrealm/publish/", body, header("Content-Encoding", encoding))
		expectAnswer(t, w, 415, "the body has a Content-Encoding that is not supported")
		if got := w.Header().Get("Accept-Encoding"); got != "gzip, identity" {
			t.Errorf("the 415 has Accept-Encoding %q", got)
		}
	}
	d.expect(t)
	expectAnswer(t, d.post("/realm/myrealm/publish/", body, header("Content-Encoding", "Identity")), 200, "Published")
}

func TestBody_contentTypeDoesNotMatter(t *testing.T) {
	for _, contentType := range []string{"", "application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "?"} {
		d := openDoor(t, Options{}, broker.Options{})
		expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":1}]}`, header("Content-Type", contentType)), 200, "Published")
		d.expect(t, "/a 1")
	}
}

func TestBody_maxItems(t *testing.T) {
	d := openDoor(t, Options{MaxItems: 2}, broker.Options{})
	expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":1},{"fpp":2}]}`), 200, "Published")
	d.expect(t, "/a 1", "/a 2")
	expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"fpp":1},{"fpp":2},{"fpp":3}]}`), 413, "more items than the limit of 2")
	d.expect(t)
}

// TestBody_isNotShared: a message keeps nothing of the buffer that the next request is read into.
func TestBody_isNotShared(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	for range 50 {
		d.post("/realm/myrealm/publish/", `{"items":[{"channel":"aaaa","id":"1111","fpp":"aaaa","ws-message":"aaaa"}]}`)
		d.post("/realm/myrealm/publish/", `{"items":[{"channel":"bbbb","id":"2222","fpp":"bbbb","ws-message":"bbbb"}]}`)
		got := strings.Join(d.received(), "\n")
		if got != "" && got != "/aaaa #1111 \"aaaa\" ws-message=\"aaaa\"\n/bbbb #2222 \"bbbb\" ws-message=\"bbbb\"" {
			t.Fatalf("the subscriber got\n%s", got)
		}
	}
}
