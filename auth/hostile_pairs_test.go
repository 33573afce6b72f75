package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

// hostileRealm has a key of every algorithm with public keys, none with a secret, and a JWK set.
func hostileRealm() auth.VerifierOptions {
	keys := []auth.Key{}
	for _, alg := range auth.PublicAlgorithms() {
		keys = append(keys, auth.Key{ID: strings.ToLower(alg), Algorithm: alg, Public: pairs[alg]().Public()})
	}
	set := jwks(jwk(setPair.Public(), `"kid":"in-set"`), jwk(setPair2.Public(), `"kid":"in-set-too"`))
	return auth.VerifierOptions{Keys: keys, Sets: []auth.SetOptions{{Text: []byte(set), Algorithms: []string{"ES256"}}}}
}

var setPair, setPair2 = newEC(elliptic.P256()), newEC(elliptic.P256())

// good is what hostile tokens differ from in one thing.
func good(alg string) string { return signPair(alg, pairs[alg](), `{"alg":"`+alg+`"}`, goodPayload) }

// resigned replaces a good token's signature with what f makes of it.
func resigned(alg string, f func(signed string, signature []byte) []byte) string {
	token := good(alg)
	dot := strings.LastIndexByte(token, '.')
	return token[:dot+1] + b64(string(f(token[:dot], unb64(token[dot+1:]))))
}

// as signs with one algorithm's key what says that it is another's.
func as(says, alg string) string {
	return signPair(alg, pairs[alg](), `{"alg":"`+says+`"}`, goodPayload)
}

func point(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

var p256Order = elliptic.P256().Params().N

var hostilePairTokens = []struct {
	hostile string
	token   string
	want    string
}{
	// Confusion of algorithms. In each of the first rows everybody can make the signature: it is keyed with what is public.
	{"HMAC keyed with the RSA key's PEM", sign("HS256", []byte(spki(rsaPair().Public())), `{"alg":"HS256"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with the RSA key's PEM without its last line end", sign("HS256", []byte(strings.TrimSpace(spki(rsaPair().Public()))), `{"alg":"HS256"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with the RSA key's DER", sign("HS256", der(rsaPair().Public()), `{"alg":"HS256"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with the RSA key's modulus", sign("HS256", rsaPair().N.Bytes(), `{"alg":"HS256"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with the Ed25519 key", sign("HS256", edPair()[32:], `{"alg":"HS256"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with the EC key's PEM", sign("HS512", []byte(spki(p256Pair().Public())), `{"alg":"HS512"}`, goodPayload), noAlg("HS512")},
	{"HMAC keyed with the RSA key's PEM, under the key's name", sign("HS256", []byte(spki(rsaPair().Public())), `{"alg":"HS256","kid":"rs256"}`, goodPayload), namedAlg("HS256", "RS256")},
	{"HMAC keyed with the RSA key's PEM, said to be RS256", sign("HS256", []byte(spki(rsaPair().Public())), `{"alg":"RS256"}`, goodPayload), badSignature},
	{"HMAC keyed with the RSA key's PEM, said to be RS256, under its name", sign("HS256", []byte(spki(rsaPair().Public())), `{"alg":"RS256","kid":"rs256"}`, goodPayload), badSignature},
	{"HMAC keyed with a key of the set", sign("HS256", der(setPair.Public()), `{"alg":"HS256","kid":"in-set"}`, goodPayload), noAlg("HS256")},
	{"HMAC keyed with a key of the set, said to be ES256", sign("HS256", der(setPair.Public()), `{"alg":"ES256","kid":"in-set"}`, goodPayload), badSignature},
	{"alg none under a key's name", b64(`{"alg":"none","kid":"eddsa"}`) + "." + b64(goodPayload) + ".", namedAlg("none", "EdDSA")},
	{"alg none under the name of a key of the set", b64(`{"alg":"none","kid":"in-set"}`) + "." + b64(goodPayload) + ".", noAlg("none")},
	{"RS256 without a signature", b64(`{"alg":"RS256"}`) + "." + b64(goodPayload) + ".", badSignature},
	{"EdDSA without a signature", b64(`{"alg":"EdDSA"}`) + "." + b64(goodPayload) + ".", badSignature},
	{"RS256 said to be PS256", as("PS256", "RS256"), badSignature},
	{"PS256 said to be RS256", as("RS256", "PS256"), badSignature},
	{"ES256 said to be ES384", as("ES384", "ES256"), badSignature},
	{"ES384 said to be ES256", as("ES256", "ES384"), badSignature},
	{"ES256 said to be EdDSA: both have 64 bytes", as("EdDSA", "ES256"), badSignature},
	{"EdDSA said to be ES256", as("ES256", "EdDSA"), badSignature},
	{"RS384, which no key has", as("RS384", "RS256"), noAlg("RS384")},
	{"ES512, which no key has", as("ES512", "ES384"), noAlg("ES512")},
	{"ES256K, the curve of coins", as("ES256K", "ES256"), noAlg("ES256K")},
	{"Ed25519 by its newer name", as("Ed25519", "EdDSA"), noAlg("Ed25519")},
	{"EdDSA in capitals", as("EDDSA", "EdDSA"), noAlg("EDDSA")},
	{"rs256 in lower case", as("rs256", "RS256"), noAlg("rs256")},
	{"RS256 with a space", as("RS256 ", "RS256"), noAlg("RS256 ")},
	{"RSA encryption for a signature", as("RSA-OAEP", "RS256"), noAlg("RSA-OAEP")},

	// Forms of signatures.
	{"an EC signature in DER, as OpenSSL makes it", resigned("ES256", func(_ string, s []byte) []byte { return asDER(s) }), badSignature},
	{"r and s of zero, which verified everything in Java 15", resigned("ES256", func(string, []byte) []byte { return make([]byte, 64) }), badSignature},
	{"r of zero", resigned("ES256", func(_ string, s []byte) []byte { return append(make([]byte, 32), s[32:]...) }), badSignature},
	{"s of zero", resigned("ES256", func(_ string, s []byte) []byte { return append(s[:32], make([]byte, 32)...) }), badSignature},
	{"r and s of the curve's order", resigned("ES256", func(string, []byte) []byte { return append(point(p256Order), point(p256Order)...) }), badSignature},
	{"r of the order and s of 1", resigned("ES256", func(string, []byte) []byte { return append(point(p256Order), point(big.NewInt(1))...) }), badSignature},
	{"s increased by the order", resigned("ES256", func(_ string, s []byte) []byte {
		return append(s[:32], new(big.Int).Add(p256Order, new(big.Int).SetBytes(s[32:])).FillBytes(make([]byte, 33))...)
	}), badSignature},
	{"r and s swapped", resigned("ES256", func(_ string, s []byte) []byte { return append(slices.Clone(s[32:]), s[:32]...) }), badSignature},
	{"an EC signature one byte short", resigned("ES256", func(_ string, s []byte) []byte { return s[:63] }), badSignature},
	{"an EC signature one byte long", resigned("ES256", func(_ string, s []byte) []byte { return append(s, 0) }), badSignature},
	{"an EC signature with zeros before r and s", resigned("ES256", func(_ string, s []byte) []byte {
		return slices.Concat(make([]byte, 16), s[:32], make([]byte, 16), s[32:])
	}), badSignature},
	{"a P-384 signature of zeros", resigned("ES384", func(string, []byte) []byte { return make([]byte, 96) }), badSignature},
	{"an Ed25519 signature of zeros", resigned("EdDSA", func(string, []byte) []byte { return make([]byte, 64) }), badSignature},
	{"an Ed25519 signature one byte short", resigned("EdDSA", func(_ string, s []byte) []byte { return s[:63] }), badSignature},
	{"an Ed25519 signature one byte long", resigned("EdDSA", func(_ string, s []byte) []byte { return append(s, 0) }), badSignature},
	{"an Ed25519 signature's second spelling: s increased by the order", resigned("EdDSA", func(_ string, s []byte) []byte { return unreduced(s) }), badSignature},
	{"an Ed25519 signature of the neutral point", resigned("EdDSA", func(string, []byte) []byte { return append([]byte{1}, make([]byte, 63)...) }), badSignature},
	{"an RSA signature of 1, whose power is 1", resigned("RS256", func(string, []byte) []byte { return big.NewInt(1).FillBytes(make([]byte, 256)) }), badSignature},
	{"an RSA signature of 0", resigned("RS256", func(string, []byte) []byte { return make([]byte, 256) }), badSignature},
	{"an RSA signature of the modulus", resigned("RS256", func(string, []byte) []byte { return rsaPair().N.Bytes() }), badSignature},
	{"an RSA signature increased by the modulus", resigned("RS256", func(_ string, s []byte) []byte {
		return new(big.Int).Add(rsaPair().N, new(big.Int).SetBytes(s)).FillBytes(make([]byte, 257))
	}), badSignature},
	{"an RSA signature with a zero before it", resigned("RS256", func(_ string, s []byte) []byte { return append([]byte{0}, s...) }), badSignature},
	{"an RSA signature without its first byte", resigned("RS256", func(_ string, s []byte) []byte { return s[1:] }), badSignature},
	{"an RSA signature over another hash", resigned("RS256", func(signed string, _ []byte) []byte { return rsaOver(crypto.SHA512, signed) }), badSignature},
	{"an RSA signature over the bare hash", resigned("RS256", func(signed string, _ []byte) []byte { return rsaOver(0, signed) }), badSignature},
	{"a PSS signature with a salt of none", resigned("PS256", func(signed string, _ []byte) []byte { return pss(signed, 0) }), badSignature},
	{"a PSS signature with as much salt as fits", resigned("PS256", func(signed string, _ []byte) []byte { return pss(signed, rsa.PSSSaltLengthAuto) }), badSignature},
	{"a signature in the standard alphabet", standard(good("RS256")), ""},

	// Keys that a token brings along or points to. Each is signed with the attacker's own key.
	{"jwk", brought(`"jwk":` + jwk(attacker.Public())), badSignature},
	{"jwk and the name of a key of the realm", brought(`"kid":"es256","jwk":` + jwk(attacker.Public())), badSignature},
	{"jwk with the name of a key of the set", brought(`"kid":"in-set","jwk":` + jwk(attacker.Public(), `"kid":"in-set"`)), badSignature},
	{"jku", brought(`"jku":"https://attacker.example/jwks.json"`), badSignature},
	{"jku to this machine", brought(`"kid":"x","jku":"http://127.0.0.1:8081/jwks.json"`), badSignature},
	{"x5u", brought(`"x5u":"https://attacker.example/cert.pem"`), badSignature},
	{"x5c", brought(`"x5c":["` + base64.StdEncoding.EncodeToString(der(attacker.Public())) + `"]`), badSignature},
	{"x5t", brought(`"x5t":"AAAA","x5t#S256":"AAAA"`), badSignature},
	{"jwk listed as critical", brought(`"crit":["jwk"],"jwk":` + jwk(attacker.Public())), "the token's header has crit, and no critical extension is supported"},
	{"another key's kid", signPair("ES256", setPair, `{"alg":"ES256","kid":"in-set-too"}`, goodPayload), badSignature},
	{"no kid where the set has two keys", signPair("ES256", setPair, `{"alg":"ES256"}`, goodPayload), badSignature},
	{"a kid of the set in capitals", signPair("ES256", setPair, `{"alg":"ES256","kid":"IN-SET"}`, goodPayload), badSignature},
	{"a kid of the set with a NUL behind it", signPair("ES256", setPair, `{"alg":"ES256","kid":"in-set\u0000"}`, goodPayload), badSignature},
	{"a kid that is an address", brought(`"kid":"https://attacker.example/jwks.json#k"`), badSignature},
	{"a kid that is a file", brought(`"kid":"../../../../etc/passwd"`), badSignature},
	{"a kid that is a command", brought(`"kid":"k|curl attacker.example"`), badSignature},
	{"a kid as long as the token may be", brought(`"kid":"` + strings.Repeat("k", 4000) + `"`), badSignature},
	{"a list of kids", brought(`"kid":["in-set"]`), "the token's kid is not a string"},
	{"kid twice", brought(`"kid":"in-set","kid":"x"`), `the token's header has the name "kid" twice`},
	{"a compressed payload (zip)", signPair("ES256", p256Pair(), `{"alg":"ES256","zip":"DEF"}`, "\x03\x00"), "the token's payload is not valid JSON"},

	// Well signed by a key of the set, and still not for here.
	{"another realm's", signPair("ES256", setPair, `{"alg":"ES256","kid":"in-set"}`, `{"iss":"other","exp":946685400}`), `the token's issuer is "other", not the realm "default"`},
	{"no expiry", signPair("ES256", setPair, `{"alg":"ES256","kid":"in-set"}`, `{"iss":"default"}`), "the token has no expiry (exp)"},
	{"expired", signPair("EdDSA", edPair(), `{"alg":"EdDSA"}`, `{"iss":"default","exp":946681200}`), "the token expired at 1999-12-31T23:00:00Z"},
	{"payload changed after it was signed", changed("RS256"), badSignature},
	{"payload changed after it was signed", changed("EdDSA"), badSignature},
}

func noAlg(alg string) string {
	return "the token's alg is " + broker.Quote(alg) + ", which is that of no key of this realm"
}

func namedAlg(says, is string) string {
	return "the token's alg is " + broker.Quote(says) + ", and the key it names is for " + is
}

var attacker = newEC(elliptic.P256())

func brought(members string) string {
	return signPair("ES256", attacker, `{"alg":"ES256",`+members+`}`, goodPayload)
}

func changed(alg string) string {
	parts := strings.Split(good(alg), ".")
	return parts[0] + "." + b64(with(`"sub":"root"`)) + "." + parts[2]
}

func standard(token string) string {
	return strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+" // where it has neither, this makes sure
}

func asDER(s []byte) []byte {
	b, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])})
	if err != nil {
		panic(err)
	}
	return b
}

// unreduced adds the order of Ed25519's group to s, little-endian.
func unreduced(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(order, new(big.Int).SetBytes(s)).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(signature[:32], sum...)
}

func rsaOver(h crypto.Hash, signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	in := digest[:]
	if h != 0 {
		x := h.New()
		x.Write([]byte(signed))
		in = x.Sum(nil)
	}
	s, err := rsa.SignPKCS1v15(rand.Reader, rsaPair(), h, in)
	if err != nil {
		panic(err)
	}
	return s
}

func pss(signed string, salt int) []byte {
	digest := sha256.Sum256([]byte(signed))
	if salt == 0 {
		// The library writes "no salt" as another zero, so the encoding is made here: EMSA-PSS, RFC 8017 §9.1.1.
		return rsaRaw(emsaPSS(digest[:], 2047))
	}
	s, err := rsa.SignPSS(rand.Reader, rsaPair(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
	if err != nil {
		panic(err)
	}
	return s
}

func emsaPSS(digest []byte, bits int) []byte {
	size := (bits + 7) / 8
	h := sha256.Sum256(slices.Concat(make([]byte, 8), digest))
	db := append(make([]byte, size-32-2), 1)
	for i, n := 0, 0; n < len(db); i++ {
		mask := sha256.Sum256(append(slices.Clone(h[:]), 0, 0, 0, byte(i)))
		for _, m := range mask {
			if n < len(db) {
				db[n] ^= m
				n++
			}
		}
	}
	db[0] &= 0xff >> (8*size - bits)
	return slices.Concat(db, h[:], []byte{0xbc})
}

func rsaRaw(m []byte) []byte {
	k := rsaPair()
	return new(big.Int).Exp(new(big.Int).SetBytes(m), k.D, k.N).FillBytes(make([]byte, 256))
}

func TestVerifier_refuses_hostile_tokens_of_key_pairs(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		v := newVerifier(t, hostileRealm())
		for alg := range pairs {
			if _, err := v.Authenticate(t.Context(), good(alg)); err != nil {
				t.Fatalf("the token that the hostile ones are made from must itself be good: %v", err)
			}
		}
		for _, token := range []string{
			signPair("ES256", setPair, `{"alg":"ES256","kid":"in-set"}`, goodPayload),
			resigned("ES256", func(_ string, s []byte) []byte { return s }),
			resigned("PS256", func(signed string, _ []byte) []byte { return pss(signed, rsa.PSSSaltLengthEqualsHash) }),
		} {
			if _, err := v.Authenticate(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	})
	// What is made by hand must be what it says it is.
	digest := sha256.Sum256([]byte("x"))
	if err := rsa.VerifyPSS(&rsaPair().PublicKey, crypto.SHA256, digest[:], pss("x", 0), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}); err != nil {
		t.Errorf("the signature without salt is not one: %v", err)
	}
	if !ecdsa.VerifyASN1(&p256Pair().PublicKey, digest[:], asDER(pairSignature("ES256", p256Pair(), "x"))) {
		t.Error("the signature in DER is not one")
	}
	for _, row := range hostilePairTokens {
		t.Run(row.hostile, func(t *testing.T) {
			at(t, 0, func(t *testing.T) {
				who, err := newVerifier(t, hostileRealm()).Authenticate(t.Context(), row.token)
				if row.want != "" {
					wantError(t, err, broker.Unauthenticated, row.want)
				} else if broker.KindOf(err) != broker.Unauthenticated || err == nil {
					t.Errorf("%v", err)
				}
				if !who.Anonymous() || who.Grants != nil {
					t.Errorf("a refused token made a principal: %+v", who)
				}
			})
		})
	}
	t.Logf("%d hostile tokens", len(hostilePairTokens))
}

// An EC signature has a second form, (r, n-s). It is as good as the first, so a list of revoked tokens goes by jti and
// never by the token's text.
func TestVerifier_a_second_signature_does_not_get_round_a_revocation(t *testing.T) {
	at(t, 0, func(t *testing.T) {
		token := signPair("ES256", p256Pair(), `{"alg":"ES256"}`, with(`"jti":"x"`))
		dot := strings.LastIndexByte(token, '.')
		s := unb64(token[dot+1:])
		other := token[:dot+1] + b64(string(append(s[:32:32], point(new(big.Int).Sub(p256Order, new(big.Int).SetBytes(s[32:])))...)))
		o := hostileRealm()
		if _, err := newVerifier(t, o).Authenticate(t.Context(), other); err != nil {
			t.Errorf("the second form is as good as the first: %v", err)
		}
		o.Revoked = revoked(t, auth.Revocation{ID: "x"})
		for _, token := range []string{token, other} {
			_, err := newVerifier(t, o).Authenticate(t.Context(), token)
			wantError(t, err, broker.Unauthenticated, "the token has been revoked")
		}
	})
}

func BenchmarkAuthenticate_by_algorithm(b *testing.B) {
	for _, alg := range auth.Algorithms() {
		b.Run(alg, func(b *testing.B) {
			key := auth.Key{Algorithm: alg}
			if pair, ok := pairs[alg]; ok {
				key.Private = pair()
			} else {
				key.Secret = mainSecret
			}
			token, err := auth.Mint(key, "default", auth.Claims{})
			if err != nil {
				b.Fatal(err)
			}
			v := newVerifier(b, auth.VerifierOptions{Keys: []auth.Key{key}})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("API key", func(b *testing.B) {
		key, hash := auth.GenerateAPIKey()
		v := newVerifier(b, auth.VerifierOptions{APIKeys: []auth.APIKey{{ID: "k", Hash: hash}}})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Authenticate(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
