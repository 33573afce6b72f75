package auth

import (
	"cmp"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// DefaultLifetime is that of a minted token, unless asked for otherwise: what most of Fanout's client libraries use.
const DefaultLifetime = time.Hour

// Claims is what a minted token says. The zero Claims ask for a token that holds for DefaultLifetime, says nothing
// about its holder, and may do what its key may.
type Claims struct {
	Subject   string        // who holds it; "" for nobody in particular. At most broker.MaxIDBytes, no control characters
	Lifetime  time.Duration // from now, in whole seconds rounded up; 0 means DefaultLifetime, at most DefaultMaxLifetime
	Expires   time.Time     // when it stops to hold, in place of Lifetime; it may be past, for those who see that it is refused
	NotBefore time.Time     // when it begins to hold; zero: at once
	ID        string        // its jti, by which it can be revoked; "": none. At most broker.MaxIDBytes, no control characters
	Issued    bool          // whether it says when it was made (iat), by which it can be revoked
	Rights    *Rights       // the most it may do; nil: as much as its key. Beyond the key's grants it is an error
}

// Mint makes a token of the realm, signed with key. The error is of kind Invalid.
func Mint(key Key, realm string, c Claims) (string, error) {
	if err := checkRealm(realm); err != nil {
		return "", err
	}
	k, err := prepare(key)
	if err != nil {
		return "", err
	}
	payload, err := c.payload(k, realm)
	if err != nil {
		return "", err
	}
	if !k.Signs() {
		return "", broker.Errorf(broker.Invalid, "%v has no private key, so it verifies tokens and cannot sign them", k)
	}
	t := jwt.NewWithClaims(k.method, payload)
	if k.ID != "" {
		t.Header["kid"] = k.ID
	}
	token, err := t.SignedString(k.signing(k.Key))
	if err != nil {
		return "", broker.Errorf(broker.Invalid, "%v cannot sign: %w", k, err)
	}
	if len(token) > MaxToken {
		return "", broker.Errorf(broker.Invalid, "the token would have %d bytes, more than the limit of %d", len(token), MaxToken)
	}
	return token, nil
}

// payload writes only what was asked for.
func (c Claims) payload(k prepared, realm string) (jwt.MapClaims, error) {
	switch {
	case c.Lifetime < 0:
		return nil, broker.Errorf(broker.Invalid, "the token's lifetime of %v is negative", c.Lifetime)
	case c.Lifetime > DefaultMaxLifetime:
		return nil, broker.Errorf(broker.Invalid, "the token's lifetime of %s is more than %s, which no realm takes by default",
			lifetime(c.Lifetime), lifetime(DefaultMaxLifetime))
	case !c.Expires.IsZero() && (c.Expires.Unix() < 0 || time.Until(c.Expires) > DefaultMaxLifetime):
		return nil, broker.Errorf(broker.Invalid, "the token would expire at %s, which no realm takes by default", stamp(c.Expires))
	}
	payload := jwt.MapClaims{"iss": cmp.Or(k.Issuer, realm), "exp": c.ends().Unix()}
	for _, text := range []struct{ name, claim, value string }{{"subject", "sub", c.Subject}, {"id", "jti", c.ID}} {
		if text.value == "" {
			continue
		}
		if !utf8.ValidString(text.value) {
			return nil, broker.Errorf(broker.Invalid, "the token's %s is not UTF-8", text.name)
		}
		if err := checkSubject(text.value); err != nil {
			return nil, broker.Errorf(broker.Invalid, "the token's %s %w", text.name, err)
		}
		payload[text.claim] = text.value
	}
	if k.Issuer != "" {
		payload["aud"] = cmp.Or(k.Audience, realm)
	}
	if c.Issued {
		payload["iat"] = time.Now().Unix()
	}
	if !c.NotBefore.IsZero() {
		if c.NotBefore.Unix() < 0 || c.NotBefore.Unix() >= payload["exp"].(int64) {
			return nil, broker.Errorf(broker.Invalid, "the token would begin to hold at %s, when it has expired",
				stamp(c.NotBefore))
		}
		payload["nbf"] = c.NotBefore.Unix()
	}
	if c.Rights != nil {
		if err := c.Rights.within(k); err != nil {
			return nil, err
		}
		payload["waft"] = c.Rights
	}
	return payload, nil
}

// ends is when the token expires.
func (c Claims) ends() time.Time {
	if !c.Expires.IsZero() {
		return c.Expires
	}
	return time.Now().Add(cmp.Or(c.Lifetime, DefaultLifetime) + time.Second - 1).Truncate(time.Second)
}

// within refuses rights that the key does not have: the Verifier would take them away without a word, and whoever
// holds the token would wonder.
func (r Rights) within(k prepared) error {
	grants := r.Grants()
	if err := checkGrants(grants); err != nil {
		return err
	}
	if n := len(r.Publish) + len(r.Subscribe) + len(r.Read); n > maxClaimed {
		return broker.Errorf(broker.Invalid, "the token would list %d patterns, more than the limit of %d", n, maxClaimed)
	}
	for _, g := range grants {
		if !covered(k.Grants, g) {
			return broker.Errorf(broker.Invalid, "%v does not allow its tokens to %s %s", k, verb(g.Action), g.Pattern)
		}
	}
	return nil
}
