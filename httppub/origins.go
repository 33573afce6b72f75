package httppub

import (
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
)

// origins are the pages of other origins whose scripts may read what a Reader answers. (Fetch standard, CORS protocol.)
// Nobody is refused for an Origin: a GET changes nothing, a browser keeps the answer from a page that is not listed,
// and a DELETE it does not send without asking first.
type origins struct {
	any    bool
	listed map[string]bool
}

// parseOrigins reads origins as browsers send them, "*" and "null". The error is of kind Invalid.
func parseOrigins(list []string) (origins, error) {
	o := origins{listed: map[string]bool{}}
	for _, s := range list {
		u, err := url.Parse(s)
		switch {
		case s == "*":
			o.any = true
		case s == "null":
			o.listed[s] = true
		case err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			return o, broker.Errorf(broker.Invalid, "%s is not an origin: write it like https://app.example", broker.Quote(s))
		default:
			o.listed[strings.ToLower(u.Scheme+"://"+u.Host)] = true
		}
	}
	return o, nil
}

// admit says in the answer whose scripts may read it. Where that depends on who asks, every answer says that it does,
// or a cache would hand one page's to another. Credentials are never allowed: a browser has none for this
// server, and a token is sent by the script.
func (o *origins) admit(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	switch origin := r.Header.Get("Origin"); {
	case o.any:
		header.Set("Access-Control-Allow-Origin", "*")
	case len(o.listed) == 0:
		return
	default:
		header.Add("Vary", "Origin")
		if !o.listed[strings.ToLower(origin)] {
			return
		}
		header.Set("Access-Control-Allow-Origin", origin)
	}
	header.Set("Access-Control-Expose-Headers", "ETag, Link, Retry-After")
}

// preflight answers OPTIONS: which methods there are and, if admit lets it, what a script may send.
func (o *origins) preflight(w http.ResponseWriter, methods string) {
	header := w.Header()
	header.Set("Allow", methods)
	if header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "Authorization, If-None-Match, Accept, Content-Type, X-Requested-With")
		header.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
