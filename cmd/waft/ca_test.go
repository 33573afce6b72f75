package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// testCA hands out certificates for a test.
type testCA struct {
	t    *testing.T
	dir  string // of the files
	key  crypto.Signer
	cert *x509.Certificate
	pool *x509.CertPool // with its own certificate
	now  time.Time
	last int64 // serial number
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &testCA{t: t, dir: t.TempDir(), key: key, pool: x509.NewCertPool(), now: time.Now()}
	ca.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA of tests"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: ca.now.Add(-time.Hour), NotAfter: ca.now.Add(365 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca.cert, ca.cert, key.Public(), key)
	if err == nil {
		ca.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	ca.pool.AddCert(ca.cert)
	return ca
}

// sign makes a certificate that begins an hour ago.
func (ca *testCA) sign(public crypto.PublicKey, notAfter time.Time, hosts ...string) []byte {
	ca.t.Helper()
	ca.last++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(100 + ca.last), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: ca.now.Add(-time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, public, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return der
}

// files writes a certificate with its key and gives the settings for them.
func (ca *testCA) files(name string, key crypto.Signer, notAfter time.Time, hosts ...string) string {
	ca.t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(ca.dir, name+".pem"), filepath.Join(ca.dir, name+".key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: ca.sign(key.Public(), notAfter, hosts...)}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			ca.t.Fatal(err)
		}
	}
	return fmt.Sprintf("[[tls.certificate]]\ncert_file = '%s'\nkey_file = '%s'\n", certFile, keyFile)
}

// issue is files with a fresh key, for three months.
func (ca *testCA) issue(name string, hosts ...string) string {
	ca.t.Helper()
	return ca.files(name, newECKey(ca.t), ca.now.Add(90*24*time.Hour), hosts...)
}

// pair is a certificate without files.
func (ca *testCA) pair(hosts ...string) *tls.Certificate {
	ca.t.Helper()
	key := newECKey(ca.t)
	der := ca.sign(key.Public(), ca.now.Add(time.Hour), hosts...)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newECKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
