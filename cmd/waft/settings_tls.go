package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/acme/autocert"
)

// tlsSettings says whether the public listener speaks TLS, and with which certificates. With neither certificates nor ACME
// hosts it speaks plain HTTP.
type tlsSettings struct {
	MinVersion   string                `toml:"min_version"` // "1.2" (default) or "1.3"
	Redirect     string                `toml:"redirect"`    // address of a plain HTTP listener that sends browsers to the public one; default none
	Certificates []certificateSettings `toml:"certificate"` // the first is for clients that name no host, or one that nobody has
	ACME         acmeSettings          `toml:"acme"`
}

// certificateSettings is a certificate with its key, in PEM.
type certificateSettings struct {
	CertFile string `toml:"cert_file"` // with the chain behind it; seen from the configuration file's folder
	KeyFile  string `toml:"key_file"`  // likewise
}

// acmeSettings is an authority that hands out certificates by itself. (RFC 8555)
type acmeSettings struct {
	Hosts       []string `toml:"hosts"`        // the names to ask certificates for; default none
	Cache       string   `toml:"cache"`        // directory of the account's key and the certificates; seen from the configuration file's folder
	Email       string   `toml:"email"`        // whom the authority may write to
	Directory   string   `toml:"directory"`    // URL of the authority; default Let's Encrypt
	AcceptTerms bool     `toml:"accept_terms"` // that its terms of service are agreed to
}

// tlsVersions are the words for min_version. Below 1.2 nothing is offered: RFC 8996.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func (t *tlsSettings) complete() {
	fill(&t.MinVersion, "1.2")
	t.ACME.complete()
}

func (a *acmeSettings) complete() {
	if a.Hosts == nil {
		a.Hosts = []string{}
	}
	a.Directory = cmp.Or(a.Directory, autocert.DefaultACMEDirectory)
}

// on tells whether the public listener speaks TLS.
func (t *tlsSettings) on() bool { return len(t.Certificates) > 0 || len(t.ACME.Hosts) > 0 }

// scheme is that of the public listener's addresses.
func (t *tlsSettings) scheme() string {
	if t.on() {
		return "https"
	}
	return "http"
}

func (t *tlsSettings) validate(f *faults, dir string) {
	if _, ok := tlsVersions[t.MinVersion]; !ok {
		f.add("tls.min_version: %q is neither \"1.2\" nor \"1.3\"", t.MinVersion)
	}
	if t.Redirect != "" {
		if err := checkAddress(t.Redirect); err != nil {
			f.add("tls.redirect: %v", err)
		}
		if !t.on() {
			f.add("tls.redirect: there is nothing to redirect to; add [[tls.certificate]] or tls.acme.hosts")
		}
	}
	files := map[string]bool{}
	for i := range t.Certificates {
		c := &t.Certificates[i]
		if files[c.CertFile] {
			f.add("tls.certificate %d: %s is there twice", i+1, c.CertFile)
		}
		files[c.CertFile] = true
		if _, err := c.load(dir); err != nil {
			f.add("tls.certificate %d: %v", i+1, err)
		}
	}
	t.ACME.validate(f)
}

func (a *acmeSettings) validate(f *faults) {
	if len(a.Hosts) == 0 {
		return
	}
	for i, h := range a.Hosts {
		name := strings.ToLower(strings.TrimSuffix(h, "."))
		_, err := netip.ParseAddr(name)
		if err == nil || !strings.Contains(name, ".") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			f.add("tls.acme.hosts: %q is not a host name that an authority would vouch for, such as push.example.org (or xn--… for one that is not ASCII)", h)
		}
		a.Hosts[i] = name
	}
	if a.Cache == "" {
		f.add("tls.acme.cache: name a directory; without it every start asks for new certificates, and the authority soon refuses them")
	}
	if !a.AcceptTerms {
		f.add("tls.acme.accept_terms: read the authority's terms of service, and set it to true")
	}
	// What is asked there is signed, but on which keys certificates are made should be nobody's guess.
	if u, err := url.Parse(a.Directory); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopbackName(u.Hostname())) {
		f.add("tls.acme.directory: %q is not the https URL of an ACME directory", a.Directory)
	}
}

func loopbackName(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// load reads the certificate and the key that belongs to it.
func (c *certificateSettings) load(dir string) (*tls.Certificate, error) {
	if c.CertFile == "" || c.KeyFile == "" {
		return nil, fmt.Errorf("set both cert_file and key_file")
	}
	pair, err := tls.LoadX509KeyPair(inDir(dir, c.CertFile), inDir(dir, c.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &pair, nil
}

// inDir is path seen from dir.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
