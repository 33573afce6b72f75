package sse

import "net/http"

// admit tells whether a page may listen, and writes so into the response's headers. A request without an Origin is of no page, or of one
// of the server's own: across origins browsers send it always, but where the page cannot read the answer.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if !h.origins.Allow(origin, r.Host) {
		return false
	}
	// Never "*": an EventSource may be made with credentials, with which browsers do not accept it.
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	return true
}

// preflight answers what a browser asks before a cross-origin request with headers, as scripts make it that stand for EventSource.
func preflight(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Allow", allowed)
	header.Set("Access-Control-Allow-Methods", http.MethodGet)
	header.Set("Access-Control-Allow-Headers", "Accept, Authorization, Cache-Control, Last-Event-ID, X-Requested-With")
	header.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

const allowed = "GET, OPTIONS"
