package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

// jwk writes a public key as a JWK, by hand, with more members ("use":"sig").
func jwk(key crypto.PublicKey, members ...string) string {
	m := map[string]any{}
	switch k := key.(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(string(k.N.Bytes())), b64(string(big.NewInt(int64(k.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", k.Params().Name, b64(string(point[1:1+half])), b64(string(point[1+half:]))
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(string(k))
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "}") + strings.Join(append([]string{""}, members...), ",") + "}"
}

func jwks(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func TestParseJWKS_gives_a_key_for_each_algorithm_it_may_be_used_with(t *testing.T) {
	set := jwks(jwk(rsaPair().Public(), `"kid":"r"`), jwk(rsaPair().Public(), `"kid":"ps","alg":"PS256","use":"sig","key_ops":["verify"],"x5c":["junk"],"x5u":7`),
		jwk(p256Pair().Public(), `"kid":"e"`), jwk(p384Pair().Public(), `"kid":"e"`), jwk(edPair().Public()))
	for _, row := range []struct {
		algs []string
		want string
	}{
		{nil, "r RS256, r PS256, ps PS256, e ES256, e ES384,  EdDSA"},
		{[]string{"RS256"}, "r RS256"},
		{[]string{"ES384", "EdDSA"}, "e ES384,  EdDSA"},
	} {
		keys, _, err := auth.ParseJWKS([]byte(set), row.algs)
		var got []string
		for _, k := range keys {
			got = append(got, k.ID+" "+k.Algorithm)
			if !sameKey(k.Public, pairs[k.Algorithm]().Public()) || k.Secret != nil {
				t.Errorf("%v is another key", k)
			}
		}
		if err != nil || strings.Join(got, ", ") != row.want {
			t.Errorf("%v: %s, %v", row.algs, got, err)
		}
	}
}

func TestParseJWKS_leaves_out_what_is_no_use_and_says_why(t *testing.T) {
	good := jwk(p256Pair().Public(), `"kid":"good"`)
	small := jwk(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}, `"kid":"x"`)
	rs := jwk(rsaPair().Public(), `"kid":"x"`)
	for _, row := range []struct{ name, key, want string }{
		{"a secret", `{"kty":"oct","kid":"x","k":"` + b64("0123456789abcdef0123456789abcdef") + `","alg":"HS256"}`, "it is a secret, and whoever can read"},
		{"a secret in disguise", strings.Replace(rs, `"kty"`, `"k":"AAAA","kty"`, 1), "it is a secret"},
		{"a private key", strings.Replace(rs, `"kty"`, `"d":"AAAA","kty"`, 1), "it is a private key"},
		{"one for encryption", strings.Replace(rs, `"kty"`, `"use":"enc","kty"`, 1), `its use is "enc", not sig`},
		{"one for other operations", strings.Replace(rs, `"kty"`, `"key_ops":["encrypt"],"kty"`, 1), "its key_ops do not have verify"},
		{"operations that are none", strings.Replace(rs, `"kty"`, `"key_ops":"verify","kty"`, 1), "its key_ops is not an array"},
		{"an algorithm of secrets on a public key", strings.Replace(rs, `"kty"`, `"alg":"HS256","kty"`, 1), `its alg is "HS256", which is not for such a key here`},
		{"alg none", strings.Replace(rs, `"kty"`, `"alg":"none","kty"`, 1), `its alg is "none"`},
		{"an algorithm of another kind of key", strings.Replace(rs, `"kty"`, `"alg":"ES256","kty"`, 1), `its alg is "ES256"`},
		{"RSA of 1024 bits", small, "RS256 takes RSA keys of 2048 to 8192 bits, and this one has 1024"},
		{"a huge exponent", strings.Replace(rs, `"AQAB"`, `"`+b64(strings.Repeat("\xff", 200))+`"`, 1), "it cannot be used: "},
		{"an exponent that wraps round to 3", strings.Replace(rs, `"AQAB"`, `"`+b64("\x01\x00\x00\x00\x00\x00\x00\x00\x03")+`"`, 1), "it cannot be used: "},
		{"an exponent of 33 bits", strings.Replace(rs, `"AQAB"`, `"`+b64("\x01\x00\x00\x00\x01")+`"`, 1), "whose exponent is odd"},
		{"the exponent 1", strings.Replace(rs, `"AQAB"`, `"AQ"`, 1), "it cannot be used: "},
		{"a curve of nobody", jwk(newEC(elliptic.P521()).Public(), `"kid":"x"`), "it is of a kind that no algorithm here is for"},
		{"a point off the curve", strings.Replace(jwk(p256Pair().Public(), `"kid":"x"`), `"x":"`, `"x":"AAAA`, 1), "it cannot be used: "},
		{"a point of small order", jwk(make(ed25519.PublicKey, 32), `"kid":"x"`), "it cannot be used: "},
		{"an unknown kind", `{"kty":"AKP","kid":"x"}`, "it cannot be used: "},
		{"no kind", `{"kid":"x"}`, "it cannot be used: "},
		{"a number for a kid", `{"kid":1}`, "its kid is not a string"},
		{"a long kid", jwk(edPair().Public(), `"kid":"`+strings.Repeat("x", 513)+`"`), "its kid has more than 512 bytes"},
		{"a second one of the name", good, "an earlier one has its kid"},
		{"no object", `"key"`, "it is not an object"},
		{"null", `null`, "it is not an object"},
	} {
		keys, skipped, err := auth.ParseJWKS([]byte(jwks(good, row.key)), nil)
		if err != nil || len(keys) != 1 || keys[0].ID != "good" || len(skipped) != 1 || !strings.Contains(skipped[0], "key 2 (kid ") || !strings.Contains(skipped[0], row.want) {
			t.Errorf("%s: %v, %q, %v", row.name, keys, skipped, err)
		}
	}
}

func TestParseJWKS_refuses_what_is_no_set(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "the JWK set is not valid JSON"},
		{"<html>", "the JWK set is not valid JSON"},
		{"[]", "the JWK set is not a JSON object"},
		{"{}", "the JWK set has no list of keys"},
		{`{"keys":{}}`, "the JWK set has no list of keys"},
		{`{"Keys":[]}`, "the JWK set has no list of keys"},
		{`{"keys":[],"keys":[]}`, `the JWK set has the name "keys" twice`},
		{`{"keys":[{"kid":"a","kid":"b"}]}`, `the JWK set has the name "kid" twice`},
		{jwk(edPair().Public()), "the JWK set has no list of keys"},
	} {
		_, _, err := auth.ParseJWKS([]byte(row.text), nil)
		wantError(t, err, broker.Invalid, row.want)
	}
	if keys, skipped, err := auth.ParseJWKS([]byte(jwks()), nil); keys != nil || skipped != nil || err != nil {
		t.Errorf("an empty set is one: %v, %v, %v", keys, skipped, err)
	}
}

func TestParseJWKS_takes_100_keys(t *testing.T) {
	var list []string
	for i := range 101 {
		list = append(list, jwk(edPair().Public(), fmt.Sprintf(`"kid":"%d"`, i)))
	}
	if keys, skipped, err := auth.ParseJWKS([]byte(jwks(list[:100]...)), nil); len(keys) != 100 || len(skipped) != 0 || err != nil {
		t.Errorf("%d keys, %q, %v", len(keys), skipped, err)
	}
	if keys, skipped, err := auth.ParseJWKS([]byte(jwks(list...)), nil); len(keys) != 100 || len(skipped) != 1 || err != nil {
		t.Errorf("%d keys, %q, %v", len(keys), skipped, err)
	}
}

// FuzzParseJWKS holds that whatever is taken from a set verifies with a public key of an algorithm that was allowed.
func FuzzParseJWKS(f *testing.F) {
	f.Add(jwks(jwk(rsaPair().Public(), `"kid":"r"`), jwk(p256Pair().Public(), `"alg":"ES256"`), jwk(edPair().Public(), `"use":"sig"`)))
	f.Add(jwks(`{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"","y":""}`, `{"kty":"RSA","n":"AA","e":"AQAB"}`))
	f.Add(`{"keys":[null,1,{"kty":"OKP","crv":"X25519","x":"AA"}]}`)
	algs := []string{"ES256", "EdDSA", "RS256"}
	f.Fuzz(func(t *testing.T, text string) {
		keys, _, err := auth.ParseJWKS([]byte(text), algs)
		if err != nil && broker.KindOf(err) != broker.Invalid {
			t.Fatal(err)
		}
		for _, k := range keys {
			if !slices.Contains(algs, k.Algorithm) || k.Secret != nil || k.Private != nil {
				t.Errorf("%v", k)
			}
			if _, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Keys: []auth.Key{k}}); err != nil {
				t.Errorf("%v: %v", k, err)
			}
		}
	})
}
