package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"waft/broker"
)

const (
	maxSetKeys = 100               // of one set: the large providers have about ten
	maxKid     = broker.MaxIDBytes // bytes
)

// ParseJWKS reads a JWK set (RFC 7517 §5) and gives what verifies with one of algs (nil: all that are for public keys). A
// key that names no algorithm is there once for each that it could be used with.
//
// Keys that are no use are left out, as §5 says, and each is told of in skipped: those for encryption, of other kinds or
// too weak, and those that should not be there, secrets and private keys. The error is of kind Invalid: the text is no
// set at all. A set without keys is one: its owner trusts nobody any more.
func ParseJWKS(text []byte, algs []string) (keys []Key, skipped []string, err error) {
	members, err := object(text)
	if err != nil {
		return nil, nil, broker.Errorf(broker.Invalid, "the JWK set %w", err)
	}
	list, ok := members["keys"].([]any)
	if !ok {
		return nil, nil, broker.Errorf(broker.Invalid, "the JWK set has no list of keys")
	}
	if algs == nil {
		algs = PublicAlgorithms()
	}
	seen := map[keyName]bool{}
	for i, element := range list {
		skip := func(kid string, why error) {
			skipped = append(skipped, fmt.Sprintf("key %d (kid %s): %v", i+1, broker.Quote(kid), why))
		}
		if i == maxSetKeys {
			skip("", fmt.Errorf("it and what follows are beyond the limit of %d keys", maxSetKeys))
			break
		}
		jwk, _ := element.(map[string]any)
		kid, _ := jwk["kid"].(string)
		found, err := readJWK(jwk, algs)
		if err != nil {
			skip(kid, err)
		}
		for _, k := range found {
			if name := (keyName{k.ID, k.Algorithm}); seen[name] {
				skip(kid, errors.New("an earlier one has its kid"))
			} else {
				seen[name] = true
				keys = append(keys, k)
			}
		}
	}
	return keys, skipped, nil
}

// readJWK reads one key of a set.
func readJWK(jwk map[string]any, algs []string) ([]Key, error) {
	if jwk == nil {
		return nil, errors.New("it is not an object")
	}
	var kty, kid, use, alg string
	for _, member := range []struct {
		name string
		to   *string
	}{{"kty", &kty}, {"kid", &kid}, {"use", &use}, {"alg", &alg}} {
		if v, ok := jwk[member.name]; ok {
			if *member.to, ok = v.(string); !ok {
				return nil, fmt.Errorf("its %s is not a string", member.name)
			}
		}
	}
	switch {
	case kty == "oct" || jwk["k"] != nil:
		return nil, errors.New("it is a secret, and whoever can read the set can sign with it; secrets belong in the configuration")
	case jwk["d"] != nil:
		return nil, errors.New("it is a private key, and whoever can read the set can sign with it")
	case use != "" && use != "sig":
		return nil, fmt.Errorf("its use is %s, not sig", broker.Quote(use))
	case len(kid) > maxKid:
		return nil, fmt.Errorf("its kid has more than %d bytes", maxKid)
	}
	if v, ok := jwk["key_ops"]; ok {
		ops, err := readStrings(v)
		if err != nil {
			return nil, fmt.Errorf("its key_ops %w", err)
		}
		if !slices.Contains(ops, "verify") {
			return nil, errors.New("its key_ops do not have verify")
		}
	}
	return usable(jwk, kid, alg, algs)
}

// usable gives the key for each algorithm that it and the allow-list agree on.
func usable(jwk map[string]any, kid, alg string, algs []string) (keys []Key, err error) {
	public, err := material(jwk)
	if err != nil {
		return nil, err
	}
	fitting := algorithmsOf(public)
	switch {
	case len(fitting) == 0:
		return nil, errors.New("it is of a kind that no algorithm here is for")
	case alg == "":
	case !slices.Contains(fitting, alg):
		return nil, fmt.Errorf("its alg is %s, which is not for such a key here", broker.Quote(alg))
	default:
		fitting = []string{alg}
	}
	for _, a := range fitting {
		if !slices.Contains(algs, a) {
			err = fmt.Errorf("its alg is %s, which is not one of those allowed", a)
			continue
		}
		k, weak := prepare(Key{ID: kid, Algorithm: a, Public: public})
		if weak != nil {
			return nil, weak
		}
		keys = append(keys, k.Key)
	}
	if len(keys) > 0 {
		err = nil
	}
	return keys, err
}

// material reads the key itself. go-jose is shown only the members that make it up: certificates, addresses and private
// parts are nothing that is wanted from a set.
func material(jwk map[string]any) (any, error) {
	bare := map[string]any{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if v, ok := jwk[name]; ok {
			bare[name] = v
		}
	}
	text, err := json.Marshal(bare)
	if err != nil {
		return nil, err
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("it cannot be used: %w", err)
	}
	return k.Key, nil
}

// algorithmsOf lists those a public key could be for.
func algorithmsOf(key any) []string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
