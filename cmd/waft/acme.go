package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// authority gets certificates for hosts when their first client comes, keeps them in a directory, and renews them in time.
// (RFC 8555) It shows that the hosts are ours in a handshake on port 443 (tls-alpn-01, RFC 8737) or, where there is a redirect listener, by a
// page on port 80 (http-01).
type authority struct {
	// static
	manager *autocert.Manager
	hosts   []string // in lower case
	logger  *slog.Logger

	failed atomic.Uint64 // handshakes for which there was no certificate
	lines  sparingly     // about that

	mu    sync.Mutex
	shown map[string]time.Time // when the certificate that was last shown for a host expires; of hosts only
}

// challengeProtocol is what an authority asks for when it looks whether a host is ours.
const challengeProtocol = acme.ALPNProto

func newAuthority(a *acmeSettings, dir string, logger *slog.Logger) *authority {
	return &authority{
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS, // accept_terms said so
			Cache:      autocert.DirCache(inDir(dir, a.Cache)),
			HostPolicy: autocert.HostWhitelist(a.Hosts...),
			Email:      a.Email,
			Client:     &acme.Client{DirectoryURL: a.Directory, HTTPClient: &http.Client{Timeout: 30 * time.Second}, UserAgent: "waft"},
		},
		hosts: a.Hosts, logger: logger, shown: map[string]time.Time{},
	}
}

// serves tells whether the host is one of those that certificates are asked for.
func (a *authority) serves(host string) bool {
	return slices.Contains(a.hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
}

// isChallenge tells whether it is an authority that comes to look. (RFC 8737 §3)
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol
}

// challenge is the certificate that shows that the host is ours.
func (a *authority) challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.manager.GetCertificate(hello)
}

// certificate is the host's certificate. The first client waits until the authority has made it.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := a.manager.GetCertificate(hello)
	if err != nil {
		if a.failed.Add(1); a.lines.may() {
			a.logger.LogAttrs(context.Background(), slog.LevelError, "no certificate from the ACME authority",
				slog.String("host", hello.ServerName), slog.Any("error", err))
		}
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))] = c.Leaf.NotAfter
	return c, nil
}

// expiries tells when the certificates expire, by host; of those that somebody has asked for.
func (a *authority) expiries(each func(host string, at time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for host, at := range a.shown {
		each(host, at)
	}
}
