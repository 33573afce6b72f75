package auth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// claims is a payload whose members have the right shape; what they say is yet to be judged. It is what golang-jwt's
// Validator judges. Claims that waft does not use are not looked at; iat and jti only when it revokes by them.
type claims struct {
	issuer    string
	subject   string
	audience  []string // nil: no aud
	expires   *jwt.NumericDate
	notBefore *jwt.NumericDate
	rights    *Rights // the claim "waft"; nil: none

	others map[string]any // the payload's members
}

// The rest of jwt.Claims. Audience is Verifier's business: the Validator would demand one.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *claims) GetSubject() (string, error)                  { return c.subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }

func readClaims(payload []byte) (*claims, error) {
	members, err := object(payload)
	if err != nil {
		return nil, refuse("the token's payload %w", err)
	}
	c := claims{others: members}
	var errs [6]error
	c.issuer, errs[0] = readMember(members, "iss", readString)
	c.subject, errs[1] = readMember(members, "sub", readSubject)
	c.audience, errs[2] = readMember(members, "aud", readAudience)
	c.expires, errs[3] = readMember(members, "exp", readTime)
	c.notBefore, errs[4] = readMember(members, "nbf", readTime)
	c.rights, errs[5] = readMember(members, "waft", readRights)
	if err := cmp.Or(errs[:]...); err != nil {
		return nil, err
	}
	return &c, nil
}

// readMember reads a claim, if it is there; null is there.
func readMember[T any](members map[string]any, name string, read func(any) (T, error)) (claim T, err error) {
	if v, ok := members[name]; ok {
		if claim, err = read(v); err != nil {
			err = refuse("the token's %s %w", name, err)
		}
	}
	return claim, err
}

var errNotString = errors.New("is not a string")

func readString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errNotString
	}
	return s, nil
}

func readSubject(v any) (string, error) {
	s, err := readString(v)
	if err != nil {
		return "", err
	}
	return s, checkSubject(s)
}

// checkSubject keeps out what could not travel with a message on every protocol: it becomes Message.Publisher, and
// XML has no way to write most control characters.
func checkSubject(s string) error {
	if len(s) > broker.MaxIDBytes {
		return fmt.Errorf("has %d bytes, more than the limit of %d", len(s), broker.MaxIDBytes)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' }) {
		return errors.New("has a control character")
	}
	return nil
}

// readAudience takes a string or an array of them. RFC 7519 §4.1.3
func readAudience(v any) ([]string, error) {
	if s, ok := v.(string); ok {
		return []string{s}, nil
	}
	list, err := readStrings(v)
	if err != nil {
		return nil, errors.New("is neither a string nor an array of strings")
	}
	return list, nil
}

// readStrings never gives nil: an empty list is not an absent one.
func readStrings(v any) ([]string, error) {
	elements, ok := v.([]any)
	if !ok {
		return nil, errors.New("is not an array")
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		if list[i], ok = e.(string); !ok {
			return nil, errors.New("has an element that is not a string")
		}
	}
	return list, nil
}

// maxTime is the end of what can be a time, in seconds: beyond it only conversions overflow. It is so far out that
// times in milliseconds are below it, and get their own message.
const maxTime = 1e14

// readTime reads a NumericDate: seconds since 1970, maybe with a fraction, which is cut off. RFC 7519 §2
func readTime(v any) (*jwt.NumericDate, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, errors.New("is not a number")
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > maxTime {
		return nil, errors.New("is not a time in seconds since 1970")
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0)), nil
}

// maxClaimed is how many patterns a token may list: each costs a comparison for every message its holder publishes.
const maxClaimed = 256

// readRights reads the claim "waft". A member it does not know is refused: it might be a misspelt one, or a limit of
// some later time that this program would not keep.
func readRights(v any) (*Rights, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("claim is not an object")
	}
	r, total := &Rights{}, 0
	for _, list := range []struct {
		name string
		to   *[]broker.Pattern
	}{{"publish", &r.Publish}, {"subscribe", &r.Subscribe}, {"read", &r.Read}} {
		v, ok := members[list.name]
		if !ok {
			continue
		}
		names, err := readStrings(v)
		if err != nil {
			return nil, fmt.Errorf("claim is wrong: %s %w", list.name, err)
		}
		if total += len(names); total > maxClaimed {
			return nil, fmt.Errorf("claim lists more than %d patterns", maxClaimed)
		}
		for _, name := range names {
			p, err := broker.ParsePattern(name)
			if err != nil {
				return nil, fmt.Errorf("claim is wrong: %w", err)
			}
			*list.to = append(*list.to, p)
		}
	}
	if v, ok := members["manage"]; ok {
		if r.Manage, ok = v.(bool); !ok {
			return nil, errors.New("claim is wrong: manage is neither true nor false")
		}
	}
	for name := range members {
		if !slices.Contains([]string{"publish", "subscribe", "read", "manage"}, name) {
			return nil, fmt.Errorf("claim has a member %s, which means nothing here", broker.Quote(name))
		}
	}
	return r, nil
}
