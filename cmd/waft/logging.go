package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
)

// newLogger makes the process's logger.
func newLogger(w io.Writer, format, level string) *slog.Logger {
	o := &slog.HandlerOptions{Level: logLevels[level]}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// eventLog writes what the broker tells about sessions. The broker tells it under its locks, so it is queued, and
// what does not fit the queue is counted instead: a log that cannot be written must not stop the messages.
type eventLog struct {
	// static
	logger *slog.Logger
	queue  chan realmEvent // never closed: a session may end late
	stop   chan struct{}
	done   sync.WaitGroup

	dropped atomic.Uint64

	// owned by run
	window time.Time // since when slow was counted
	slow   int       // lines about slow sessions in the window that were for debug only
}

// realmEvent is an event and where it happened.
type realmEvent struct {
	realm string
	broker.Event
}

const (
	eventQueue = 1024
	slowWindow = time.Second // one line about slow sessions in each, with the number of the others
)

func newEventLog(logger *slog.Logger) *eventLog {
	l := &eventLog{logger: logger, queue: make(chan realmEvent, eventQueue), stop: make(chan struct{})}
	l.done.Go(l.run)
	return l
}

// of gives broker.Options.OnEvent for a realm.
func (l *eventLog) of(realm string) func(broker.Event) {
	return func(e broker.Event) {
		slow := e.Type == broker.EventDropped || e.Type == broker.EventEnded && broker.KindOf(e.Reason) == broker.SlowConsumer
		if !slow && !l.logger.Enabled(context.Background(), slog.LevelDebug) {
			return
		}
		select {
		case l.queue <- realmEvent{realm, e}:
		default:
			l.dropped.Add(1)
		}
	}
}

// close writes what is queued and ends. What is added later goes nowhere.
func (l *eventLog) close() {
	close(l.stop)
	l.done.Wait()
	if n := l.dropped.Load(); n > 0 {
		l.logger.Warn("lines about sessions were left out of the log, which was too slow", slog.Uint64("lines", n))
	}
}

func (l *eventLog) run() {
	for {
		select {
		case e := <-l.queue:
			l.write(e)
		case <-l.stop:
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			return
		}
	}
}

func (l *eventLog) write(e realmEvent) {
	session := slog.Group("", slog.String("realm", e.realm), slog.String("session", e.Session.Label()))
	switch e.Type {
	case broker.EventOpened:
		l.logger.Debug("session opened", session)
	case broker.EventSubscribed:
		l.logger.Debug("subscribed", session, slog.Any("pattern", e.Pattern))
	case broker.EventReaders:
	case broker.EventUnsubscribed:
		if e.Reason != nil {
			return // the line about the session tells it
		}
		l.logger.Debug("unsubscribed", session, slog.Any("pattern", e.Pattern))
	case broker.EventDropped:
		l.tooSlow("messages of a session gave way: its reader is too slow", session, slog.Uint64("messages_so_far", e.Session.Dropped()))
	case broker.EventEnded:
		if broker.KindOf(e.Reason) == broker.SlowConsumer {
			l.tooSlow("session ended: its reader is too slow", session, slog.String("reason", broker.TextOf(e.Reason)))
			return
		}
		l.logger.Debug("session ended", session, slog.String("reason", broker.TextOf(e.Reason)))
	}
}

// tooSlow writes about a session that lost messages: loudly, but not once for each of ten thousand.
func (l *eventLog) tooSlow(what string, session, why slog.Attr) {
	now := time.Now()
	if now.Sub(l.window) < slowWindow {
		l.slow++
		l.logger.Debug(what, session, why)
		return
	}
	l.logger.Warn(what, session, why, slog.Int("and_others_before", l.slow))
	l.window, l.slow = now, 0
}
