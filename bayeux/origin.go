package bayeux

import (
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
)

// originList is the set of web pages that may use the door. Browsers say in Origin which page a script runs in;
// a POST and a WebSocket need no consent of ours to be sent by any page, so both are refused here.
type originList struct {
	any    bool
	listed map[string]bool
}

func parseOrigins(list []string) (originList, error) {
	l := originList{listed: map[string]bool{}}
	for _, s := range list {
		u, err := url.Parse(s)
		switch {
		case s == "*":
			l.any = true
		case s == "null":
			l.listed[s] = true
		case err != nil || u.Scheme == "" || u.Host == "" || strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
			return l, broker.Errorf(broker.Invalid, "%s is not an origin: write it like https://app.example", broker.Quote(s))
		default:
			l.listed[strings.ToLower(u.Scheme+"://"+u.Host)] = true
		}
	}
	return l, nil
}

// allows tells whether a page of the origin may talk to host. The scheme is not compared with the server's own: behind a
// proxy that ends TLS it is not known.
func (l *originList) allows(origin, host string) bool {
	if l.any || l.listed[strings.ToLower(origin)] {
		return true
	}
	_, own, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(own, host)
}

// admit applies the rule and says so in the response's headers. A request without Origin does not come from a page.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if !h.origins.allows(origin, r.Host) {
		h.counters.refuse(RefusedOrigin)
		h.log.sampled(&h.log.origin, "origin refused: list it under origins if its pages are yours",
			broker.Errorf(broker.Forbidden, "origin %s", broker.Quote(origin)))
		refuse(w, http.StatusForbidden, "pages of this origin may not use this server")
		return false
	}
	// Never "*": the clients send their requests with credentials, with which browsers do not accept it.
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	return true
}

// servePreflight answers the question a browser asks before a cross-origin POST. Pragma is Faye's.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Allow", "GET, POST, OPTIONS")
	if r.Header.Get("Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "POST, GET")
		header.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Pragma, X-Requested-With")
		header.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}
