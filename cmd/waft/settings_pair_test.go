package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waft/auth"
	"waft/broker"
	"waft/xmpp"
)

// writePair writes the two halves of an Ed25519 key into dir, as public.pem and private.pem, and gives the first.
func writePair(t *testing.T, dir string) (public string) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: a}))
	for name, text := range map[string]string{"public.pem": public, "private.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return public
}

func TestToken_minted_with_a_private_key_is_accepted_by_whoever_has_the_public_one(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'a'\n[[realm.key]]\nalg = 'EdDSA'\nprivate_key_file = 'private.pem'\n")
	public := writePair(t, filepath.Dir(path))
	code, token, stderr := run(t, nil, "token", "mint", "--config", path, "--realm", "a")
	if code != exitOK {
		t.Fatal(stderr)
	}
	for _, key := range []string{"public_key_file = 'public.pem'", "public_key = '''\n" + public + "'''"} {
		here := filepath.Join(filepath.Dir(path), "verify.toml")
		if err := os.WriteFile(here, []byte("[[realm]]\nid = 'a'\n[[realm.key]]\nalg = 'EdDSA'\n"+key), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run(t, nil, "token", "check", "--config", here, "--realm", "a", strings.TrimSpace(token)); code != exitOK {
			t.Errorf("%s: %s", key, stderr)
		}
		if code, _, stderr := run(t, nil, "token", "mint", "--config", here, "--realm", "a"); code != exitUsage || !strings.Contains(stderr, "has no private key") {
			t.Errorf("%s: exit code %d: %s", key, code, stderr)
		}
	}
}

func TestLoad_a_key_pair_that_makes_no_sense_is_named(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{"a_secret_and_a_public_key", "secret = '" + goodKey + "'\npublic_key_file = 'public.pem'", "key 1: it has a secret and a public key"},
		{"two_public_keys", "alg = 'EdDSA'\npublic_key = 'x'\npublic_key_file = 'public.pem'", "key 1: set only one of public_key and public_key_file"},
		{"a_private_one_for_a_public_one", "alg = 'EdDSA'\npublic_key_file = 'private.pem'", "key 1: public_key_file: this is a private key"},
		{"a_public_one_for_a_private_one", "alg = 'EdDSA'\nprivate_key_file = 'public.pem'", "key 1: private_key_file: a PEM block"},
		{"a_file_that_is_not_there", "alg = 'EdDSA'\npublic_key_file = 'nowhere'", "key 1: public_key_file: open"},
		{"no_algorithm", "public_key_file = 'public.pem'", "HS256 takes a secret, and this is an Ed25519 key, for EdDSA"},
		{"another_algorithm", "alg = 'RS256'\npublic_key_file = 'public.pem'", "RS256 takes an RSA key, and this is an Ed25519 key"},
		{"a_public_key_for_a_secret", "secret_file = 'public.pem'", "key 1: the key is not base64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeConfig(t, "[[realm]]\nid = 'a'\n[[realm.key]]\n"+c.key)
			writePair(t, filepath.Dir(path))
			_, err := load(overrides{config: path}, nil)
			wantConfigError(t, err, c.want)
		})
	}
}

func TestMint_signs_with_the_first_key_that_can(t *testing.T) {
	path := writeConfig(t, "[[realm]]\nid = 'default'\n[[realm.key]]\nid = 'p'\nalg = 'EdDSA'\npublic_key_file = 'public.pem'\n[[realm.key]]\nid = 's'\nsecret = '"+goodKey+"'")
	writePair(t, filepath.Dir(path))
	if code, _, stderr := run(t, nil, "token", "mint", "--config", path); code != exitOK {
		t.Errorf("token mint: %s", stderr)
	}
	s, err := load(overrides{config: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mint, err := s.Realms[0].mint(nil, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Realms[0].verifier(nil, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := mint(broker.Principal{Grants: auth.Everything().Grants()}, xmpp.TokenRequest{Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if who, err := v.Authenticate(t.Context(), token); err != nil || who.Credential.Key != "s" || who.Credential.ID == "" || who.Credential.Issued.IsZero() {
		t.Errorf("a token that an XMPP user asked for: %+v, %v", who.Credential, err)
	}
}
