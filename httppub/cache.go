package httppub

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waft/broker"
)

// What caches are told. An answer may be stored by those in between, a CDN, only if everybody may have it. It may be used
// unasked only if nothing will be added to it: the end of a history has to be asked for each time, which costs a 304. Messages
// can still go from a page, removed or replaced or grown too old, so such a page has a short life too and is not immutable.

// cache says in the answer's head how a page may be cached.
func (h *Reader) cache(c *call, p page) {
	age := int64(h.limits.Load().PageAge.Seconds())
	rule := "no-cache"
	if p.closed && age > 0 {
		rule = "max-age=" + strconv.FormatInt(age, 10)
	}
	scope := "public"
	if h.opts.Broker.May(c.Context(), broker.Principal{}, broker.ActRead, broker.Pattern(c.to.channel)) != nil {
		scope = "private"
		c.w.Header().Add("Vary", "Authorization")
	}
	c.w.Header().Set("Cache-Control", scope+", "+rule)
}

// answer sends a body of JSON; or, if it may be cached and the client has it, that it has not changed.
func (h *Reader) answer(c *call, body []byte) {
	header, tag := c.w.Header(), ""
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	} else {
		tag = entityTag(body)
	}
	if unchanged := deliver(c.w, c.Request, body, tag, h.within); unchanged {
		h.counters.unchanged.Add(1)
	}
}

// deliver sends a body of JSON; or, if it has a tag and the client has what that stands for, says that it is unchanged. within is the time that
// a client has to take it.
func deliver(w http.ResponseWriter, r *http.Request, body []byte, tag string, within time.Duration) (unchanged bool) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if tag != "" {
		header.Set("ETag", tag)
		if has(r.Header["If-None-Match"], tag) {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return false
	}
	// A client that takes nothing must not keep a goroutine and the body for ever. net/http takes the deadline off again
	// when the response is written; what fails here fails for somebody who has gone.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within))
	_, _ = w.Write(body) //nolint:gosec // G705: it is JSON, and no browser may think otherwise
	return false
}

// entityTag is a strong one: equal bodies, and no others, have equal tags. (RFC 9110 §8.8.3)
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// has tells whether If-None-Match names the tag; what a cache on the way has made weak counts. (RFC 9110 §13.1.2) Tags
// have no comma, ours at least, and a foreign one that has is not ours.
func has(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
