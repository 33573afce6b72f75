package bench

import (
	"context"
	"sync"
	"time"
)

// pace says when to publish.
//
// In a closed loop each publisher has window messages under way, and sends the next when one is complete. That shows
// what a server can do, and hides how long it stands still: while it does, nobody asks it for anything.
//
// In an open loop messages are due at a rate, whatever the server does. A message that is sent late, because the server
// did not read, is as late for its subscribers as if it had been sent in time: latency counts from when it was due. Otherwise a
// pause of a second would be one slow message, and not the thousand that should have been sent meanwhile
// (Gil Tene calls this coordinated omission).
type pace struct {
	publishers int
	window     int     // 0: open loop
	rate       float64 // messages a second of all publishers, in an open loop
	length     time.Duration
	messages   int // of all publishers, at most; 0: as many as there is time for
}

// run publishes for that long: each publisher from its from-th message on. It returns how many each has published since
// the beginning of all, and how late messages were sent. send is called from one goroutine for each publisher.
func (p pace) run(ctx context.Context, from []uint64, permits []chan struct{},
	send func(publisher int, index uint64, at time.Time) error,
) (until []uint64, lag latencies, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	until = append([]uint64(nil), from...)
	lag = newLatencies()
	start := time.Now()
	var mu sync.Mutex
	var publishing sync.WaitGroup
	for i := range p.publishers {
		publishing.Go(func() {
			due, stop := p.due(ctx, i, start, permits[i])
			defer stop()
			late := newLatencies()
			for n := uint64(0); p.messages == 0 || n < p.share(i); n++ {
				at, ok := due(n)
				if !ok {
					break
				}
				late.record(time.Since(at))
				if e := send(i, until[i], at); e != nil {
					mu.Lock()
					if err == nil {
						err = e
					}
					mu.Unlock()
					cancel()
					break
				}
				until[i]++
			}
			mu.Lock()
			lag.add(late)
			mu.Unlock()
		})
	}
	publishing.Wait()
	return until, lag, err
}

// share is how many messages publisher i sends at most, if there is a limit.
func (p pace) share(i int) uint64 { return uint64(p.messages+p.publishers-1-i) / uint64(p.publishers) }

// due gives a function that waits until publisher i's n-th message of this stage is due, and says when that was; not ok
// when the stage is over. stop is called in the end.
func (p pace) due(ctx context.Context, i int, start time.Time, permits chan struct{}) (due func(n uint64) (time.Time, bool), stop func()) {
	if p.window > 0 {
		stage, stop := context.WithTimeout(ctx, p.length)
		return func(uint64) (time.Time, bool) {
			select {
			case <-permits:
				if stage.Err() == nil {
					return time.Now(), true
				}
				permits <- struct{}{} // for the next stage
			case <-stage.Done():
			}
			return time.Time{}, false
		}, stop
	}
	interval := float64(time.Second) / p.rate
	return func(n uint64) (time.Time, bool) {
		offset := time.Duration((float64(n)*float64(p.publishers) + float64(i)) * interval)
		// What was due within the stage is sent even if that is over: leaving it out would forget the slowest.
		if offset >= p.length {
			return time.Time{}, false
		}
		at := start.Add(offset)
		sleep(ctx, time.Until(at))
		return at, ctx.Err() == nil
	}, func() {}
}
