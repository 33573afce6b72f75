package ws

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"

	"waft/broker"
)

// ask is what the request of a socket asks for.
type ask struct {
	token  string // from the address
	window int    // 0: nothing is acknowledged
}

// maxQuery is how long a query may be: a token has up to 8 KiB.
const maxQuery = 12 << 10

// parseAsk reads the handshake and the address. Errors: Invalid, TooLarge.
func (h *Handler) parseAsk(r *http.Request) (a ask, err error) {
	spoken := websocket.Subprotocols(r)
	switch {
	case r.Method != http.MethodGet:
		return a, errMethod
	case !websocket.IsWebSocketUpgrade(r):
		return a, errUpgrade
	case len(spoken) > 0 && !slices.Contains(spoken, Subprotocol):
		return a, errSpeak
	case len(r.URL.RawQuery) > maxQuery:
		return a, errQueryLong
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, broker.Errorf(broker.Invalid, "the query cannot be read: escape what is not a letter or digit in it, and separate with &")
	}
	for name, values := range query {
		if strings.HasPrefix(name, "_") { // this is how scripts get around caches
			continue
		}
		if len(values) > 1 {
			return a, broker.Errorf(broker.Invalid, "the address has the parameter %s %d times; once is enough", broker.Quote(name), len(values))
		}
		switch value := values[0]; name {
		case "access_token":
			a.token = value
		case "window":
			if a.window, err = strconv.Atoi(value); err != nil || a.window < 1 || a.window > h.opts.MaxWindow {
				return a, broker.Errorf(broker.Invalid, "the parameter window is %s; it can be a number from 1 to %d", broker.Quote(value), h.opts.MaxWindow)
			}
		default:
			return a, broker.Errorf(broker.Invalid, "the address has the unknown parameter %s; there are access_token and window", broker.Quote(name))
		}
	}
	return a, nil
}
