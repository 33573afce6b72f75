package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ear listens by one protocol to everything that is published in a check, and judges it.
type ear struct {
	// static
	protocol string
	run      *checkRun
	cancel   context.CancelFunc
	ready    chan struct{} // closed when it is subscribed
	over     chan struct{} // closed when listening has ended, after err was set

	sent [checkMessages]atomic.Int64 // when, in nanoseconds since run.began

	err error // of listen; written before over is closed

	mu      sync.Mutex // guards the rest
	next    int        // the message to come, from 1; checkMessages+1: all have
	fault   string     // the first that was found; "": none
	slowest time.Duration
}

// newEar sets an ear going. It listens until it has heard everything and lingered, something is wrong, or ctx ends.
func newEar(ctx context.Context, protocol string, run *checkRun, door checkDoor) *ear {
	e := &ear{protocol: protocol, run: run, ready: make(chan struct{}), over: make(chan struct{}), next: 1}
	ctx, e.cancel = context.WithCancel(ctx)
	var once sync.Once
	go func() {
		defer close(e.over)
		defer e.cancel()
		e.err = door.listen(ctx, run.tokens.good, listening{
			ready: func() { once.Do(func() { close(e.ready) }) },
			heard: e.heard,
		})
	}()
	return e
}

// heard takes a message that has come, and tells whether to go on.
func (e *ear) heard(data json.RawMessage) bool {
	var m checkMessage
	if json.Unmarshal(data, &m) != nil || m.Run != e.run.id {
		return true // somebody else's
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.fault != "": // the first one tells most; what has come along with it may be its consequence
	case m.Forged != "":
		e.fault = fmt.Sprintf("what was published with the bad token %q was delivered", m.Forged)
	case m.N < e.next:
		e.fault = fmt.Sprintf("message %d came a second time, or too late", m.N)
	case m.N > e.next:
		e.fault = fmt.Sprintf("message %d came where %d was due, which is lost or late", m.N, e.next)
	case !bytes.Equal(oneLine(data), e.run.text(m.N, "")):
		e.fault = fmt.Sprintf("message %d was altered: %s was published, and %s came", m.N, e.run.text(m.N, ""), data)
	default:
		e.slowest = max(e.slowest, time.Since(e.run.began)-time.Duration(e.sent[m.N-1].Load()))
		if e.next++; e.next > checkMessages {
			time.AfterFunc(e.run.linger, e.cancel)
		}
	}
	return e.fault == ""
}

// begun tells whether it is subscribed, or has failed.
func (e *ear) begun() bool {
	select {
	case <-e.ready:
		return true
	case <-e.over:
		return true
	default:
		return false
	}
}

// giveUp stops listening, for a reason that is no fault of the protocol's.
func (e *ear) giveUp(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == "" {
		e.fault = reason
	}
	e.cancel()
}

// finding waits for the end of listening, which that of the run's time brings at the latest, and says what was heard.
func (e *ear) finding() finding {
	<-e.over
	e.mu.Lock()
	defer e.mu.Unlock()
	f := finding{Check: "delivery", Protocol: e.protocol, Seconds: e.slowest.Seconds(), Detail: e.fault}
	switch {
	case e.fault != "":
	case e.err != nil: // also behind the last message, while it lingers
		f.Detail = e.err.Error()
	case e.next > checkMessages:
		f.OK, f.Detail = true, fmt.Sprintf("%d messages, each once, unaltered and in order", checkMessages)
	default:
		f.Detail = fmt.Sprintf("message %d of %d never came", e.next, checkMessages)
	}
	return f
}
