package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// certificates are what the public listener shows to clients. Each handshake takes those that are in effect then, and a connection
// that was made goes on whatever becomes of them. So they can be replaced at any time.
type certificates struct {
	// static
	acme *authority // nil: none

	files  atomic.Pointer[[]certificate]
	failed atomic.Uint64 // connections that ended before their handshake was over
}

// certificate is one from a file.
type certificate struct {
	file string // as the configuration has it
	pair *tls.Certificate
}

// loadFiles reads all certificates that are configured.
func (t *tlsSettings) loadFiles(dir string) ([]certificate, error) {
	list := make([]certificate, 0, len(t.Certificates))
	for i := range t.Certificates {
		pair, err := t.Certificates[i].load(dir)
		if err != nil {
			return nil, fmt.Errorf("tls.certificate %d: %w", i+1, err)
		}
		list = append(list, certificate{t.Certificates[i].CertFile, pair})
	}
	return list, nil
}

// newCertificates is nil if there are to be none.
func newCertificates(t *tlsSettings, dir string, logger *slog.Logger) (*certificates, error) {
	if !t.on() {
		return nil, nil
	}
	files, err := t.loadFiles(dir)
	if err != nil {
		return nil, err
	}
	c := &certificates{}
	if len(t.ACME.Hosts) > 0 {
		c.acme = newAuthority(&t.ACME, dir, logger)
	}
	c.replace(files, logger)
	return c, nil
}

// replace puts files in effect for the handshakes to come.
func (c *certificates) replace(files []certificate, logger *slog.Logger) {
	c.files.Store(&files)
	for _, f := range files {
		f.warn(logger)
	}
}

// soon is when whoever renews a certificate should long have done so: Let's Encrypt's clients do it 30 days ahead.
const soon = 14 * 24 * time.Hour

// warn says what is wrong with a certificate that is good for a handshake all the same.
func (f *certificate) warn(logger *slog.Logger) {
	switch leaf, now := f.pair.Leaf, time.Now(); {
	case now.After(leaf.NotAfter):
		f.log(logger, "a certificate has expired, and clients will refuse it: renew it, and send SIGHUP")
	case now.Before(leaf.NotBefore):
		f.log(logger, "a certificate is not good yet, and clients will refuse it")
	case now.Add(soon).After(leaf.NotAfter):
		f.log(logger, "a certificate will expire soon: renew it, and send SIGHUP")
	}
}

func (f *certificate) log(logger *slog.Logger, what string) {
	logger.LogAttrs(context.Background(), slog.LevelWarn, what,
		slog.String("cert_file", f.file), slog.Time("not_before", f.pair.Leaf.NotBefore), slog.Time("not_after", f.pair.Leaf.NotAfter))
}

// choose is tls.Config.GetCertificate: the first certificate from a file that is for the host which the client names, and whose kind
// the client understands; else the authority's for that host; else the first.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.acme != nil && isChallenge(hello) {
		return c.acme.challenge(hello)
	}
	files := *c.files.Load()
	for _, f := range files {
		if hello.SupportsCertificate(f.pair) == nil {
			return f.pair, nil
		}
	}
	if c.acme != nil && c.acme.serves(hello.ServerName) {
		return c.acme.certificate(hello)
	}
	if len(files) > 0 {
		return files[0].pair, nil
	}
	return nil, fmt.Errorf("no certificate is for the host %q", hello.ServerName)
}

// config is for the public listener's server, which adds what net/http wants (HTTP/2).
func (c *certificates) config(t *tlsSettings) *tls.Config {
	config := &tls.Config{GetCertificate: c.choose, MinVersion: tlsVersions[t.MinVersion]}
	if c.acme != nil {
		config.NextProtos = []string{"h2", "http/1.1", challengeProtocol}
	}
	return config
}
