package bayeux

import (
	"net/http"
	"net/url"
	"strings"

	"waft/broker"
)

// originList is the set of web pages that may use the door. A page can have a visitor's browser send requests to servers that
// only the visitor reaches: one on the same machine, or behind the same firewall. No consent of ours is needed for a POST, a
// WebSocket or a script element, and the answers of the last two can be read; so all are refused here.
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

// admit applies the rule and says so in the response's headers.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return h.admitWithoutOrigin(w, r)
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if !h.origins.allows(origin, r.Host) {
		h.refuseOrigin(w, "origin "+broker.Quote(origin))
		return false
	}
	// Never "*": the clients send their requests with credentials, with which browsers do not accept it.
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Credentials", "true")
	return true
}

// admitWithoutOrigin applies the rule where browsers send no Origin: to requests of script elements, and to those of the server's own
// pages. Sec-Fetch-Site says whether the page was of another site, but only to servers that are reached over TLS or on
// the same machine. Which page it was says the Referer; a page can withhold it, and cannot forge it. A browser that
// shows neither is refused what a script element can ask for; what is no browser comes from no page.
func (h *Handler) admitWithoutOrigin(w http.ResponseWriter, r *http.Request) bool {
	site, referer := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Referer")
	callback := r.Method == http.MethodGet && r.URL.RawQuery != ""
	switch {
	case h.origins.any || site == "same-origin" || site == "none":
		return true
	case site == "" && !callback:
		return true
	case site == "" && referer == "" && !isBrowser(r):
		return true
	}
	page := originOf(referer)
	if page != "" && h.origins.allows(page, r.Host) {
		return true
	}
	h.refuseOrigin(w, "a request without Origin, with Referer of "+broker.Quote(page))
	return false
}

func (h *Handler) refuseOrigin(w http.ResponseWriter, what string) {
	h.counters.refuse(RefusedOrigin)
	h.log.sampled(&h.log.origin, "origin refused: list it under origins if its pages are yours", broker.Errorf(broker.Forbidden, "%s", what))
	refuse(w, http.StatusForbidden, "pages of this origin may not use this server")
}

// isBrowser tells whether the request says that it comes from a browser, as all browsers do, whatever the page wants.
func isBrowser(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("User-Agent"), "Mozilla/")
}

// originOf cuts the origin out of an address; "" if there is none in it.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// clientHeaders are the header fields that the clients' own requests have. Pragma is Faye's.
const clientHeaders = "Accept, Authorization, Content-Type, Pragma, X-Requested-With"

// allowedHeaders is what pages may send, with what the operator adds.
func allowedHeaders(more []string) (string, error) {
	for _, name := range more {
		if name == "" || strings.IndexFunc(name, notToken) >= 0 {
			return "", broker.Errorf(broker.Invalid, "%s is not the name of a header field", broker.Quote(name))
		}
	}
	return strings.Join(append([]string{clientHeaders}, more...), ", "), nil
}

// CheckHeaders tells whether Options.AllowHeaders can be list.
func CheckHeaders(list []string) error {
	_, err := allowedHeaders(list)
	return err
}

// notToken tells whether a name cannot have r. (RFC 9110 §5.6.2)
func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// servePreflight answers the question a browser asks before a cross-origin POST.
func (h *Handler) servePreflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Allow", "GET, POST, OPTIONS")
	if r.Header.Get("Origin") != "" {
		header.Set("Access-Control-Allow-Methods", "POST, GET")
		header.Set("Access-Control-Allow-Headers", h.allowed)
		header.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}
