//go:build interop

package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// gauges are what waft says of itself, by metric name; those of several labels are
// added up.
type gauges map[string]float64

// gauges reads the metrics of the admin listener, after two collections of garbage: what is
// pooled for reuse goes with the second.
func (w *waft) gauges() (gauges, error) {
	for range 2 {
		if err := get(w.admin + "/debug/pprof/heap?gc=1"); err != nil {
			return nil, err
		}
	}
	resp, err := http.Get(w.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	g := gauges{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if at := strings.LastIndexByte(lines.Text(), '}'); at >= 0 { // a label may hold blanks
			value = strings.TrimSpace(lines.Text()[at+1:])
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		name, _, _ = strings.Cut(name, "{")
		g[name] += v
	}
	return g, errors.Join(lines.Err(), drain(resp.Body))
}

func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// inUse is the memory that the program has in use: heap and stacks.
func (g gauges) inUse() float64 {
	return g["go_memstats_heap_inuse_bytes"] + g["go_memstats_stack_inuse_bytes"]
}
