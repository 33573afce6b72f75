package httppub

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waft/broker"
)

// query is what stands behind the question mark of a Reader's address, each name once.
type query struct {
	since, before      broker.Position
	sinceStart         bool // since=0: from the very first message
	prefix, after      string
	limit              int // 0: not said
	newestFirst, waits bool
	wait               time.Duration
}

// startText is the position of a channel that nothing was published to.
const startText = "0"

// parseQuery reads a query that may have the given names, and any that begin with "_" (which libraries add to get past
// caches). A name that nobody knows is refused: a misspelt "since" would bring everything. The error is of kind Invalid.
func parseQuery(raw string, names []string) (q query, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, broker.Errorf(broker.Invalid, "the query of the address cannot be read: %v", err)
	}
	for name, list := range values {
		switch {
		case strings.HasPrefix(name, "_"):
			continue
		case !slices.Contains(names, name) && len(names) == 0:
			return q, broker.Errorf(broker.Invalid, "the query has %s, and this address takes none", broker.Quote(name))
		case !slices.Contains(names, name):
			return q, broker.Errorf(broker.Invalid, "the query has %s, which is none of %s", broker.Quote(name), strings.Join(names, ", "))
		case len(list) > 1:
			return q, broker.Errorf(broker.Invalid, "the query has several %s", name)
		}
		if err := q.set(name, list[0]); err != nil {
			return q, broker.Errorf(broker.Invalid, "%s: %w", name, err)
		}
	}
	switch {
	case q.waits && q.newestFirst:
		return q, broker.Errorf(broker.Invalid, "who waits reads on: wait goes with order=asc alone")
	case q.waits && !q.before.IsZero():
		return q, broker.Errorf(broker.Invalid, "before a position comes nothing new: wait does not go with before")
	}
	return q, nil
}

func (q *query) set(name, value string) (err error) {
	switch name {
	case "since":
		if q.sinceStart = value == startText; !q.sinceStart {
			q.since, err = broker.ParsePosition(value)
		}
	case "before":
		q.before, err = broker.ParsePosition(value)
	case "prefix":
		q.prefix = value
		if value != "" && value[0] != '/' {
			q.prefix = "/" + value
		}
	case "after":
		q.after = value
	case "limit":
		if q.limit, err = parseNumber(value); err == nil && q.limit == 0 {
			err = broker.Errorf(broker.Invalid, "it must be 1 or more")
		}
	case "order":
		switch value {
		case "asc", "desc":
			q.newestFirst = value == "desc"
		default:
			err = broker.Errorf(broker.Invalid, "%s is neither asc nor desc", broker.Quote(value))
		}
	case "wait":
		var seconds int
		seconds, err = parseNumber(value)
		q.wait, q.waits = time.Duration(seconds)*time.Second, true
	}
	return err
}

// parseNumber reads a number of up to nine digits, which nothing can overflow with.
func parseNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 9 {
		return 0, broker.Errorf(broker.Invalid, "%s is not a whole number of at most nine digits", broker.Quote(s))
	}
	return int(n), nil
}

// most is how many entries to give.
func (q query) most(limit int) int {
	if q.limit == 0 {
		return min(100, limit)
	}
	return min(q.limit, limit)
}
