package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const openRealm = "[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '" + goodKey + "'\n[[realm.rule]]\nmatch = '/**'\npublish = 'anyone'\nhistory = { size = 10 }\n"

// over is a client's side of TLS. Without a host it names none.
func (ca *testCA) over(host string, protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: ca.pool, ServerName: host, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// shown is the certificate that a server shows to a client.
func shown(t *testing.T, r *running, config *tls.Config) (names []string, err error) {
	t.Helper()
	if config.ServerName == "" {
		config.InsecureSkipVerify = true // there is no name to compare
	}
	conn, err := tls.Dial("tcp", r.public.Addr().String(), config)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames, nil
}

func TestTLS_the_certificate_goes_by_the_host_that_the_client_names(t *testing.T) {
	ca := newTestCA(t)
	until := ca.now.Add(48 * time.Hour)
	r := serve(t, nil, "--config", writeConfig(t, ca.issue("first", "first.test")+
		ca.files("rsa", newRSAKey(t), until, "both.test", "rsa.test")+ca.files("ec", newECKey(t), until, "both.test", "ec.test")+
		ca.issue("wild", "*.wild.test")+openRealm))
	rsaOnly := func(host string) *tls.Config {
		c := ca.over(host)
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		return c
	}
	ecOnly := func(host string) *tls.Config {
		c := ca.over(host)
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		return c
	}
	for _, c := range []struct {
		name   string
		client *tls.Config
		want   string
	}{
		{"a host", ca.over("first.test"), "first.test"},
		{"in capitals", ca.over("FIRST.test"), "first.test"},
		{"another", ca.over("ec.test"), "both.test ec.test"},
		{"one of many", ca.over("a.wild.test"), "*.wild.test"},
		{"one of two for the host, by kind of key", rsaOnly("both.test"), "both.test rsa.test"},
		{"the other", ecOnly("both.test"), "both.test ec.test"},
		{"none: the first", ca.over(""), "first.test"},
	} {
		names, err := shown(t, r, c.client)
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, got, err, c.want)
		}
	}
	if _, err := shown(t, r, ca.over("unknown.test")); err == nil || !strings.Contains(err.Error(), "first.test") {
		t.Errorf("an unknown host: %v, want the first certificate", err)
	}
}

func TestTLS_versions(t *testing.T) {
	ca := newTestCA(t)
	for _, c := range []struct {
		least, line string
		version     uint16
		ok          bool
	}{
		{"", "", tls.VersionTLS11, false},
		{"", "", tls.VersionTLS12, true},
		{"", "", tls.VersionTLS13, true},
		{"1.3", "[tls]\nmin_version = '1.3'\n", tls.VersionTLS12, false},
		{"1.3", "[tls]\nmin_version = '1.3'\n", tls.VersionTLS13, true},
	} {
		r := serve(t, nil, "--config", writeConfig(t, c.line+ca.issue("a", "a.test")+openRealm))
		client := ca.over("a.test")
		client.MinVersion, client.MaxVersion = c.version, c.version
		if _, err := shown(t, r, client); (err == nil) != c.ok {
			t.Errorf("least %q, client %s: %v", c.least, tls.VersionName(c.version), err)
		}
		failed := "waft_tls_handshakes_failed_total " + map[bool]string{true: "0", false: "1"}[c.ok] + "\n"
		await(t, failed, func() bool { _, page := r.get(t, "/metrics"); return strings.Contains(page, failed) })
		r.stop()
	}
}

// await waits for something that the outside shows.
func await(t *testing.T, what string, shows func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !shows(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waiting for ", what)
		}
	}
}

// secure is a client over TLS, of one version of HTTP.
func (ca *testCA) secure(t *testing.T, host string, major int) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: ca.over(host), Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(major == 1)
	transport.Protocols.SetHTTP2(major == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// Everything that the public listener serves, over TLS and both versions of HTTP.
func TestTLS_serves_every_protocol(t *testing.T) {
	ca := newTestCA(t)
	for _, major := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP_%d", major), func(t *testing.T) {
			r := serve(t, nil, "--config", writeConfig(t, ca.issue("a", "a.test")+openRealm))
			c := ca.secure(t, "a.test", major)
			base := "https://" + r.public.Addr().String()
			do := func(method, path, body, accept string) io.Reader {
				t.Helper()
				q, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if accept != "" {
					q.Header.Set("Accept", accept)
				}
				q.Header.Set("Content-Type", "application/json")
				res, err := c.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { res.Body.Close() })
				if res.ProtoMajor != major || res.StatusCode != http.StatusOK {
					text, _ := io.ReadAll(res.Body)
					t.Fatalf("%s %s: %s %s: %s", method, path, res.Proto, res.Status, text)
				}
				return res.Body
			}
			text := func(body io.Reader) string {
				t.Helper()
				b, err := io.ReadAll(body)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			publish := func(channel string, n int) {
				t.Helper()
				text(do("POST", "/realm/default/publish/", fmt.Sprintf(`{"items":[{"channel":%q,"json-object":%d}]}`, channel, n), ""))
			}
			bayeux := func(message string) string {
				t.Helper()
				return text(do("POST", "/bayeux", "["+message+"]", ""))
			}

			// The stream of a realm.
			events := bufio.NewReader(do("GET", "/realm/default/events?channel=/a&envelope=0", "", "text/event-stream"))
			until(t, events, `{"resumed":`)
			publish("/a", 1)
			until(t, events, "1")

			// A poll of a channel's messages, held until there is one.
			page := text(do("GET", "/realm/default/channels/:a/messages?limit=1", "", ""))
			position := page[strings.Index(page, `"position":"`)+len(`"position":"`):]
			position, _, _ = strings.Cut(position, `"`)
			polled := later(func() string {
				return text(do("GET", "/realm/default/channels/:a/messages?wait=20&since="+position, "", ""))
			})
			await(t, "a request held", func() bool { return r.realms[0].reader.Stats().Held == 1 })
			publish("/a", 2)
			if page := <-polled; !strings.Contains(page, `"data":2`) {
				t.Errorf("polled %s", page)
			}
			until(t, events, "2")

			// Bayeux by long-polling: a held connect.
			hello := bayeux(`{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"id":"1"}`)
			id := hello[strings.Index(hello, `"clientId":"`)+len(`"clientId":"`):]
			id, _, _ = strings.Cut(id, `"`)
			bayeux(fmt.Sprintf(`{"channel":"/meta/subscribe","clientId":%q,"subscription":"/b","id":"2"}`, id))
			connect := fmt.Sprintf(`{"channel":"/meta/connect","clientId":%q,"connectionType":"long-polling","id":"3"}`, id)
			bayeux(connect)
			for n := range 3 { // and the connection serves on
				await(t, "no poll", func() bool { return r.realms[0].bayeux.Stats().Polls == 0 })
				polled := later(func() string { return bayeux(connect) })
				await(t, "a held poll", func() bool { return r.realms[0].bayeux.Stats().Polls == 1 })
				publish("/b", 10+n)
				if answer := <-polled; !strings.Contains(answer, fmt.Sprintf(`"data":%d`, 10+n)) {
					t.Errorf("the poll was answered %s", answer)
				}
			}

			// Bayeux by EventSource.
			stream := bufio.NewReader(do("GET", "/bayeux/"+id, "", "text/event-stream"))
			publish("/b", 20)
			until(t, stream, `"data":20`)
		})
	}
}

// later is what f will give; nothing, if it fails the test.
func later(f func() string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		defer close(answer)
		answer <- f()
	}()
	return answer
}

// socket opens a WebSocket of Bayeux with a subscription to /a.
func (ca *testCA) socket(t *testing.T, r *running, host string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: ca.over(host)}
	ws, res, err := d.DialContext(t.Context(), "wss://"+r.public.Addr().String()+"/bayeux", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	t.Cleanup(func() { ws.Close() })
	say := func(format string, args ...any) (reply struct{ ClientID string }) {
		t.Helper()
		var replies []struct{ ClientID string }
		if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
			t.Fatal(err)
		}
		if err := ws.ReadJSON(&replies); err != nil {
			t.Fatal(err)
		}
		return replies[0]
	}
	id := say(`[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket"],"id":"1"}]`).ClientID
	say(`[{"channel":"/meta/subscribe","clientId":%q,"subscription":"/a","id":"2"}]`, id)
	say(`[{"channel":"/meta/connect","clientId":%q,"connectionType":"websocket","id":"3"}]`, id)
	return ws
}

func TestTLS_serves_WebSockets(t *testing.T) {
	ca := newTestCA(t)
	r := serve(t, nil, "--config", writeConfig(t, ca.issue("a", "a.test")+openRealm))
	ws := ca.socket(t, r, "a.test")
	publishOver(t, ca, r, "a.test", `"x"`)
	if _, text, err := ws.ReadMessage(); err != nil || !strings.Contains(string(text), `"data":"x"`) {
		t.Errorf("%s %v", text, err)
	}
}

func publishOver(t *testing.T, ca *testCA, r *running, host, data string) {
	t.Helper()
	res, err := ca.secure(t, host, 1).Post("https://"+r.public.Addr().String()+"/realm/default/publish/", "application/json",
		strings.NewReader(`{"items":[{"channel":"/a","json-object":`+data+`}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

func TestTLS_plain_HTTP_to_the_listener_is_told(t *testing.T) {
	ca := newTestCA(t)
	r := serve(t, nil, "--config", writeConfig(t, ca.issue("a", "a.test")+openRealm))
	if status, text := post(t, r.url()+"/realm/default/publish/x", "", "{}"); status != http.StatusBadRequest || !strings.Contains(text, "HTTPS") {
		t.Errorf("%d %s", status, text)
	}
}

func TestTLS_reload_takes_new_certificates_and_drops_nobody(t *testing.T) {
	ca := newTestCA(t)
	first := ca.issue("a", "a.test")
	r := serveReloadable(t, nil, first+openRealm)
	ws := ca.socket(t, r.running, "a.test")
	expiry := func(name string, at time.Time) {
		t.Helper()
		line := fmt.Sprintf("waft_tls_certificate_expiry_timestamp_seconds{certificate=%q} ", ca.dir+"/"+name+".pem") + strconv.FormatFloat(float64(at.Unix()), 'e', -1, 64)
		if _, page := r.get(t, "/metrics"); !strings.Contains(page, line) {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	must := func(host, want string) {
		t.Helper()
		names, err := shown(t, r.running, ca.over(host))
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("for %s it shows %s %v, want %s", host, got, err, want)
		}
	}
	must("a.test", "a.test")
	expiry("a", ca.now.Add(90*24*time.Hour))

	// The same file, with another certificate.
	ca.files("a", newECKey(t), ca.now.Add(200*24*time.Hour), "a.test", "b.test")
	if log := r.reload(first + openRealm); !strings.Contains(log, `msg="reloaded certificates" files=1`) {
		t.Fatal(log)
	}
	must("b.test", "a.test b.test")
	expiry("a", ca.now.Add(200*24*time.Hour))

	// Another file besides.
	second := ca.files("c", newRSAKey(t), ca.now.Add(time.Hour), "c.test")
	if log := r.reload(first + second + openRealm); !strings.Contains(log, "files=2") || !strings.Contains(log, "will expire soon") {
		t.Fatal(log)
	}
	must("c.test", "c.test")

	// None that can be used: what was there stays.
	for name, spoil := range map[string]func() error{
		"no PEM": func() error { return os.WriteFile(ca.dir+"/c.pem", []byte("nothing"), 0o600) },
		"another's key": func() error {
			ca.files("c", newECKey(t), ca.now.Add(time.Hour), "c.test")
			ca.files("d", newECKey(t), ca.now, "d.test")
			return os.Rename(ca.dir+"/d.key", ca.dir+"/c.key")
		},
		"no file":         func() error { return os.RemoveAll(ca.dir + "/c.pem") },
		"not for reading": func() error { return errors.Join(os.RemoveAll(ca.dir+"/c.key"), os.Mkdir(ca.dir+"/c.key", 0o700)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if log := r.reload(first + second + openRealm); !strings.Contains(log, "nothing has changed") || !strings.Contains(log, "tls.certificate 2") || !strings.Contains(log, "c.pem") {
			t.Errorf("%s: the log says %s", name, log)
		}
		must("c.test", "c.test")
		must("b.test", "a.test b.test")
		if err := os.RemoveAll(ca.dir + "/c.key"); err != nil {
			t.Fatal(err)
		}
	}

	if log := r.reload(openRealm); !strings.Contains(log, "restart it for tls.certificate") {
		t.Errorf("without any: %s", log)
	}

	// And the socket has been there all the time.
	publishOver(t, ca, r.running, "a.test", "7")
	if _, text, err := ws.ReadMessage(); err != nil || !strings.Contains(string(text), `"data":7`) {
		t.Errorf("after it all the socket reads %s %v", text, err)
	}
}

func TestTLS_a_certificate_that_has_expired_is_shown_and_complained_of(t *testing.T) {
	ca := newTestCA(t)
	r := serve(t, nil, "--config", writeConfig(t, ca.files("a", newECKey(t), ca.now.Add(-time.Minute), "a.test")+openRealm))
	if _, err := shown(t, r, ca.over("a.test")); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("the client says %v", err)
	}
	if !strings.Contains(r.err.String(), "has expired") {
		t.Error(r.err.String())
	}
}

func TestTLS_settings_that_make_no_sense(t *testing.T) {
	ca := newTestCA(t)
	good := ca.issue("a", "a.test")
	_ = ca.issue("b", "b.test")
	acme := "[tls.acme]\nhosts = ['a.test']\ncache = 'c'\naccept_terms = true\n"
	for _, c := range []struct{ text, want string }{
		{"[tls]\nmin_version = '1.1'\n", "tls.min_version"},
		{"[tls]\nredirect = '127.0.0.1:0'\n", "nothing to redirect to"},
		{"[tls]\nredirect = '80'\n" + good, "tls.redirect: \"80\" is not an address"},
		{"[[tls.certificate]]\ncert_file = 'x'\n", "set both"},
		{"[[tls.certificate]]\ncert_file = 'x'\nkey_file = 'y'\n", "tls.certificate 1: x with y"},
		{fmt.Sprintf("[[tls.certificate]]\ncert_file = '%[1]s/a.pem'\nkey_file = '%[1]s/b.key'\n", ca.dir), "does not match"},
		{good + good, "is there twice"},
		{"[tls.acme]\nhosts = ['a.test']\n", "tls.acme.cache"},
		{"[tls.acme]\nhosts = ['a.test']\n", "tls.acme.accept_terms"},
		{strings.Replace(acme, "a.test", "*.a.test", 1), "is not a host name"},
		{strings.Replace(acme, "a.test", "10.0.0.1", 1), "is not a host name"},
		{strings.Replace(acme, "a.test", "localhost", 1), "is not a host name"},
		{acme + "directory = 'http://acme.test/'\n", "tls.acme.directory"},
		{"proxy_protocol = true\n", "list the proxies in trusted_proxies"},
	} {
		_, err := loadText(t, c.text, nil)
		wantConfigError(t, err, c.want)
	}
}

func TestRedirect(t *testing.T) {
	ca := newTestCA(t)
	r := serve(t, nil, "--config", writeConfig(t, "[tls]\nredirect = '127.0.0.1:0'\n"+ca.issue("a", "a.test")+openRealm))
	port := strconv.Itoa(r.public.Addr().(*net.TCPAddr).Port)
	for _, c := range []struct {
		method, host, target string
		status               int
		location             string
	}{
		{"GET", "a.test", "/x%2Fy?q=1&r=%20", 308, "https://a.test:" + port + "/x%2Fy?q=1&r=%20"},
		{"HEAD", "a.test:80", "/", 308, "https://a.test:" + port + "/"},
		{"GET", "[::1]:80", "//evil.test/", 308, "https://[::1]:" + port + "//evil.test/"},
		{"GET", "a.test", "http://evil.test/x", 308, "https://evil.test:" + port + "/x"}, // RFC 9112 §3.2.2: then the host is in there
		{"POST", "a.test", "/realm/default/publish/", 403, ""},
		{"GET", "a'b.test", "/", 400, ""},
	} {
		nc, err := net.Dial("tcp", r.plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.method, c.target, c.host)
		res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: c.method})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); res.StatusCode != c.status || got != c.location {
			t.Errorf("%s %s at %s: %d %s, want %d %s", c.method, c.target, c.host, res.StatusCode, got, c.status, c.location)
		}
		nc.Close()
	}
	if got := (redirect{"443"}).at("a.test"); got != "a.test" {
		t.Error(got)
	}
}
