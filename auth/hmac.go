package auth

import (
	_ "crypto/sha256" // golang-jwt names the hashes and leaves linking them to its users
	_ "crypto/sha512"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// symmetric is an algorithm of RFC 7518 §3.2: one secret signs and verifies.
func symmetric(m *jwt.SigningMethodHMAC) algorithm {
	return algorithm{
		method: m,
		check: func(k *Key) error {
			switch {
			case k.Public != nil:
				return fmt.Errorf("%s %w", m.Alg(), unfit("a secret", k.Public))
			case k.Private != nil:
				return fmt.Errorf("%s %w", m.Alg(), unfit("a secret", k.Private.Public()))
			default:
				return checkSecret(k.Secret)
			}
		},
		verifying: func(k Key) any { return k.Secret },
		signing:   func(k Key) any { return k.Secret },
	}
}
