//go:build interop

package interop

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
)

// metric fails unless the metric, summed over its labels, has the value; one that is not there is zero.
func (w *waft) metric(name string, want float64) error {
	resp, err := http.Get(w.admin + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return err
		}
		sum += n
	}
	if sum != want {
		return fmt.Errorf("%s is %v, not %v", name, sum, want)
	}
	return nil
}
