package auth_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"

	"waft/auth"
	"waft/broker"
)

func TestParsePublicKey_reads_what_people_have(t *testing.T) {
	key := rsaPair()
	for _, row := range []struct {
		name, text string
		want       crypto.PublicKey
	}{
		{"SPKI of RSA", spki(key.Public()), key.Public()},
		{"SPKI of P-256", spki(p256Pair().Public()), p256Pair().Public()},
		{"SPKI of P-384", spki(p384Pair().Public()), p384Pair().Public()},
		{"SPKI of Ed25519", spki(edPair().Public()), edPair().Public()},
		{"PKCS #1", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), key.Public()},
		{"a certificate, though expired", certificate(t, p256Pair()), p256Pair().Public()},
		{"white space around it, and a byte order mark", "\ufeff\n\t" + spki(key.Public()) + "\n \r\n", key.Public()},
		{"line ends of Windows", strings.ReplaceAll(spki(key.Public()), "\n", "\r\n"), key.Public()},
	} {
		got, err := auth.ParsePublicKey([]byte(row.text))
		if err != nil || !sameKey(got, row.want) {
			t.Errorf("%s: %v, %v", row.name, got, err)
		}
	}
}

func TestParsePublicKey_says_what_was_given_instead(t *testing.T) {
	ec, err := x509.MarshalECPrivateKey(p256Pair())
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := spki(p256Pair().Public())
	for _, row := range []struct{ name, text, want string }{
		{"nothing", " \n", "the key is empty"},
		{"a private key", pkcs8(edPair()), "this is a private key (PRIVATE KEY), and a public one belongs here"},
		{"a private key of the old form", pemOf("EC PRIVATE KEY", ec), "this is a private key (EC PRIVATE KEY), and a public one belongs here"},
		{"an encrypted private key", pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "this is a private key (ENCRYPTED PRIVATE KEY)"},
		{"two keys", public + public, "the key has something behind its PUBLIC KEY; only one block can be the key"},
		{"rubbish behind it", public + "x", "the key has something behind its PUBLIC KEY; only one block can be the key"},
		{"text before it", "my key:\n" + public, "the key is not PEM: it must begin with -----BEGIN"},
		{"a secret in base64", goodSecret, "the key is not PEM: it must begin with -----BEGIN"},
		{"half of it", public[:len(public)/2], "the key is damaged PEM: is its END line missing, or a line break?"},
		{"all on one line", strings.ReplaceAll(public, "\n", ""), "the key is damaged PEM: is its END line missing, or a line break?"},
		{"a JWK", `{"kty":"RSA"}`, "the key is JSON; a JWK belongs in a set of its own, a jwks_file"},
		{"a key of OpenSSH", "ssh-ed25519 AAAA me@here", "the key is in OpenSSH's form; `ssh-keygen -e -m pkcs8 -f FILE` converts it"},
		{"another kind of block", pemOf("CERTIFICATE REQUEST", nil), `a PEM block "CERTIFICATE REQUEST" is no public key`},
		{"another block's label", strings.ReplaceAll(public, "PUBLIC KEY", "RSA PUBLIC KEY"), "the RSA PUBLIC KEY cannot be read: "},
		{"nothing inside", pemOf("PUBLIC KEY", nil), "the PUBLIC KEY cannot be read: "},
		{"more than any key has", public + strings.Repeat(" ", 8) + strings.Repeat("x", 1<<16), "the key is longer than any"},
		{"a key that signs nothing", spki(exchange.Public()), ""}, // it is a key; NewVerifier refuses it
	} {
		key, err := auth.ParsePublicKey([]byte(row.text))
		if row.want == "" {
			if _, err := auth.NewVerifier(auth.VerifierOptions{Realm: "r", Keys: []auth.Key{{Algorithm: "EdDSA", Public: key}}}); broker.KindOf(err) != broker.Invalid {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if broker.KindOf(err) != broker.Invalid || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s\n got: %v\nwant: %s", row.name, err, row.want)
		}
	}
}

const goodSecret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func TestParsePrivateKey(t *testing.T) {
	ec, err := x509.MarshalECPrivateKey(p384Pair())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, text string
		want       crypto.PublicKey
	}{
		{"PKCS #8", pkcs8(edPair()), edPair().Public()},
		{"PKCS #1", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPair())), rsaPair().Public()},
		{"SEC 1", pemOf("EC PRIVATE KEY", ec), p384Pair().Public()},
	} {
		if got, err := auth.ParsePrivateKey([]byte(row.text)); err != nil || !sameKey(got.Public(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	for _, row := range []struct{ name, text, want string }{
		{"a public key", spki(edPair().Public()), `a PEM block "PUBLIC KEY" is no private key; PRIVATE KEY, RSA PRIVATE KEY and EC PRIVATE KEY are`},
		{"an encrypted one", pemOf("ENCRYPTED PRIVATE KEY", nil), "the private key is encrypted; `openssl pkey` takes the password off"},
		{"a damaged one", pemOf("PRIVATE KEY", []byte("x")), "the PRIVATE KEY cannot be read: is a part of it missing?"},
		{
			"one encrypted in the old way", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----",
			"the private key is encrypted; `openssl pkey` takes the password off",
		},
	} {
		_, err := auth.ParsePrivateKey([]byte(row.text))
		wantError(t, err, broker.Invalid, row.want)
	}
}

// FuzzParsePublicKey holds that what is taken for a public key can be written as one again, and nothing private is.
func FuzzParsePublicKey(f *testing.F) {
	f.Add(spki(rsaPair().Public()))
	f.Add(spki(p256Pair().Public()))
	f.Add(spki(edPair().Public()))
	f.Add(certificate(f, edPair()))
	f.Add(pkcs8(p256Pair()))
	f.Add("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := auth.ParsePublicKey([]byte(text))
		if err != nil {
			if broker.KindOf(err) != broker.Invalid {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if _, private := key.(crypto.Signer); private || strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PRIVATE") {
			t.Errorf("%q made %T", text, key)
		}
	})
}
