package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// Key pairs for tests, made once. Nothing depends on which they are.
var (
	rsaPair  = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	p256Pair = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	p384Pair = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P384()) })
	edPair   = sync.OnceValue(newEd25519)
)

// pairs are one for each algorithm.
var pairs = map[string]func() crypto.Signer{
	"RS256": func() crypto.Signer { return rsaPair() },
	"PS256": func() crypto.Signer { return rsaPair() },
	"ES256": func() crypto.Signer { return p256Pair() },
	"ES384": func() crypto.Signer { return p384Pair() },
	"EdDSA": func() crypto.Signer { return edPair() },
}

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func newEd25519() ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// signPair makes a token by hand: alg is what is computed, whatever the header says.
func signPair(alg string, key crypto.Signer, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(string(pairSignature(alg, key, signed)))
}

func pairSignature(alg string, key crypto.Signer, signed string) []byte {
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	digest := func(h crypto.Hash) []byte {
		x := h.New()
		x.Write([]byte(signed))
		return x.Sum(nil)
	}
	switch alg {
	case "RS256":
		return must(key.Sign(rand.Reader, digest(crypto.SHA256), crypto.SHA256))
	case "PS256":
		return must(key.Sign(rand.Reader, digest(crypto.SHA256), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}))
	case "EdDSA":
		return must(key.Sign(rand.Reader, []byte(signed), crypto.Hash(0)))
	case "ES256", "ES384":
		hash, size := crypto.SHA256, 32
		if alg == "ES384" {
			hash, size = crypto.SHA384, 48
		}
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest(hash))
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	panic("no algorithm " + alg)
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spki(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("PUBLIC KEY", der)
}

func pkcs8(key crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("PRIVATE KEY", der)
}

// certificate is one that has expired, signed by its own key: neither counts.
func certificate(t testing.TB, key crypto.Signer) string {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tokens"},
		NotBefore: time.Unix(epoch-86400, 0), NotAfter: time.Unix(epoch-1, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der)
}

func sameKey(a, b crypto.PublicKey) bool {
	x, _ := x509.MarshalPKIXPublicKey(a)
	y, _ := x509.MarshalPKIXPublicKey(b)
	return len(x) > 0 && bytes.Equal(x, y)
}
