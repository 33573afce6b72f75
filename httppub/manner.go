package httppub

import (
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
)

// manner is how a request wants to be published, apart from what.
type manner struct {
	stays      bool   // wait=stored: the answer comes when all of it is stored, what waits for other items too
	onlyErrors bool   // results=errors: of a bulk load, the lines that were published are not answered one by one
	bulk       bool   // the body is lines (NDJSON)
	key        string // Idempotency-Key; "": none
}

// parseManner reads what the headers and the query say of it. What else stands in the query is ignored, as it always was. The error
// is of kind Invalid or TooLarge.
func parseManner(r *http.Request) (m manner, err error) {
	if m.key, err = requestKey(r); err != nil {
		return m, err
	}
	m.bulk = isLines(r.Header.Get("Content-Type"))
	if r.URL.RawQuery != "" {
		if err := m.query(r.URL.RawQuery); err != nil {
			return m, err
		}
	}
	switch {
	case m.bulk && m.key != "":
		return m, broker.Errorf(broker.Invalid, "a bulk load takes no Idempotency-Key; give its items ids, and repeat the lines that were not answered")
	case m.bulk && m.stays:
		return m, broker.Errorf(broker.Invalid, "wait=stored does not go with a bulk load, whose lines are answered one by one")
	case m.onlyErrors && !m.bulk:
		return m, broker.Errorf(broker.Invalid, "results=errors goes with a bulk load alone (Content-Type: application/x-ndjson)")
	}
	return m, nil
}

func (m *manner) query(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return broker.Errorf(broker.Invalid, "the query of the address cannot be read: %v", err)
	}
	for _, q := range []struct {
		name, value string
		to          *bool
	}{{"wait", "stored", &m.stays}, {"results", "errors", &m.onlyErrors}} {
		switch given := values[q.name]; {
		case len(given) == 0:
		case len(given) > 1:
			return broker.Errorf(broker.Invalid, "the query has several %s", q.name)
		case given[0] != q.value:
			return broker.Errorf(broker.Invalid, "%s can only be %s, not %s", q.name, q.value, broker.Quote(given[0]))
		default:
			*q.to = true
		}
	}
	return nil
}

// isLines tells whether a body of that type is one JSON value a line.
func isLines(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	return strings.EqualFold(media, "application/x-ndjson") || strings.EqualFold(media, "application/ndjson")
}
