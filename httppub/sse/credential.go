package sse

import (
	"net/http"
	"time"

	"waft/broker"
	"waft/httppub"
)

// authenticate says who asks: by the Authorization header or, since an EventSource can send none, by access_token in the
// address. Addresses get into logs and histories of browsers; so a token that is in one must end soon. Errors: Invalid,
// Unauthenticated, broker.ErrDamped, the Authenticator's.
func (h *Handler) authenticate(r *http.Request, a ask) (broker.Principal, error) {
	tokens := h.opts.Damper.From(h.opts.ClientAddress(r), h.opts.Authenticator)
	switch {
	case a.token == "":
		return httppub.Authenticate(r, tokens)
	case r.Header.Get("Authorization") != "":
		return broker.Principal{}, broker.Errorf(broker.Invalid, "the request has both an Authorization header and an access_token; send one")
	case h.opts.Authenticator == nil:
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the realm accepts no tokens")
	}
	who, err := tokens.Authenticate(r.Context(), a.token)
	if err != nil {
		return broker.Principal{}, err
	}
	if most := h.opts.MaxTokenLife; who.Expires.IsZero() || time.Until(who.Expires) > most {
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated,
			"the access_token is good for more than %v, and addresses are kept in many places; make one that ends sooner, or send it in the Authorization header", most)
	}
	return who, nil
}
