package httppub

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"waft/broker"
)

// What the doors below this package (sse, ws) have in common with it: who asks, from which page, and what a refusal looks like.

// Authenticate says who sent the request, by its Authorization header; nobody is anonymous. Errors: Unauthenticated, the
// Authenticator's.
func Authenticate(r *http.Request, tokens broker.Authenticator) (broker.Principal, error) {
	return authenticate(r, tokens)
}

// AuthenticateAddress is Authenticate for clients that can send no header (an EventSource, a page's WebSocket): token is what stands in the
// address, "" if nothing does. Addresses get into logs and histories of browsers; so a token that is in one must end within most. Errors:
// Invalid, Unauthenticated, those of tokens.
func AuthenticateAddress(r *http.Request, tokens broker.Authenticator, token string, most time.Duration) (broker.Principal, error) {
	switch {
	case token == "":
		return authenticate(r, tokens)
	case r.Header.Get("Authorization") != "":
		return broker.Principal{}, broker.Errorf(broker.Invalid, "the request has both an Authorization header and an access_token; send one")
	case tokens == nil:
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the realm accepts no tokens")
	}
	who, err := tokens.Authenticate(r.Context(), token)
	if err != nil {
		return broker.Principal{}, err
	}
	if who.Expires.IsZero() || time.Until(who.Expires) > most {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated,
			"the access_token is good for more than %v, and addresses are kept in many places; make one that ends sooner, or send it in the Authorization header", most)
	}
	return who, nil
}

// PeerAddress is the other end of the request's connection; not valid where there is no network: in a test, on a pipe.
func PeerAddress(r *http.Request) netip.Addr { return clientAddress(r, nil) }

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
