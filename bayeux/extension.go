package bayeux

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// negotiate decides about the extensions that an upgrade offers. Gorilla takes any offer of permessage-deflate for one that it can
// meet; so it is shown the name alone, if there is such an offer, and nothing else. Its answer is
//
//	permessage-deflate; server_no_context_takeover; client_no_context_takeover
//
// which a client may be given whether or not it offered these two. (RFC 7692 §7.1.1)
func (h *Handler) negotiate(r *http.Request) (_ *http.Request, compress bool) {
	const header = "Sec-Websocket-Extensions"
	if !h.opts.Compression || r.Header[header] == nil {
		return r, false
	}
	compress = offersDeflate(r.Header[header])
	r = r.WithContext(r.Context()) // a copy
	r.Header = maps.Clone(r.Header)
	delete(r.Header, header)
	if compress {
		r.Header[header] = []string{deflate}
	}
	return r, compress
}

const deflate = "permessage-deflate"

// offersDeflate tells whether one of the offers in the header's lines can be met.
func offersDeflate(lines []string) bool {
	for _, line := range lines {
		for rest := line; rest != ""; {
			var offer string
			offer, rest = cutUnquoted(rest, ',')
			if deflateOffer(offer) {
				return true
			}
		}
	}
	return false
}

// deflateOffer tells whether an offer can be met. RFC 7692 §7.1: one with a parameter that is unknown, is there twice or has a wrong
// value must be declined; and so must one that wants a smaller window (server_max_window_bits), which the compressor does not
// have. It is declined also for 15 bits, the usual window: the answer would have to repeat them, and gorilla's does not.
func deflateOffer(offer string) bool {
	name, rest := cutUnquoted(offer, ';')
	if trim(name) != deflate {
		return false
	}
	seen := map[string]bool{}
	for more := len(name) < len(offer); more; {
		var param string
		had := len(rest)
		param, rest = cutUnquoted(rest, ';')
		more = len(param) < had
		key, value, valued := strings.Cut(param, "=")
		key = trim(key)
		if seen[key] {
			return false
		}
		seen[key] = true
		switch {
		case (key == "server_no_context_takeover" || key == "client_no_context_takeover") && !valued:
		case key == "client_max_window_bits" && (!valued || windowBits(value)):
		default:
			return false
		}
	}
	return true
}

// windowBits tells whether value is a number from 8 to 15 without leading zeros, perhaps in quotes.
func windowBits(value string) bool {
	value = trim(value)
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		if value, ok = strings.CutSuffix(inner, `"`); !ok {
			return false
		}
	}
	n, err := strconv.Atoi(value)
	return err == nil && n >= 8 && n <= 15 && value == strconv.Itoa(n)
}

func trim(s string) string { return strings.Trim(s, " \t") }

// cutUnquoted cuts s around the first sep that is not in a quoted string. (RFC 6455 §9.1)
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == sep:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
