package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

func TestVerifier_takes_tokens_of_every_algorithm(t *testing.T) {
	for alg, pair := range pairs {
		at(t, 0, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{{ID: "k", Algorithm: alg, Public: pair().Public()}}})
			for _, header := range []string{`{"alg":"` + alg + `"}`, `{"alg":"` + alg + `","kid":"k"}`} {
				if _, err := v.Authenticate(t.Context(), signPair(alg, pair(), header, goodPayload)); err != nil {
					t.Errorf("%s: %v", header, err)
				}
			}
			_, err := v.Authenticate(t.Context(), signPair(alg, pair(), `{"alg":"`+alg+`"}`, goodPayload)[:60])
			if broker.KindOf(err) != broker.Unauthenticated {
				t.Errorf("%s: half a token: %v", alg, err)
			}
		})
	}
	if got, want := auth.Algorithms(), slices.Sorted(maps.Keys(pairs)); len(got) != len(want)+3 {
		t.Errorf("algorithms %v; tested here are %v", got, want)
	}
}

// RFC 8037 §A.4 and RFC 7515 §A.2, §A.3: signed by others.
func TestVerifier_takes_signatures_of_the_RFCs(t *testing.T) {
	number := func(s string) *big.Int { return new(big.Int).SetBytes(unb64(s)) }
	x, y := unb64("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), unb64("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	p256, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		t.Fatal(err)
	}
	const joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	for _, row := range []struct {
		alg   string
		key   crypto.PublicKey
		token string
	}{
		{"ES256", p256, "eyJhbGciOiJFUzI1NiJ9." + joe + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
		{
			"RS256", &rsa.PublicKey{N: number("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"), E: 65537},
			"eyJhbGciOiJSUzI1NiJ9." + joe + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		},
	} {
		at(t, 0, func(t *testing.T) {
			v := newVerifier(t, auth.VerifierOptions{Realm: "joe", Keys: []auth.Key{{Algorithm: row.alg, Public: row.key}}, MaxLifetime: 12 * 366 * 24 * 3600e9})
			if _, err := v.Authenticate(t.Context(), row.token); err != nil {
				t.Errorf("%s: %v", row.alg, err)
			}
		})
	}
}

func TestMint_signs_with_a_private_key(t *testing.T) {
	for alg, pair := range pairs {
		token, err := auth.Mint(auth.Key{ID: "k", Algorithm: alg, Private: pair()}, "default", auth.Claims{})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if _, err := newVerifier(t, auth.VerifierOptions{Keys: []auth.Key{{Algorithm: alg, Public: pair().Public()}}}).Authenticate(t.Context(), token); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	_, err := auth.Mint(auth.Key{ID: "k", Algorithm: "EdDSA", Public: edPair().Public()}, "default", auth.Claims{})
	wantError(t, err, broker.Invalid, `key "k" (EdDSA) has no private key, so it verifies tokens and cannot sign them`)
}

func TestNewVerifier_refuses_keys_that_do_not_fit_their_algorithm(t *testing.T) {
	odd := func(n *big.Int) *big.Int { return new(big.Int).SetBit(n, 0, 1) }
	modulus := func(bits int) *big.Int { return odd(new(big.Int).Lsh(big.NewInt(3), uint(bits-2))) }
	for _, row := range []struct {
		name string
		key  auth.Key
		want string
	}{
		{"a secret for RS256", auth.Key{Algorithm: "RS256", Secret: mainSecret}, "RS256 takes a public key, and this is a secret"},
		{"a secret beside a public key", auth.Key{Algorithm: "RS256", Secret: mainSecret, Public: rsaPair().Public()}, "RS256 takes a public key, and this is a secret"},
		{"a public key for HS256", auth.Key{Public: rsaPair().Public()}, "HS256 takes a secret, and this is an RSA key, for RS256 or PS256"},
		{"a private key for HS256", auth.Key{Secret: mainSecret, Private: edPair()}, "HS256 takes a secret, and this is an Ed25519 key, for EdDSA"},
		{"no key", auth.Key{Algorithm: "ES256"}, "ES256 needs a public key"},
		{"EC for RSA", auth.Key{Algorithm: "PS256", Public: p256Pair().Public()}, "PS256 takes an RSA key, and this is an EC key of P-256, for ES256"},
		{"RSA for EC", auth.Key{Algorithm: "ES256", Public: rsaPair().Public()}, "ES256 takes an EC key of the curve P-256, and this is an RSA key, for RS256 or PS256"},
		{"the other curve", auth.Key{Algorithm: "ES256", Public: p384Pair().Public()}, "ES256 takes an EC key of the curve P-256, and this is an EC key of P-384, for ES384"},
		{"a curve of nobody", auth.Key{Algorithm: "ES384", Public: newEC(elliptic.P521()).Public()}, "ES384 takes an EC key of the curve P-384, and this is an EC key of P-521, which no algorithm here is for"},
		{"EC for Ed25519", auth.Key{Algorithm: "EdDSA", Public: p256Pair().Public()}, "EdDSA takes an Ed25519 key, and this is an EC key of P-256, for ES256"},
		{"half an Ed25519 key", auth.Key{Algorithm: "EdDSA", Public: edPair().Public().(ed25519.PublicKey)[:16]}, "EdDSA takes Ed25519 keys of 32 bytes, and this one has 16"},
		{"a private key for a public one", auth.Key{Algorithm: "EdDSA", Public: edPair()}, "EdDSA takes an Ed25519 key, and this is a ed25519.PrivateKey, which no algorithm here is for"},
		{"the private key of another", auth.Key{Algorithm: "EdDSA", Public: edPair().Public(), Private: newEd25519()}, "the private key is not that of the public key"},
		{"RSA of 2047 bits", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: modulus(2047), E: 65537}}, "RS256 takes RSA keys of 2048 to 8192 bits, and this one has 2047"},
		{"RSA of 8193 bits", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: modulus(8193), E: 65537}}, "RS256 takes RSA keys of 2048 to 8192 bits, and this one has 8193"},
		{"an even modulus", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}}, "RS256 takes no RSA key whose modulus is even"},
		{"the exponent 1", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: modulus(2048), E: 1}}, "RS256 takes RSA keys whose exponent is odd and from 3 to 2147483647"},
		{"an even exponent", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: modulus(2048), E: 65536}}, "RS256 takes RSA keys whose exponent is odd and from 3 to 2147483647"},
		{"a huge exponent", auth.Key{Algorithm: "RS256", Public: &rsa.PublicKey{N: modulus(2048), E: 1<<31 + 1}}, "RS256 takes RSA keys whose exponent is odd and from 3 to 2147483647"},
		{"a point off the curve", auth.Key{Algorithm: "ES256", Public: &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, "ES256 takes no EC key whose point is not on the curve"}, //nolint:staticcheck // no other way makes a bad one
		{"a secret that is PEM", auth.Key{Secret: []byte(spki(rsaPair().Public()))}, publicSecret},
		{"a secret that is DER", auth.Key{Secret: der(rsaPair().Public())}, publicSecret},
		{"a secret that is a certificate", auth.Key{Algorithm: "HS512", Secret: []byte(certificate(t, p256Pair()))}, publicSecret},
	} {
		_, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Keys: []auth.Key{row.key}})
		if err == nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		wantError(t, err, broker.Invalid, `key "": `+row.want)
	}
}

const publicSecret = "the secret is a public key or a certificate, which everybody may have; it belongs in public_key, with the alg of its kind"

func der(key crypto.PublicKey) []byte {
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return b
}

func TestParseSecret_refuses_a_public_key(t *testing.T) {
	_, err := auth.ParseSecret(base64.StdEncoding.EncodeToString(der(p256Pair().Public())))
	wantError(t, err, broker.Invalid, publicSecret)
	_, err = auth.ParseSecret(base64.StdEncoding.EncodeToString([]byte(spki(edPair().Public()))))
	wantError(t, err, broker.Invalid, publicSecret)
}

// Each of these points verifies a signature that nobody's private key made, for some messages; that is why they are
// refused.
func TestNewVerifier_refuses_Ed25519_keys_that_anybody_can_sign_for(t *testing.T) {
	tail := func(first byte, rest byte, last byte) []byte {
		return slices.Concat([]byte{first}, bytes.Repeat([]byte{rest}, 30), []byte{last})
	}
	order8 := unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	order8b := unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	forged := slices.Concat(tail(1, 0, 0), make([]byte, 32)) // R is the neutral point, s is 0
	for _, point := range [][]byte{
		tail(1, 0, 0), tail(0, 0, 0), tail(0xec, 0xff, 0x7f), tail(0xed, 0xff, 0x7f), tail(0xee, 0xff, 0x7f), order8, order8b,
	} {
		for _, sign := range []byte{0, 0x80} {
			key := slices.Clone(point)
			key[31] |= sign
			forgeable := false
			for i := range 200 {
				forgeable = forgeable || ed25519.Verify(key, []byte{byte(i)}, forged)
			}
			_, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Keys: []auth.Key{{Algorithm: "EdDSA", Public: ed25519.PublicKey(key)}}})
			if err == nil || !strings.Contains(err.Error(), "small order") {
				t.Errorf("%x: %v (forgeable: %v)", key, err, forgeable)
			}
			// x is 0 where y is 1 or -1, and minus 0 is no spelling that Go's library takes, or it is: either way it is refused above.
			if !forgeable && sign == 0 {
				t.Errorf("%x: the forged signature does not verify, so it is not of small order", key)
			}
		}
	}
}

func unhex(s string) []byte {
	n, _ := new(big.Int).SetString(s, 16)
	return n.FillBytes(make([]byte, len(s)/2))
}
