package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies counts durations by size, to three digits, from a microsecond to an hour. What is beyond counts as that.
type latencies struct{ h *hdrhistogram.Histogram }

const (
	shortest = time.Microsecond
	longest  = time.Hour
)

func newLatencies() latencies {
	return latencies{hdrhistogram.New(1, int64(longest/shortest), 3)}
}

func (l latencies) record(d time.Duration) {
	_ = l.h.RecordValue(int64(min(max(d, shortest), longest) / shortest)) // it cannot be out of range
}

func (l latencies) add(o latencies) { l.h.Merge(o.h) }

func (l latencies) reset() { l.h.Reset() }

// Latency sums durations up, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Min   int64   `json:"min"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99_9"`
	Max   int64   `json:"max"`
}

// summary is nil if nothing was recorded.
func (l latencies) summary() *Latency {
	if l.h.TotalCount() == 0 {
		return nil
	}
	return &Latency{
		Count: l.h.TotalCount(), Min: l.h.Min(), Mean: tenths(l.h.Mean()),
		P50: l.h.ValueAtQuantile(50), P90: l.h.ValueAtQuantile(90), P99: l.h.ValueAtQuantile(99),
		P999: l.h.ValueAtQuantile(99.9), Max: l.h.Max(),
	}
}

// MarshalText is how a worker sends its counts: exactly, so that percentiles over several processes are those of all
// deliveries and not means of percentiles.
func (l latencies) MarshalText() ([]byte, error) { return l.h.EncodeV2() }

// UnmarshalText reads what MarshalText wrote.
func (l *latencies) UnmarshalText(text []byte) (err error) {
	l.h, err = hdrhistogram.Decode(text)
	return err
}
