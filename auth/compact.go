package auth

import (
	"encoding/base64"
	"strings"

	"waft/broker"
)

// MaxToken is the longest a token may be, in bytes. Those of the known clients have about 120; one that lists a hundred
// patterns still fits, and this much passes through everybody's limits on HTTP headers.
const MaxToken = 8 << 10

// compact is a token taken apart and believed in nothing (RFC 7515 §3.1).
type compact struct {
	signed    string // what the signature is over: header and payload as they came
	header    []byte
	payload   []byte
	signature []byte
}

func refuse(format string, args ...any) error {
	return broker.Errorf(broker.Unauthenticated, format, args...)
}

// splitToken undoes the compact form. Each token has one spelling: no padding, no line breaks (which Go's decoder
// would skip), no bits left over; else a list of tokens no longer wanted could be walked around.
func splitToken(s string) (compact, error) {
	switch {
	case s == "":
		return compact{}, refuse("the token is empty")
	case len(s) > MaxToken:
		return compact{}, refuse("the token has %d bytes, more than the limit of %d", len(s), MaxToken)
	case strings.Count(s, ".") != 2:
		return compact{}, refuse("the token does not have three parts with a dot between them")
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return !inToken(r) }); i >= 0 {
		return compact{}, refuse("the token has a character at byte %d that no token has", i)
	}
	first, last := strings.IndexByte(s, '.'), strings.LastIndexByte(s, '.')
	var parts [3][]byte
	for i, part := range [3]string{s[:first], s[first+1 : last], s[last+1:]} {
		decoded, err := segment.DecodeString(part)
		if err != nil {
			return compact{}, refuse("the token's %s is not base64url", [3]string{"header", "payload", "signature"}[i])
		}
		parts[i] = decoded
	}
	return compact{signed: s[:last], header: parts[0], payload: parts[1], signature: parts[2]}, nil
}

var segment = base64.RawURLEncoding.Strict()

func inToken(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}
