//go:build interop

package interop

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
)

// metric fails unless the metric has the value.
func (w *waft) metric(name string, want float64) error {
	sum, err := w.sum(name)
	if err == nil && sum != want {
		err = fmt.Errorf("%s is %v, not %v", name, sum, want)
	}
	return err
}

// read is what the metric is now.
func (w *waft) read(t *testing.T, name string) float64 {
	t.Helper()
	sum, err := w.sum(name)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// sum is the metric, summed over its labels; one that is not there is zero.
func (w *waft) sum(name string) (sum float64, err error) {
	resp, err := http.Get(w.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
