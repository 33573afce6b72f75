package auth

import (
	_ "crypto/sha256" // golang-jwt names the hashes and leaves linking them to its users
	_ "crypto/sha512"

	"github.com/golang-jwt/jwt/v5"
)

// symmetric is an algorithm of RFC 7518 §3.2: one secret signs and verifies.
func symmetric(m *jwt.SigningMethodHMAC) algorithm {
	return algorithm{
		method:    m,
		check:     func(k Key) error { return checkSecret(k.Secret) },
		verifying: func(k Key) any { return k.Secret },
		signing:   func(k Key) any { return k.Secret },
	}
}
