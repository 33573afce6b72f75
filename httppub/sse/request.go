package sse

import (
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
	"waft/httppub/place"
)

// ask is what a request asks for.
type ask struct {
	patterns []broker.Pattern // each once, in the order of the address
	last     string           // id of the last event that the client had; ""
	form     form
	token    string // from the address
}

// maxQuery is how long a query may be. An id has up to 4 KiB, a token 8 KiB.
const maxQuery = 24 << 10

// parseAsk reads the address, and the one header. The error is of kind Invalid.
func (h *Handler) parseAsk(r *http.Request) (ask, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ask{}, broker.Errorf(broker.Invalid, "the query cannot be read: escape what is not a letter or digit in it, and separate with &")
	}
	var a ask
	seen := map[broker.Pattern]bool{}
	for _, name := range query["channel"] {
		p, err := broker.ParsePatternName(name)
		if err != nil {
			return ask{}, err
		}
		if !seen[p] {
			seen[p] = true
			a.patterns = append(a.patterns, broker.Pattern(strings.Clone(string(p)))) // a stream keeps them, and not its whole query
		}
	}
	switch n := len(a.patterns); {
	case n == 0:
		return ask{}, broker.Errorf(broker.Invalid, "the address names no channel: add ?channel=/news, and &channel=… for each further one")
	case n > h.opts.MaxChannels:
		return ask{}, broker.Errorf(broker.Invalid, "the address names %d channels, more than the limit of %d; use a wildcard, or several streams", n, h.opts.MaxChannels)
	}
	for name, values := range query {
		if err := a.set(name, values); err != nil {
			return ask{}, err
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		a.last = id // newer than what the page wrote into the address
	}
	a.form = a.form.with(single, a.single())
	return a, nil
}

// single tells whether all events are of one channel.
func (a *ask) single() bool {
	_, channel := a.patterns[0].Channel()
	return channel && len(a.patterns) == 1
}

// set takes a parameter that is no channel.
func (a *ask) set(name string, values []string) error {
	if name == "channel" || strings.HasPrefix(name, "_") { // the latter is how scripts get around caches
		return nil
	}
	if len(values) > 1 {
		return broker.Errorf(broker.Invalid, "the address has the parameter %s %d times; once is enough", broker.Quote(name), len(values))
	}
	value := values[0]
	wrong := func(choice string) error {
		return broker.Errorf(broker.Invalid, "the parameter %s is %s; it can be %s", name, broker.Quote(value), choice)
	}
	switch name {
	case "access_token":
		a.token = value
	case "last_event_id", "lastEventId": // the latter is what polyfills write
		if a.last != "" && value != "" && a.last != value {
			return broker.Errorf(broker.Invalid, "the address has both last_event_id and lastEventId, and they differ")
		}
		if value != "" {
			a.last = value
		}
	case "envelope":
		if value != "0" && value != "1" {
			return wrong("0 or 1")
		}
		a.form = a.form.with(plain, value == "0")
	case "event":
		if value != "message" && value != "channel" {
			return wrong("message or channel")
		}
		a.form = a.form.with(byName, value == "channel")
	default:
		return broker.Errorf(broker.Invalid, "the address has the unknown parameter %s; there are channel, last_event_id, access_token, envelope and event", broker.Quote(name))
	}
	return nil
}

// place reads the id of the last event. nil: there is none.
func (a *ask) place() (*place.Token, error) {
	if a.last == "" {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	t, err := place.Parse(a.last, a.patterns)
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the last event id %s is not one that this server gave out; leave it away to begin with what comes next", broker.Quote(a.last))
	}
	return t, nil
}
