package auth

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// judge decides whether the token is for this realm and this moment. The Validator finds out, and here it gets words.
func (v *Verifier) judge(key *prepared, c *claims) error {
	err := key.validator.Validate(c)
	now := time.Now()
	switch {
	case err == nil:
	case key.Issuer != "" && (c.issuer == "" || errors.Is(err, jwt.ErrTokenInvalidIssuer)):
		return refuse("the token's issuer is %s, not %s, for which its key is", broker.Quote(c.issuer), broker.Quote(key.Issuer))
	case c.issuer == "":
		return refuse("the token has no issuer (iss); it must be the realm %q", v.realm)
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refuse("the token's issuer is %s, not the realm %q", broker.Quote(c.issuer), v.realm)
	case c.expires == nil:
		return refuse("the token has no expiry (exp)")
	case errors.Is(err, jwt.ErrTokenExpired):
		// Not refuse: that it was good, and only lately, makes a difference to whoever has it.
		return &broker.Error{
			Kind: broker.Unauthenticated, Text: "the token expired at " + stamp(c.expires.Time), Err: broker.ErrCredentialExpired,
		}
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse("the token is not valid before %s%s", stamp(c.notBefore.Time), milliseconds(c.notBefore.Time, now))
	default:
		return refuse("the token's claims do not hold")
	}
	audience := cmp.Or(key.Audience, v.realm)
	switch {
	case key.Issuer != "" && c.audience == nil:
		// Its issuer signs for many: only aud tells that this one is meant for here.
		return refuse("the token has no audience (aud); it must be %s", broker.Quote(audience))
	case c.audience != nil && !slices.Contains(c.audience, audience):
		if audience == v.realm {
			return refuse("the token is for another audience (aud) than the realm %q", v.realm)
		}
		return refuse("the token is for another audience (aud) than %s", broker.Quote(audience))
	}
	if c.expires.After(now.Add(v.maxLifetime).Add(Leeway)) {
		return refuse("the token expires at %s, more than %s ahead%s", stamp(c.expires.Time), lifetime(v.maxLifetime),
			milliseconds(c.expires.Time, now))
	}
	return nil
}

// milliseconds adds to a refusal what is most often behind it. JavaScript's Date.now() counts in milliseconds, and
// Fanout let such tokens pass.
func milliseconds(t, now time.Time) string {
	if off := time.UnixMilli(t.Unix()).Sub(now).Abs(); off > DefaultMaxLifetime {
		return ""
	}
	return "; it looks like milliseconds, and counts in seconds since 1970"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// lifetime shows a duration in days where it has that many.
func lifetime(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return strconv.Itoa(int(d/day)) + " days"
	}
	return d.String()
}
