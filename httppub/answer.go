package httppub

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is how many seconds those should wait for whom there is no room now: until the next look at a token of an address that
// has sent too many bad ones, and everything else has passed by then or takes longer than anybody can tell.
const retryAfter = "5"

// answer is what a request gets: its message alone as a line of text, or all of it as JSON.
type answer struct {
	Message  string    `json:"message"`
	Code     string    `json:"code,omitempty"`    // of an error; the broker's kinds, and method_not_allowed, unsupported_encoding
	Item     *int      `json:"item,omitempty"`    // index of the item at fault, from 0
	Receipts []receipt `json:"receipts,omitzero"` // of what was published

	status     int           // 0 means 200
	retryAfter time.Duration // of a 429; 0: it is not known
	written    bool          // the answer has been sent
}

// write sends the answer in the form that the request prefers.
func (a answer) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff") // the text quotes what a stranger sent
	switch a.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", challenge(r))
	case http.StatusMethodNotAllowed:
		if h.Get("Allow") == "" {
			h.Set("Allow", http.MethodPost)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable: // RFC 6585 §4, RFC 9110 §15.6.4
		if a.retryAfter > 0 {
			h.Set("Retry-After", strconv.FormatInt(int64((a.retryAfter+time.Second-1)/time.Second), 10))
		} else if h.Get("Retry-After") == "" {
			h.Set("Retry-After", retryAfter)
		}
	case http.StatusUnsupportedMediaType:
		h.Set("Accept-Encoding", "gzip, identity") // RFC 9110 §15.5.16
	case http.StatusRequestTimeout:
		if r.ProtoMajor == 1 { // what is left of the request would be taken for the next; RFC 9110 §15.5.9
			h.Set("Connection", "close")
		}
	}
	asJSON := prefersJSON(r.Header["Accept"])
	if asJSON {
		h.Set("Content-Type", "application/json")
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	// Somebody who has gone does not read the answer; there is nobody to tell.
	if !asJSON {
		_, _ = io.WriteString(w, a.Message+"\n")
		return
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(a)
}

// challenge is the WWW-Authenticate of a 401. RFC 6750 §3.1: no error code for those who sent no credential.
func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") == "" {
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// prefersJSON tells whether an Accept header names application/json and does not rate text/plain above it. Wildcards
// mean text, which is what everybody reads; nothing is ever "not acceptable".
func prefersJSON(accept []string) bool {
	var asJSON, asText float64
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			media, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if s, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(s, 64); err != nil {
					continue
				}
			}
			switch media {
			case "application/json":
				asJSON = max(asJSON, q)
			case "text/plain":
				asText = max(asText, q)
			}
		}
	}
	return asJSON > 0 && asJSON >= asText
}
