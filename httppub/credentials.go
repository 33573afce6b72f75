package httppub

import (
	"net/http"
	"strings"

	"waft/broker"
)

// authenticate says who sent the request. A missing or empty Authorization header (a Go client without credentials sends
// an empty one) makes the anonymous principal, about whom the broker decides. One that is there has to be right, even
// where an anonymous publisher would do: its sender means to be somebody. Errors: Unauthenticated, the Authenticator's.
func authenticate(r *http.Request, tokens broker.Authenticator) (broker.Principal, error) {
	refused := func(text string) (broker.Principal, error) {
		return broker.Principal{}, &broker.Error{Kind: broker.Unauthenticated, Text: text}
	}
	if len(r.Header["Authorization"]) > 1 {
		return refused("the request has several Authorization headers; send one")
	}
	scheme, credential, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	credential = strings.TrimSpace(credential)
	basic := strings.EqualFold(scheme, "Basic")
	switch {
	case scheme == "":
		return broker.Principal{}, nil
	case basic && strings.HasPrefix(credential, "b'"): // pubcontrol 3.5.0 on Python 3 sends the repr of its bytes
		return refused("the Basic credentials were spoiled by the client (b'…', a bug of Python's pubcontrol); " +
			"give it the realm's id and key instead, so that it sends a token")
	case basic:
		return refused("Basic credentials are not accepted; give the client the realm's id and key, so that it sends a token")
	case !strings.EqualFold(scheme, "Bearer"):
		return refused("the Authorization header is not understood; it must read: Bearer, a space, a token")
	case credential == "":
		return refused("the Authorization header has no token after Bearer")
	case tokens == nil:
		return refused("the realm accepts no tokens")
	}
	return tokens.Authenticate(r.Context(), credential)
}
