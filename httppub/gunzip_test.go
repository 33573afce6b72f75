package httppub

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"waft/broker"
)

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

var isZipped = header("Content-Encoding", "gzip")

func TestGunzip_bodies(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	for range 3 { // the reader is used again
		expectAnswer(t, d.post(publishPath, zipped(`{"items":[{"channel":"a","fpp":1}]}`), isZipped), 200, "Published")
		expectAnswer(t, d.post(publishPath, zipped(`{"items":[{"channel":"a",`)+zipped(`"fpp":2}]}`), header("Content-Encoding", "X-GZip")), 200, "Published") // RFC 1952 §2.2
		d.expect(t, "/a 1", "/a 2")
	}
}

func TestGunzip_limit_is_that_of_the_body_unpacked(t *testing.T) {
	d := openDoor(t, Options{MaxBody: 100_000}, broker.Options{})
	expectAnswer(t, d.post(publishPath, zipped(bodyOf(100_000)), isZipped, unknownLength), 200, "Published")
	d.received()
	for _, n := range []int{100_001, 20 << 20} {
		packed := zipped(bodyOf(n))
		if len(packed) > 100_000 {
			t.Fatalf("%d bytes became %d", n, len(packed))
		}
		from := &counting{Reader: strings.NewReader(packed)}
		expectAnswer(t, d.post(publishPath, packed, isZipped, func(r *http.Request) { r.Body = io.NopCloser(from) }), 413, "the body has more than the limit of 100000 bytes")
		if n > 1<<20 && from.n > len(packed)/2 {
			t.Errorf("%d bytes of %d were looked at", from.n, len(packed))
		}
	}
	d.expect(t)
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestGunzip_faults(t *testing.T) {
	good := zipped(`{"items":[{"channel":"a","fpp":"` + strings.Repeat("some text ", 100) + `"}]}`)
	spoilt := []byte(good)
	spoilt[len(spoilt)-6] ^= 1 // of the checksum
	block := []byte(good)
	block[12] ^= 0xff
	for name, c := range map[string]struct{ body, want string }{
		"nothing":           {"", "the body broke off before its end"},
		"not packed":        {`{"items":[]}`, "the body is not valid gzip"},
		"half":              {good[:len(good)/2], "the body broke off before its end"},
		"without its end":   {good[:len(good)-1], "the body broke off before its end"},
		"a wrong checksum":  {string(spoilt), "the body is not valid gzip"},
		"a corrupt block":   {string(block), "the body"},
		"something behind":  {good + "junk that is no member", "the body is not valid gzip"},
		"packed twice":      {zipped(good), "the body is not valid JSON"},
		"what is not UTF-8": {zipped("{\"items\":[{\"channel\":\"a\",\"fpp\":\"\xff\"}]}"), "items[0]: the body is not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			expectAnswer(t, d.post(publishPath, c.body, isZipped, func(r *http.Request) {}), 400, c.want)
			d.expect(t)
		})
	}
}

// FuzzGunzip: whatever comes as gzip is answered, and never published in part.
func FuzzGunzip(f *testing.F) {
	f.Add([]byte(zipped(`{"items":[{"channel":"a","fpp":1},{"channel":"a","fpp":1}]}`)))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	d := openDoor(f, Options{MaxBody: 1000}, broker.Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		w := d.post(publishPath, string(body), isZipped)
		n := len(d.received())
		if w.Code != 200 && (n > 0 || w.Code < 400 || w.Code >= 500) {
			t.Fatalf("%d, and %d published", w.Code, n)
		}
	})
}
