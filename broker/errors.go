package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an error is. The set is closed: every adapter has one table from kind to its
// protocol's own words, and the exhaustive linter shows the table that forgot one.
type Kind uint8

const (
	// Internal is a defect or a failure inside waft. Its text is for the log, never for a stranger.
	Internal Kind = iota
	// Invalid input: a name, a payload or an option that breaks a rule. The text says which.
	Invalid
	// Unauthenticated: no credential, or one that did not verify.
	Unauthenticated
	// Forbidden: the principal is known (or anonymous) and may not do this.
	Forbidden
	// NotFound: the channel, item or session does not exist.
	NotFound
	// Conflict with what is there: an id in use, a replay already running.
	Conflict
	// TooLarge: a message, or a replay, above a configured size.
	TooLarge
	// RateLimited: a configured number (sessions, subscriptions, requests) is used up.
	RateLimited
	// SlowConsumer ended a session whose queue was full.
	SlowConsumer
	// HistoryLost: the position asked for is no longer (or never was) in the channel's history.
	HistoryLost
	// Unavailable: not now, perhaps later; also a context that ended first.
	Unavailable
	// Closed: the session or the broker has ended.
	Closed
)

var kindNames = [...]string{
	Internal: "internal", Invalid: "invalid", Unauthenticated: "unauthenticated", Forbidden: "forbidden",
	NotFound: "not_found", Conflict: "conflict", TooLarge: "too_large", RateLimited: "rate_limited",
	SlowConsumer: "slow_consumer", HistoryLost: "history_lost", Unavailable: "unavailable", Closed: "closed",
}

// String is the kind's name in snake case: a metric label, and the code in JSON errors.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is what every operation of this package fails with. Text is one plain sentence for people: what was
// attempted, what was wrong. It holds no secret, so that an adapter may put it on the wire for every kind but
// Internal. Err is the cause, for the log.
type Error struct {
	Kind  Kind
	Text  string
	Err   error
	About Pattern // the channel or pattern at fault, where the operation was about several; else ""

	RetryAfter time.Duration // of RateLimited: when it would do; 0: it is not known
}

// Errorf makes an Error of kind; a %w in format becomes its cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: wrapped.Error(), Err: errors.Unwrap(wrapped)}
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// KindOf tells the kind of any error: the broker's own, a context's (Unavailable), or Internal for the rest.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// AboutOf is the channel or pattern at fault, if err tells it.
func AboutOf(err error) (p Pattern, ok bool) {
	if e, found := errors.AsType[*Error](err); found && e.About != "" {
		return e.About, true
	}
	return "", false
}

// RetryAfterOf is how long one has to wait, if err tells it.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// TextOf is the sentence of err that a stranger may read. Whatever is Internal reads "internal error".
func TextOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Text
	}
	if KindOf(err) == Unavailable {
		return "the request ended before it was done"
	}
	return "internal error"
}
