package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Link keeps one component connected to its XMPP server. Make it with [New]; all methods are safe for use from many
// goroutines.
type Link struct {
	opts    Options // static, completed
	queue   *queue
	pending pending
	count   counters
	logged  [numReasons]atomic.Int64 // when a loss of this reason was last logged, Unix nanoseconds
	running atomic.Bool
}

// New checks o and returns a link that does nothing until Run.
func New(o Options) (*Link, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	most := o.FenceWindow
	if o.NoFence {
		most = 0
	}
	l := &Link{opts: o, queue: newQueue(o.MaxOutbound, most)}
	l.queue.newPing, l.queue.gaveUp = l.opts.newPing, l.unfenced
	l.queue.patience = o.PingInterval + 2*o.PingTimeout // a server that is silent altogether is found sooner, and keeps the window
	return l, nil
}

// unfenced is called when the server has not answered a ping of the fence.
func (l *Link) unfenced(writable bool) {
	l.count.unfenced.Add(1)
	l.opts.Logger.Warn("the XMPP server does not answer pings: what is written to it is not sent again if the link is lost", "host", l.opts.Host)
	if writable && l.opts.Writable != nil {
		l.opts.Writable()
	}
}

// Domain returns the component's domain in canonical form.
func (l *Link) Domain() string { return l.opts.Domain }

// Run connects, and connects again whenever the link is lost, until ctx ends. Then it writes what is queued and the
// closing tag, waits for the server's, all within CloseTimeout, and returns nil. None of the link's goroutines is left
// when it returns. The only error is ErrRunning.
func (l *Link) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer l.running.Store(false)
	defer func() { l.drop(OutLost, l.queue.abandon()) }()
	failures := 0 // in a row
	for {
		began := time.Now()
		err := l.attempt(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) >= l.opts.ReconnectMax {
			failures = 0
		}
		wait := l.backoff(failures, err)
		failures++
		l.logFailure(err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// attempt is one connection from dial to its end.
func (l *Link) attempt(ctx context.Context) error {
	s, err := l.connect(ctx)
	if err != nil {
		l.count.failures.Add(1)
		return err
	}
	l.count.connects.Add(1)
	return s.serve(ctx)
}

// backoff returns a random time from the minimum to a bound that doubles with every failure, so that the components of
// a restarted server do not come back in step.
func (l *Link) backoff(failures int, err error) time.Duration {
	lo, hi := l.opts.ReconnectMin, l.opts.ReconnectMax
	if remedy(err) != "" {
		lo, hi = l.opts.SlowMin, l.opts.SlowMax
	}
	bound := hi
	if failures < 16 {
		bound = min(hi, lo<<(failures+1))
	}
	return lo + rand.N(bound-lo+1)
}

func (l *Link) logFailure(err error, wait time.Duration) {
	level, args := slog.LevelWarn, []any{"server", l.opts.Server, "err", err, "retry_in", wait.Round(time.Millisecond)}
	if what := remedy(err); what != "" {
		level, args = slog.LevelError, append(args, "remedy", what)
	}
	l.opts.Logger.Log(context.Background(), level, "xmpp link failed", args...)
}

// drop counts n losses and logs one of them, at most one line for each reason in ten seconds.
func (l *Link) drop(r Reason, n int, args ...any) {
	if n == 0 {
		return
	}
	total := l.count.dropped[r].Add(uint64(n))
	now, last := time.Now().UnixNano(), l.logged[r].Load()
	if now-last < int64(10*time.Second) || !l.logged[r].CompareAndSwap(last, now) {
		return
	}
	l.opts.Logger.Warn("xmpp stanza lost", append([]any{"reason", r.String(), "total", total}, args...)...)
}

// Send queues one complete stanza, given as any number of parts that are written one after another: a message that
// differs only in its recipient is rendered once and sent as Send(before, to, after). The parts are copied. Send never
// blocks; it returns ErrDown, ErrFull or ErrTooBig and then has queued nothing.
//
// The stanza must be well-formed, carry from (at Domain) and to, and declare neither jabber:client nor any other
// default namespace; see [Check]. A server closes the link otherwise.
func (l *Link) Send(parts ...[]byte) error { return l.send(plain, parts) }

// SendKept is Send for a stanza that is worth sending twice: it is kept until the server has answered a ping behind it, and if
// the link dies first it is written again on the next one, the same bytes in the same order, before anything else. It returns
// ErrFull also while FenceWindow stanzas are kept.
func (l *Link) SendKept(parts ...[]byte) error { return l.send(keep, parts) }

func (l *Link) send(as how, parts [][]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > l.opts.MaxOutStanza {
		l.drop(OutTooBig, 1, "bytes", size)
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooBig, size, l.opts.MaxOutStanza)
	}
	err := l.queue.put(as, size, parts...)
	switch {
	case errors.Is(err, ErrFull):
		l.count.dropped[OutFull].Add(1) // counted and not logged: the caller knows, and may try again
	case errors.Is(err, ErrDown):
		l.count.dropped[OutDown].Add(1)
	}
	return err
}
