package bayeux

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// logger writes what went wrong with strangers' input: at most one line a second of each sort, so that bad
// input cannot fill a disk. No line holds a clientId or a token.
type logger struct {
	out *slog.Logger

	origin, credential, body, session sampler
}

// sampler lets one line a second pass.
type sampler struct {
	next    atomic.Int64 // Unix nanoseconds
	skipped atomic.Int64
}

func (l *logger) sampled(s *sampler, what string, err error) {
	now, next := time.Now().UnixNano(), s.next.Load()
	if now < next || !s.next.CompareAndSwap(next, now+int64(time.Second)) {
		s.skipped.Add(1)
		return
	}
	l.out.LogAttrs(context.Background(), slog.LevelWarn, "bayeux: "+what,
		slog.String("err", err.Error()), slog.Int64("similar_before", s.skipped.Swap(0)))
}
