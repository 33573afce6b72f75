package httppub

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waft/broker"
)

const benchBody = `{"items":[{"json-object":{"id":123456789,"text":"the quick brown fox jumps over the lazy dog"},"channel":"chat/42"}]}`

// benchDoor has no subscriber: what is measured is the door and the broker.
func benchDoor(b testing.TB) *door {
	d := openDoor(b, Options{}, broker.Options{})
	d.reader.Close(nil)
	return d
}

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }
func (w *discard) WriteHeader(status int)      { w.status = status }

// BenchmarkPublish is one item through the handler alone, one after another.
func BenchmarkPublish(b *testing.B) {
	b.Run("one item", func(b *testing.B) { benchHandler(b, benchBody) })
	b.Run("ten items", func(b *testing.B) {
		item := strings.TrimSuffix(strings.TrimPrefix(benchBody, `{"items":[`), `]}`)
		benchHandler(b, `{"items":[`+strings.Repeat(item+",", 9)+item+`]}`)
	})
	b.Run("with an id", func(b *testing.B) {
		benchHandler(b, strings.Replace(benchBody, `{"json`, `{"id":"1","prev-id":"1","json`, 1))
	})
	b.Run("16 KB", func(b *testing.B) { benchHandler(b, bodyOf(16<<10)) })
}

func benchHandler(b *testing.B, body string) {
	d := benchDoor(b)
	reader := strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, "/realm/myrealm/publish/", nil)
	r.Header.Set("Authorization", "Bearer "+goodToken)
	r.Header.Set("Accept", "*/*")
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		w := discard{header: http.Header{}}
		d.ServeHTTP(&w, r)
		if w.status != 0 {
			b.Fatalf("refused with %d", w.status)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkPublishLoopback is the same over one keep-alive connection to a real server; the client's work is in it.
func BenchmarkPublishLoopback(b *testing.B) {
	d := benchDoor(b)
	server := httptest.NewServer(d)
	defer server.Close()
	client := server.Client()
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/realm/myrealm/publish/", strings.NewReader(benchBody))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+goodToken)
		resp, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatalf("refused with %d", resp.StatusCode)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkBulk is a line of a bulk load.
func BenchmarkBulk(b *testing.B) {
	d := benchDoor(b)
	const line = `{"json-object":{"id":123456789,"text":"the quick brown fox jumps over the lazy dog"},"channel":"chat/42"}` + "\n"
	r := httptest.NewRequest(http.MethodPost, publishPath, nil)
	r.Header.Set("Authorization", "Bearer "+goodToken)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Body = io.NopCloser(io.LimitReader(&endless{text: line}, int64(b.N)*int64(len(line))))
	r.ContentLength = -1
	b.ReportAllocs()
	b.ResetTimer()
	w := discard{header: http.Header{}}
	d.ServeHTTP(&w, r)
	if w.status != 0 || d.intake.Stats().Lines != uint64(b.N) {
		b.Fatalf("%d, %+v", w.status, d.intake.Stats())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], e.text[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.text)
	}
	return n, nil
}
