//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TLS that waft ends itself, with curl, Node and Chromium, and a CA that is made here.

// authority is that CA.
type authority struct {
	file string // of its certificate
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t)}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "waft's interop"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	writePEM(t, a.file, "CERTIFICATE", a.sign(t, a.cert, &a.key.PublicKey))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, cert *x509.Certificate, key *ecdsa.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for a host and 127.0.0.1 to the folder, and gives the hash by which Chromium can be told to believe it.
func (a *authority) issue(t *testing.T, dir, name, host string) (pin string) {
	t.Helper()
	key := newKey(t)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", private)
	writePEM(t, filepath.Join(dir, name+".pem"), "CERTIFICATE", a.sign(t, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey))
	hash := sha256.Sum256(public)
	return base64.StdEncoding.EncodeToString(hash[:])
}

// secureWaft is a waft with two certificates: of push.test, which is the first, and of other.test.
func secureWaft(t *testing.T, top, bayeux string) (w *waft, a *authority, pin string) {
	t.Helper()
	a = newAuthority(t)
	w = startWaftWith(t, bayeux)
	w.proc.stop()
	dir := filepath.Dir(w.config)
	pin = a.issue(t, dir, "push", "push.test")
	a.issue(t, dir, "other", "other.test")
	text, err := os.ReadFile(w.config)
	if err == nil {
		top += "[[tls.certificate]]\ncert_file = \"push.pem\"\nkey_file = \"push.key\"\n[[tls.certificate]]\ncert_file = \"other.pem\"\nkey_file = \"other.key\"\n"
		head, realms, _ := strings.Cut(string(text), "[[realm]]")
		err = os.WriteFile(w.config, []byte(head+top+"[[realm]]"+realms), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.url = "https" + strings.TrimPrefix(w.url, "http")
	return w, a, pin
}

// curlTo runs curl with a name for the server's address.
func (w *waft) curlTo(a *authority, host string, args ...string) *exec.Cmd {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(w.url, "https://"))
	args = append([]string{"--silent", "--show-error", "--no-buffer", "--cacert", a.file, "--resolve", host + ":" + port + ":127.0.0.1"}, args...)
	for i, arg := range args {
		args[i] = strings.Replace(arg, "https://HOST", "https://"+net.JoinHostPort(host, port), 1)
	}
	return exec.Command("curl", args...)
}

func TestTLS_curl(t *testing.T) {
	t.Parallel()
	need(t, curlPeer)
	w, a, _ := secureWaft(t, "", "")
	publish := func(host, version, text string) {
		t.Helper()
		out, err := w.curlTo(a, host, version, "--fail-with-body", "--write-out", " HTTP %{http_version}", "--header", "Content-Type: application/json",
			"--data", `{"items":[{"channel":"/open/x","json-object":`+text+`}]}`, "https://HOST/realm/default/publish/").CombinedOutput()
		want := " HTTP " + map[string]string{"--http1.1": "1.1", "--http2": "2"}[version]
		if err != nil || !strings.HasSuffix(string(out), want) {
			t.Errorf("%s to %s: %v: %s", version, host, err, out)
		}
	}
	var streams []*driver
	for _, version := range []string{"--http1.1", "--http2"} {
		d := driveAs(t, "curl "+version, w.curlTo(a, "push.test", version, "https://HOST/realm/default/events?channel=/open/x&envelope=0"), eventLine)
		if _, err := d.until("data", `{"resumed":false}`); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, d)
	}
	hear := func(text string) {
		t.Helper()
		for _, d := range streams {
			if _, err := d.until("data", text); err != nil {
				t.Error(err)
			}
		}
	}
	publish("push.test", "--http2", "1")
	hear("1")
	publish("other.test", "--http1.1", "2")
	hear("2")

	// Renewed: curl believes only the new one, and the streams go on.
	dir := filepath.Dir(w.config)
	b := newAuthority(t)
	b.issue(t, dir, "other", "other.test")
	if err := w.proc.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := await("the new certificate", func() error {
		return w.curlTo(b, "other.test", "--output", "/dev/null", "https://HOST/").Run()
	}); err != nil {
		t.Error(err)
	}
	publish("push.test", "--http1.1", "3")
	hear("3")
}

func TestTLS_Node(t *testing.T) {
	t.Parallel()
	need(t, nodePeer)
	w, a, _ := secureWaft(t, "", "")
	const channel = "/open/secure"
	var all []*driver
	for _, c := range []bayeuxClient{{library: "faye", transport: webSocket}, {library: "faye", transport: longPolling}, {library: "cometd", transport: longPolling}} {
		cmd := node(c.library, map[string]string{"url": w.url + "/bayeux", "package": c.library, "transport": c.transport, "ack": "false"})
		cmd.Env = []string{"NODE_EXTRA_CA_CERTS=" + a.file}
		d := drive(t, c.name(), cmd)
		d.subscribe(t, channel).subscribed(t)
		d.mustUse(t, c.transport)
		all = append(all, d)
	}
	for i, publisher := range all {
		text := `{"from":` + string(rune('0'+i)) + `}`
		publisher.publish(t, channel, text)
		for _, d := range all {
			if _, err := d.until(channel, text); err != nil {
				t.Error(err)
			}
		}
	}
}

// Chromium speaks HTTP/2 to it, and HTTP/1.1 for the WebSocket.
func TestTLS_Chromium(t *testing.T) {
	for _, transport := range []string{webSocket, eventSource} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			need(t, nodePeer, chromiumPeer, curlPeer)
			folder, _ := os.Getwd()
			w, a, pin := secureWaft(t, "", "timeout = \"2s\"\n  client_script = \""+folder+"/node_modules/faye/client/faye-browser.js\"")
			d := drive(t, "faye in Chromium over TLS by "+transport, node("browser", map[string]string{
				"url": w.url + "/bayeux", "client": "faye", "transport": transport, "page": "", "chromium": chromiumProgram, "pin": pin,
			}))
			const one = "/open/browser/secure"
			d.subscribe(t, one).subscribed(t)
			d.mustUse(t, transport)
			for _, text := range []string{"1", "2", "3"} {
				if out, err := w.curlTo(a, "push.test", "--fail-with-body", "--data", `{"items":[{"channel":"`+one+`","json-object":`+text+`}]}`, "https://HOST/realm/default/publish/").CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if _, err := d.until(one, text); err != nil {
					t.Error(err)
				}
			}
			d.publish(t, one, `"mine"`)
			if _, err := d.until(one, `"mine"`); err != nil {
				t.Error(err)
			}
			if n := d.count("pageerror"); n > 0 {
				t.Errorf("%d errors in the page", n)
			}
		})
	}
}

// HAProxy passes on what it cannot read, and says whose it is.
func TestTLS_through_a_proxy_that_does_not_end_it(t *testing.T) {
	t.Parallel()
	need(t, haproxyPeer, curlPeer)
	w, a, _ := secureWaft(t, "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n", "\n  [realm.events]\n  max_streams_per_address = 1\n")
	addr := freeAddr()
	startHAProxy(t, strings.NewReplacer("127.0.0.1:8443", strings.TrimPrefix(w.url, "https://"), "bind 0.0.0.0:443", "bind "+addr).Replace(documented(t, "haproxy-tcp")))
	if err := await("HAProxy", func() error { return listening(addr) }); err != nil {
		t.Fatal(err)
	}
	host := net.JoinHostPort("push.test", port(addr))
	rightClient(t, w, "https://"+host, "--cacert", a.file, "--resolve", host+":127.0.0.1")
}
