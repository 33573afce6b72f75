//go:build !race

package httppub

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waft/broker/brokertest"
	"waft/httppub/openapitest"
)

// One item through the handler alone, as BenchmarkPublish has it.
func TestGuard_publish(t *testing.T) {
	d := benchDoor(openapitest.Unchecked{TB: t})
	reader := strings.NewReader("")
	r := httptest.NewRequest(http.MethodPost, "/realm/myrealm/publish/", nil)
	r.Header.Set("Authorization", "Bearer "+goodToken)
	r.Header.Set("Accept", "*/*")
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(benchBody))
	brokertest.Guard{Allocs: 21.1, Calls: 0.5, Instructions: 35_500}.Hold(t, brokertest.Times(500, func() {
		reader.Reset(benchBody)
		w := discard{header: http.Header{}}
		if d.ServeHTTP(&w, r); w.status != 0 {
			t.Fatalf("refused with %d", w.status)
		}
	}))
}
