package httppub

import (
	"net/http"
	"strings"

	"waft/broker"
)

// What the doors below this package (sse) have in common with it: who asks, from which page, and what a refusal looks like.

// Authenticate says who sent the request, by its Authorization header; nobody is anonymous. Errors: Unauthenticated, the
// Authenticator's.
func Authenticate(r *http.Request, tokens broker.Authenticator) (broker.Principal, error) {
	return authenticate(r, tokens)
}

// Refuse answers with the status and the words of err, as text or JSON.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	refuse(nil, err).write(w, r)
}

// Origins are web pages that may use a door, beside those of the server's own host.
type Origins struct{ list origins }

// ParseOrigins reads origins as browsers send them, "*" and "null". The error is of kind Invalid.
func ParseOrigins(list []string) (Origins, error) {
	o, err := parseOrigins(list)
	return Origins{o}, err
}

// Allow tells whether a page of the origin may talk to host. The scheme is not compared with the server's own: behind a proxy
// that ends TLS it is not known.
func (o Origins) Allow(origin, host string) bool {
	if o.list.any || o.list.listed[strings.ToLower(origin)] {
		return true
	}
	_, own, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(own, host)
}
