package main

import (
	"sync/atomic"
	"time"
)

// sparingly keeps a line that strangers can bring about from filling the log: it may be written once a minute. Counters have the rest.
type sparingly struct {
	next atomic.Int64 // Unix nanoseconds
}

// may tells whether it is time for a line.
func (s *sparingly) may() bool {
	now, next := time.Now().UnixNano(), s.next.Load()
	return now >= next && s.next.CompareAndSwap(next, now+int64(time.Minute))
}
