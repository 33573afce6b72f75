package auth

import (
	"cmp"
	"crypto"
	"crypto/elliptic"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"waft/broker"
)

// Key verifies a realm's tokens. A realm may have several, so that one can take over from another.
type Key struct {
	ID        string           // a token's kid names it; "" if nothing needs to
	Algorithm string           // a name of Algorithms; "" means HS256. The only one its tokens may use
	Secret    []byte           `json:"-"` // of HS…: at least MinSecret bytes; see ParseSecret
	Public    crypto.PublicKey // of the others; see ParsePublicKey. nil: that of Private
	Private   crypto.Signer    `json:"-"` // of the others, to mint; see ParsePrivateKey. nil: the key only verifies
	Grants    []broker.Grant   // the most that its tokens may do; nil means Everything

	// Issuer is the iss of the key's tokens, for a service that signs for many; "" means the realm. With one, they must
	// have an aud: Audience, or the realm where that is "".
	Issuer, Audience string
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
	check     func(*Key) error // is the key's material fit for it? It may fill in what follows from the rest
	verifying func(Key) any    // what method.Verify takes
	signing   func(Key) any    // what method.Sign takes
}

// algorithms are those a key may have. "none" is not one of them.
var algorithms = map[string]algorithm{
	"HS256": symmetric(jwt.SigningMethodHS256),
	"HS384": symmetric(jwt.SigningMethodHS384),
	"HS512": symmetric(jwt.SigningMethodHS512),
	"RS256": asymmetric(jwt.SigningMethodRS256, fitsRSA),
	"PS256": asymmetric(ps256, fitsRSA),
	"ES256": asymmetric(jwt.SigningMethodES256, fitsCurve(elliptic.P256())),
	"ES384": asymmetric(jwt.SigningMethodES384, fitsCurve(elliptic.P384())),
	"EdDSA": asymmetric(jwt.SigningMethodEdDSA, fitsEd25519),
}

// Algorithms are the names of those a key may have.
func Algorithms() []string { return slices.Sorted(maps.Keys(algorithms)) }

// PublicAlgorithms are those whose keys may be published.
func PublicAlgorithms() []string { return []string{"ES256", "ES384", "EdDSA", "PS256", "RS256"} }

func algorithmList(list []string) string { return strings.Join(list, ", ") }

// prepared is a key ready for use: checked, with what its defaults stand for.
type prepared struct {
	Key
	algorithm
	validator *jwt.Validator
}

// judgedFor makes ready to judge tokens of a realm.
func (k *prepared) judgedFor(realm string) {
	k.validator = jwt.NewValidator(jwt.WithIssuer(cmp.Or(k.Issuer, realm)), jwt.WithExpirationRequired(), jwt.WithLeeway(Leeway))
}

func prepare(k Key) (prepared, error) {
	k.Algorithm = cmp.Or(k.Algorithm, defaultAlgorithm)
	a, ok := algorithms[k.Algorithm]
	if !ok {
		return prepared{}, broker.Errorf(broker.Invalid, "key %s: the algorithm %s is none of %s",
			broker.Quote(k.ID), broker.Quote(k.Algorithm), algorithmList(Algorithms()))
	}
	if err := a.check(&k); err != nil {
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

// Signs tells whether the key can mint.
func (k Key) Signs() bool { return len(k.Secret) > 0 || k.Private != nil }
