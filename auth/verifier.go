package auth

import (
	"context"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// Leeway is how far the clocks of whoever mints tokens and of waft may be apart: a token is taken that much before
// its nbf and after its exp.
const Leeway = 30 * time.Second

// DefaultMaxLifetime is how far ahead a token's exp may lie, unless configured: ten years, so that nobody's tokens are
// refused but those that count in milliseconds.
const DefaultMaxLifetime = 3652 * 24 * time.Hour

// VerifierOptions says which tokens a realm takes.
type VerifierOptions struct {
	// Realm is the realm's id, [a-z0-9-]{1,63}: the iss of its tokens. Required.
	Realm string

	// Keys verify. A token that names one by its kid is held against that one, any other against all of them in this
	// order; what the token may do then is up to the key that fits. Without keys no token is taken.
	Keys []Key

	// MaxLifetime is how far ahead exp may lie, from now; 0 means DefaultMaxLifetime.
	MaxLifetime time.Duration
}

// Verifier tells who holds a token. It implements broker.Authenticator for one realm, and never changes.
type Verifier struct {
	realm       string
	keys        []prepared
	maxLifetime time.Duration
	validator   *jwt.Validator
}

// NewVerifier makes a Verifier. The error is of kind Invalid.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if err := checkRealm(o.Realm); err != nil {
		return nil, err
	}
	if o.MaxLifetime < 0 {
		return nil, broker.Errorf(broker.Invalid, "the longest lifetime of a token must not be negative")
	}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = DefaultMaxLifetime
	}
	v := &Verifier{
		realm:       o.Realm,
		maxLifetime: o.MaxLifetime,
		validator:   jwt.NewValidator(jwt.WithIssuer(o.Realm), jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway)),
	}
	for _, k := range o.Keys {
		p, err := prepare(k)
		if err != nil {
			return nil, err
		}
		if v.named(k.ID) != nil {
			return nil, broker.Errorf(broker.Invalid, "two keys of realm %q have the id %s", o.Realm, broker.Quote(k.ID))
		}
		p.Private = nil // it is not needed to verify, so it is not kept in memory
		v.keys = append(v.keys, p)
	}
	return v, nil
}

// Authenticate verifies a token. The principal's Issuer is the realm; it Expires when the leeway after exp is over,
// so that what a late token began is not ended at once. Every error is of kind Unauthenticated.
func (v *Verifier) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	parts, err := splitToken(token)
	if err != nil {
		return broker.Principal{}, err
	}
	key, err := v.verify(parts)
	if err != nil {
		return broker.Principal{}, err
	}
	// Only now is the payload worth reading.
	c, err := readClaims(parts.payload)
	if err != nil {
		return broker.Principal{}, err
	}
	if err := v.judge(c); err != nil {
		return broker.Principal{}, err
	}
	grants := key.Grants
	if c.rights != nil {
		grants = narrow(key.Grants, c.rights.Grants())
	}
	return broker.Principal{
		Subject: c.subject,
		Issuer:  v.realm,
		Grants:  grants,
		Expires: c.expires.Add(Leeway),
	}, nil
}

// verify finds the key that made the signature.
func (v *Verifier) verify(t compact) (*prepared, error) {
	header, err := object(t.header)
	if err != nil {
		return nil, refuse("the token's header %w", err)
	}
	// RFC 7515 §4.1.11: what crit lists must be understood, and waft understands no extension.
	if _, ok := header["crit"]; ok {
		return nil, refuse("the token's header has crit, and no critical extension is supported")
	}
	alg, ok := header["alg"].(string)
	if !ok {
		return nil, refuse("the token's header has no alg")
	}
	kid, ok := header["kid"].(string)
	if _, there := header["kid"]; there && !ok {
		return nil, refuse("the token's kid is not a string")
	}
	if key := v.named(kid); key != nil {
		if key.Algorithm != alg {
			return nil, refuse("the token's alg is %s, and the key it names is for %s", broker.Quote(alg), key.Algorithm)
		}
		if !key.signed(t) {
			return nil, errSignature
		}
		return key, nil
	}
	known := false
	for i := range v.keys {
		// The key says what the algorithm is; the token only whether it agrees. RFC 8725 §3.1
		if key := &v.keys[i]; key.Algorithm == alg {
			if known = true; key.signed(t) {
				return key, nil
			}
		}
	}
	switch {
	case len(v.keys) == 0:
		return nil, refuse("this realm has no keys, so it takes no tokens")
	case !known:
		return nil, refuse("the token's alg is %s, which is that of no key of this realm", broker.Quote(alg))
	default:
		return nil, errSignature
	}
}

var errSignature = refuse("the token's signature does not match any key of this realm")

// named finds the key with an id; nil if there is none or the id is empty.
func (v *Verifier) named(id string) *prepared {
	for i := range v.keys {
		if id != "" && v.keys[i].ID == id {
			return &v.keys[i]
		}
	}
	return nil
}

// signed tells whether k made the token's signature.
func (k *prepared) signed(t compact) bool {
	return k.method.Verify(t.signed, t.signature, k.verifying(k.Key)) == nil
}
