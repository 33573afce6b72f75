package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// acmeFake is an authority (RFC 8555) on loopback: it looks whether the host is whose it says, and hands out certificates of a CA of tests. It does not
// look at signatures of requests.
type acmeFake struct {
	t      *testing.T
	ca     *testCA
	server *httptest.Server
	offers string // the challenge that it offers

	mu         sync.Mutex
	tls, plain string // where hosts are looked for
	orders     map[string]*acmeOrder
	account    json.RawMessage // its key, a JWK
	asked      int             // orders
	refuse     bool
	contact    string
	agreed     bool
}

type acmeOrder struct {
	host string
	done bool // the host has been looked at
	cert []byte
}

func newACMEFake(t *testing.T, ca *testCA, offers string) *acmeFake {
	f := &acmeFake{t: t, ca: ca, offers: offers, orders: map[string]*acmeOrder{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// lookAt says where hosts are.
func (f *acmeFake) lookAt(r *running) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tls = r.public.Addr().String()
	if r.plain != nil {
		f.plain = r.plain.Addr().String()
	}
}

func (f *acmeFake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *acmeFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Replay-Nonce", "n")
	at := func(format string, args ...any) string { return f.server.URL + fmt.Sprintf(format, args...) }
	answer := func(status int, location string, v any) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	var request struct {
		header struct {
			JWK json.RawMessage `json:"jwk"`
		}
		payload struct {
			Contact     []string                       `json:"contact"`
			Agreed      bool                           `json:"termsOfServiceAgreed"`
			Identifiers []struct{ Type, Value string } `json:"identifiers"`
			CSR         string                         `json:"csr"`
		}
	}
	if r.Method == http.MethodPost {
		var jws struct{ Protected, Payload string }
		if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
			f.t.Error(err)
		}
		for text, to := range map[string]any{jws.Protected: &request.header, jws.Payload: &request.payload} {
			if b, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(b) > 0 && json.Unmarshal(b, to) != nil {
				f.t.Errorf("%q: %v", text, err)
			}
		}
	}
	what, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	order := f.orders[id]
	state := func() map[string]any {
		v := map[string]any{"status": "pending", "authorizations": []string{at("/authz/%s", id)}, "finalize": at("/finalize/%s", id)}
		if order.done {
			v["status"] = "ready"
		}
		if order.cert != nil {
			v["status"], v["certificate"] = "valid", at("/cert/%s", id)
		}
		return v
	}
	challenge := func() map[string]any {
		v := map[string]any{"type": f.offers, "url": at("/challenge/%s", id), "token": "token-" + id, "status": "pending"}
		if order.done {
			v["status"] = "valid"
		}
		return v
	}
	switch what {
	case "directory":
		answer(200, "", map[string]any{
			"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"), "revokeCert": at("/revoke"), "keyChange": at("/change"),
			"meta": map[string]string{"termsOfService": at("/terms")},
		})
	case "nonce":
	case "account":
		f.account, f.agreed, f.contact = request.header.JWK, request.payload.Agreed, strings.Join(request.payload.Contact, " ")
		answer(201, at("/account/1"), map[string]string{"status": "valid"})
	case "order":
		if id == "" {
			f.asked++
			if f.refuse {
				answer(403, "", map[string]string{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not that one"})
				return
			}
			id = fmt.Sprint(f.asked)
			order = &acmeOrder{host: request.payload.Identifiers[0].Value}
			f.orders[id] = order
			answer(201, at("/order/%s", id), state())
			return
		}
		answer(200, at("/order/%s", id), state())
	case "authz":
		v := map[string]any{"status": "pending", "identifier": map[string]string{"type": "dns", "value": order.host}, "challenges": []any{challenge()}}
		if order.done {
			v["status"] = "valid"
		}
		answer(200, "", v)
	case "challenge":
		key := "token-" + id + "." + f.thumbprint()
		if err := map[string]func(string, string) error{"tls-alpn-01": f.lookByTLS, "http-01": f.lookByHTTP}[f.offers](order.host, key); err != nil {
			f.t.Errorf("%s for %s: %v", f.offers, order.host, err)
		}
		order.done = true
		answer(200, "", challenge())
	case "finalize":
		der, err := base64.RawURLEncoding.DecodeString(request.payload.CSR)
		if err != nil {
			f.t.Error(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			f.t.Error(err)
			return
		}
		order.cert = f.ca.sign(csr.PublicKey, f.ca.now.Add(60*24*time.Hour), order.host)
		answer(200, at("/order/%s", id), state())
	case "cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: order.cert})
	default:
		f.t.Errorf("asked for %s", r.URL.Path)
		w.WriteHeader(404)
	}
}

// thumbprint is that of the account's key. (RFC 7638)
func (f *acmeFake) thumbprint() string {
	var key struct{ Crv, Kty, X, Y string }
	if err := json.Unmarshal(f.account, &key); err != nil {
		f.t.Error(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, key.Crv, key.Kty, key.X, key.Y))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// lookByTLS is RFC 8737 §3.
func (f *acmeFake) lookByTLS(host, key string) error {
	conn, err := tls.Dial("tcp", f.tls, &tls.Config{ServerName: host, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	want := sha256.Sum256([]byte(key))
	for _, x := range state.PeerCertificates[0].Extensions {
		var got []byte
		if x.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) {
			if _, err := asn1.Unmarshal(x.Value, &got); err == nil && bytes.Equal(got, want[:]) && state.NegotiatedProtocol == "acme-tls/1" {
				return nil
			}
		}
	}
	return fmt.Errorf("the certificate that is shown is not for the challenge: %v", state.PeerCertificates[0].DNSNames)
}

// lookByHTTP is RFC 8555 §8.3.
func (f *acmeFake) lookByHTTP(host, key string) error {
	token, _, _ := strings.Cut(key, ".")
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.plain+"/.well-known/acme-challenge/"+token, nil)
	if err != nil {
		return err
	}
	r.Host = host
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != key {
		return fmt.Errorf("%s %q %w", res.Status, b, err)
	}
	return nil
}

func TestACME_certificates_are_made_when_their_first_client_comes_and_kept(t *testing.T) {
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) {
			ca := newTestCA(t)
			fake := newACMEFake(t, ca, challenge)
			cache := filepath.Join(t.TempDir(), "acme")
			config := writeConfig(t, "[tls]\nredirect = '127.0.0.1:0'\n[tls.acme]\nhosts = ['Push.test', 'other.test']\nemail = 'ops@push.test'\naccept_terms = true\n"+
				"cache = '"+cache+"'\ndirectory = '"+fake.server.URL+"/directory'\n"+openRealm)
			r := serve(t, nil, "--config", config)
			fake.lookAt(r)
			if n := fake.count(); n != 0 {
				t.Errorf("%d certificates before anybody came", n)
			}
			for i, host := range []string{"push.test", "PUSH.test", "other.test", "push.test"} {
				names, err := shown(t, r, ca.over(host, "h2", "http/1.1"))
				if want := strings.ToLower(host); err != nil || strings.Join(names, " ") != want {
					t.Errorf("%d: %v %v, want %s", i, names, err, want)
				}
			}
			if n := fake.count(); n != 2 || !fake.agreed || fake.contact != "mailto:ops@push.test" {
				t.Errorf("%d certificates were asked for, by %q, who agreed: %t", n, fake.contact, fake.agreed)
			}
			for _, host := range []string{"unknown.test", ""} {
				if names, err := shown(t, r, ca.over(host)); err == nil {
					t.Errorf("for %q there is %v", host, names)
				}
			}
			expiry := fmt.Sprintf(`waft_tls_certificate_expiry_timestamp_seconds{certificate="acme:push.test"} %v`, float64(ca.now.Add(60*24*time.Hour).Unix()))
			if _, page := r.get(t, "/metrics"); !strings.Contains(page, expiry) || !strings.Contains(page, "waft_acme_failures_total 0") {
				t.Errorf("the metrics do not say %s, or something has failed", expiry)
			}
			if code := r.stop(); code != exitOK {
				t.Fatal(r.err.String())
			}
			for _, path := range []string{cache, filepath.Join(cache, "push.test")} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s can be read by others: %v %v", path, info, err)
				}
			}

			again := serve(t, nil, "--config", config)
			fake.lookAt(again)
			if names, err := shown(t, again, ca.over("push.test")); err != nil || len(names) != 1 {
				t.Errorf("after a restart: %v %v", names, err)
			}
			if n := fake.count(); n != 2 {
				t.Errorf("after a restart another certificate was asked for")
			}
		})
	}
}

func TestACME_a_certificate_that_cannot_be_had_fails_the_handshake_and_is_told(t *testing.T) {
	ca := newTestCA(t)
	fake := newACMEFake(t, ca, "tls-alpn-01")
	fake.refuse = true
	r := serve(t, nil, "--config", writeConfig(t, ca.issue("a", "a.test")+"[tls.acme]\nhosts = ['push.test', 'a.test']\naccept_terms = true\n"+
		"cache = '"+t.TempDir()+"'\ndirectory = '"+fake.server.URL+"/directory'\n"+openRealm))
	fake.lookAt(r)
	for range 2 {
		if _, err := shown(t, r, ca.over("push.test")); err == nil {
			t.Error("there is a certificate")
		}
	}
	if names, err := shown(t, r, ca.over("a.test")); err != nil || len(names) != 1 {
		t.Errorf("the certificate from a file: %v %v", names, err)
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, "waft_acme_failures_total 2\n") {
		t.Error("the failures are not counted")
	}
	if n := strings.Count(r.err.String(), "no certificate from the ACME authority"); n != 1 {
		t.Errorf("%d lines in the log, want 1 a minute", n)
	}
}
