package auth

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"waft/broker"
)

// maxPEM bounds a key's text: a certificate has one or two thousand bytes, an RSA key of 8192 bits six thousand.
const maxPEM = 64 << 10

// ParsePublicKey reads a public key from PEM: "PUBLIC KEY" (SPKI, what `openssl pkey -pubout` writes), "RSA PUBLIC KEY"
// (PKCS #1), or a "CERTIFICATE", of which only the key counts, not its dates nor who signed it. The error is of kind
// Invalid and says what was given instead; a private key is refused, because it has no business where tokens are
// verified.
func ParsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	var key crypto.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, broker.Errorf(broker.Invalid, "this is a private key (%s), and a public one belongs here; "+
				"`openssl pkey -pubout` makes it. The private one is needed only where tokens are minted", block.Type)
		}
		return nil, broker.Errorf(broker.Invalid, "a PEM block %s is no public key; PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are",
			broker.Quote(block.Type))
	}
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the %s cannot be read: %w", block.Type, err)
	}
	if key == nil {
		return nil, broker.Errorf(broker.Invalid, "the %s holds a key of a kind that is not known here", block.Type)
	}
	return key, nil
}

// ParsePrivateKey reads a private key from PEM: "PRIVATE KEY" (PKCS #8), "RSA PRIVATE KEY" (PKCS #1) or "EC PRIVATE KEY"
// (SEC 1). The error is of kind Invalid and shows nothing of the key.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, broker.Errorf(broker.Invalid, "the private key is encrypted; `openssl pkey` takes the password off")
	default:
		return nil, broker.Errorf(broker.Invalid, "a PEM block %s is no private key; PRIVATE KEY, RSA PRIVATE KEY and EC PRIVATE KEY are",
			broker.Quote(block.Type))
	}
	signer, ok := key.(crypto.Signer)
	switch {
	case err != nil && block.Headers["DEK-Info"] != "":
		return nil, broker.Errorf(broker.Invalid, "the private key is encrypted; `openssl pkey` takes the password off")
	case err != nil:
		return nil, broker.Errorf(broker.Invalid, "the %s cannot be read: is a part of it missing?", block.Type)
	case !ok:
		return nil, broker.Errorf(broker.Invalid, "the %s holds a key that does not sign", block.Type)
	default:
		return signer, nil
	}
}

// onlyBlock reads PEM that is one block and nothing else: of several, people mean different ones.
func onlyBlock(text []byte) (*pem.Block, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	fault := ""
	switch {
	case len(text) == 0:
		fault = "the key is empty"
	case len(text) > maxPEM:
		fault = "the key is longer than any"
	case text[0] == '{':
		fault = "the key is JSON; a JWK belongs in a set of its own, a jwks_file"
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-")):
		fault = "the key is in OpenSSH's form; `ssh-keygen -e -m pkcs8 -f FILE` converts it"
	case !bytes.HasPrefix(text, []byte("-----BEGIN ")):
		fault = "the key is not PEM: it must begin with -----BEGIN"
	}
	if fault != "" {
		return nil, broker.Errorf(broker.Invalid, "%w", errors.New(fault))
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, broker.Errorf(broker.Invalid, "the key is damaged PEM: is its END line missing, or a line break?")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, broker.Errorf(broker.Invalid, "the key has something behind its %s; only one block can be the key", block.Type)
	default:
		return block, nil
	}
}

// looksPublic tells whether a secret is really a public key or a certificate. Where such a text is a secret, whoever
// reads the key, and that is everybody, can sign.
func looksPublic(secret []byte) bool {
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return true
	}
	_, spki := x509.ParsePKIXPublicKey(secret)
	_, pkcs1 := x509.ParsePKCS1PublicKey(secret)
	_, cert := x509.ParseCertificate(secret)
	return spki == nil || pkcs1 == nil || cert == nil
}
