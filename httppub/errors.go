package httppub

import (
	"errors"
	"fmt"
	"net/http"

	"waft/broker"
)

// statusOf is the table from what went wrong to HTTP.
func statusOf(k broker.Kind) int {
	switch k {
	case broker.Invalid:
		return http.StatusBadRequest
	case broker.Unauthenticated:
		return http.StatusUnauthorized
	case broker.Forbidden:
		return http.StatusForbidden
	case broker.NotFound:
		return http.StatusNotFound
	case broker.Conflict:
		return http.StatusConflict
	case broker.HistoryLost:
		return http.StatusGone
	case broker.TooLarge:
		return http.StatusRequestEntityTooLarge
	case broker.RateLimited:
		return http.StatusTooManyRequests
	case broker.SlowConsumer, broker.Unavailable, broker.Closed:
		return http.StatusServiceUnavailable
	case broker.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// wireError is a failure that HTTP knows and the broker has no kind for.
type wireError struct {
	status     int
	code, text string
}

func (e *wireError) Error() string { return e.text }

// Unwrap says what the broker would call it: the request is at fault.
func (e *wireError) Unwrap() error { return &broker.Error{Kind: broker.Invalid, Text: e.text} }

// ErrMethod refuses a method that an address does not have: 405. Whoever answers with it sets Allow.
func ErrMethod(text string) error {
	return &wireError{http.StatusMethodNotAllowed, "method_not_allowed", text}
}

// ErrTooLong refuses an address that is too long: 414.
func ErrTooLong(text string) error {
	return &wireError{http.StatusRequestURITooLong, "uri_too_long", text}
}

var (
	errMethod = &wireError{
		http.StatusMethodNotAllowed, "method_not_allowed",
		"publishing is done with POST",
	}
	errEncoding = &wireError{
		http.StatusUnsupportedMediaType, "unsupported_encoding",
		"the body has a Content-Encoding that is not supported; send it as it is, or with gzip",
	}
	errSlow = &wireError{
		http.StatusRequestTimeout, "timeout",
		"the body took too long to arrive",
	}
)

// refuse makes the answer to an error. receipts are those of the items that were stored before an engine failed.
func refuse(receipts []receipt, err error) answer {
	if e, ok := errors.AsType[*wireError](err); ok {
		return answer{status: e.status, Code: e.code, Message: e.text}
	}
	kind := broker.KindOf(err)
	a := answer{status: statusOf(kind), Code: kind.String(), Message: broker.TextOf(err), retryAfter: broker.RetryAfterOf(err)}
	if e, ok := errors.AsType[*broker.BatchError](err); ok {
		a.Item, a.Message = &e.Index, fmt.Sprintf("items[%d]: %s", e.Index, a.Message)
	}
	if len(receipts) > 0 {
		// Whatever it was, a part is stored, and only a repetition makes it whole: clients repeat after a 503.
		a.status, a.Receipts = http.StatusServiceUnavailable, receipts
		a.Message += fmt.Sprintf(" (the %d before it were published)", len(receipts))
	}
	return a
}
