package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// The sizes of RSA keys, in bits. RFC 7518 §3.3 sets the lower end; beyond the upper one a token costs too much to
// refuse.
const (
	minRSA = 2048
	maxRSA = 8192
)

// ps256 wants a salt as long as the hash, RFC 7518 §3.5. golang-jwt's own takes any.
var ps256 = &jwt.SigningMethodRSAPSS{
	SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
	Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
}

// asymmetric is an algorithm whose tokens are signed with one key and verified with another. fits says whether the
// latter is of the right kind; it is given nothing else, so a secret can never stand in for a public key or the other
// way round.
func asymmetric(m jwt.SigningMethod, fits func(crypto.PublicKey) error) algorithm {
	return algorithm{
		method: m,
		check: func(k *Key) error {
			if len(k.Secret) > 0 {
				return fmt.Errorf("%s takes a public key, and this is a secret", m.Alg())
			}
			if k.Private != nil {
				own, ok := k.Private.Public().(interface{ Equal(crypto.PublicKey) bool })
				switch {
				case k.Public == nil:
					k.Public = k.Private.Public()
				case !ok || !own.Equal(k.Public):
					return errors.New("the private key is not that of the public key")
				}
			}
			if k.Public == nil {
				return fmt.Errorf("%s needs a public key", m.Alg())
			}
			if err := fits(k.Public); err != nil {
				return fmt.Errorf("%s %w", m.Alg(), err)
			}
			return nil
		},
		verifying: func(k Key) any { return k.Public },
		signing:   func(k Key) any { return k.Private },
	}
}

func fitsRSA(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	switch {
	case !ok:
		return unfit("an RSA key", key)
	case k.N.BitLen() < minRSA || k.N.BitLen() > maxRSA:
		return fmt.Errorf("takes RSA keys of %d to %d bits, and this one has %d", minRSA, maxRSA, k.N.BitLen())
	case k.N.Bit(0) == 0:
		return errors.New("takes no RSA key whose modulus is even")
	case k.E < 3 || k.E > math.MaxInt32 || k.E%2 == 0:
		// 65537 nearly always. One as long as the modulus would make each signature a thousand times as dear.
		return errors.New("takes RSA keys whose exponent is odd and from 3 to 2147483647")
	default:
		return nil
	}
}

func fitsCurve(c elliptic.Curve) func(crypto.PublicKey) error {
	return func(key crypto.PublicKey) error {
		k, ok := key.(*ecdsa.PublicKey)
		if !ok || k.Curve != c {
			return unfit("an EC key of the curve "+c.Params().Name, key)
		}
		if _, err := k.ECDH(); err != nil {
			return errors.New("takes no EC key whose point is not on the curve")
		}
		return nil
	}
}

func fitsEd25519(key crypto.PublicKey) error {
	k, ok := key.(ed25519.PublicKey)
	switch {
	case !ok:
		return unfit("an Ed25519 key", key)
	case len(k) != ed25519.PublicKeySize:
		return fmt.Errorf("takes Ed25519 keys of %d bytes, and this one has %d", ed25519.PublicKeySize, len(k))
	case smallOrder(k):
		return errors.New("takes no Ed25519 key of small order: anybody can sign for it")
	default:
		return nil
	}
}

// smallOrder tells whether k is one of the few points for which signatures can be made without a private key.
func smallOrder(k ed25519.PublicKey) bool {
	y := slices.Clone(k)
	y[31] &= 0x7f // the sign of x
	return slices.ContainsFunc(smallOrders[:], func(s string) bool { return s == string(y) })
}

// smallOrders are their y: 1, 0 and -1, in both spellings where there are two, and the two of order 8.
var smallOrders = [...]string{
	"\x01" + zeros,
	"\x00" + zeros,
	"\xec" + ones + "\x7f",
	"\xed" + ones + "\x7f",
	"\xee" + ones + "\x7f",
	"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
	"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
}

const (
	zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	ones  = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)

// unfit says which algorithms a key is for, because that is the likelier mistake.
func unfit(want string, key crypto.PublicKey) error {
	return fmt.Errorf("takes %s, and this is %s", want, kindOfKey(key))
}

func kindOfKey(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return "an RSA key, for RS256 or PS256"
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return "an EC key of P-256, for ES256"
		case elliptic.P384():
			return "an EC key of P-384, for ES384"
		default:
			return "an EC key of " + k.Params().Name + ", which no algorithm here is for"
		}
	case ed25519.PublicKey:
		return "an Ed25519 key, for EdDSA"
	default:
		return fmt.Sprintf("a %T, which no algorithm here is for", key)
	}
}
