package auth

import (
	"cmp"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// Key verifies a realm's tokens. A realm may have several, so that one can take over from another.
type Key struct {
	ID        string         // a token's kid names it; "" if nothing needs to
	Algorithm string         // HS256, HS384 or HS512; "" means HS256. The only one its tokens may use
	Secret    []byte         `json:"-"` // at least MinSecret bytes; see ParseSecret
	Grants    []broker.Grant // the most that its tokens may do; nil means Everything
}

// String names the key. It shows no secret, so that a key may end up in a log.
func (k Key) String() string {
	return fmt.Sprintf("key %s (%s)", broker.Quote(k.ID), cmp.Or(k.Algorithm, defaultAlgorithm))
}

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// defaultAlgorithm is the one that all of Fanout's client libraries use.
const defaultAlgorithm = "HS256"

// algorithm is how one alg of RFC 7518 signs and verifies.
type algorithm struct {
	method    jwt.SigningMethod
	check     func(Key) error // is the key's material fit for it?
	verifying func(Key) any   // what method.Verify takes
	signing   func(Key) any   // what method.Sign takes
}

// algorithms are those a key may have. "none" is not one of them.
var algorithms = map[string]algorithm{
	"HS256": symmetric(jwt.SigningMethodHS256),
	"HS384": symmetric(jwt.SigningMethodHS384),
	"HS512": symmetric(jwt.SigningMethodHS512),
}

// prepared is a key ready for use: checked, with what its defaults stand for.
type prepared struct {
	Key
	algorithm
}

func prepare(k Key) (prepared, error) {
	k.Algorithm = cmp.Or(k.Algorithm, defaultAlgorithm)
	a, ok := algorithms[k.Algorithm]
	if !ok {
		return prepared{}, broker.Errorf(broker.Invalid, "key %s: the algorithm %s is none of HS256, HS384 and HS512",
			broker.Quote(k.ID), broker.Quote(k.Algorithm))
	}
	if err := a.check(k); err != nil {
		return prepared{}, broker.Errorf(broker.Invalid, "key %s: %w", broker.Quote(k.ID), err)
	}
	if k.Grants == nil {
		k.Grants = Everything().Grants()
	}
	if err := checkGrants(k.Grants); err != nil {
		return prepared{}, broker.Errorf(broker.Invalid, "key %s: %w", broker.Quote(k.ID), err)
	}
	return prepared{Key: k, algorithm: a}, nil
}
