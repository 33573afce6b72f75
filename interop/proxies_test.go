//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// waft behind nginx and HAProxy, with the configurations of docs/proxies.md.

var (
	nginxPeer   = peer{"nginx", func() error { return installed("/usr/sbin/nginx", "apt-get install nginx") }}
	haproxyPeer = peer{"HAProxy", func() error { return installed("/usr/sbin/haproxy", "apt-get install haproxy") }}
)

// documented is a block of code of docs/proxies.md.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(language) + "\n(.*?)^```$").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/proxies.md shows no %s", language)
	}
	return string(m[1])
}

// frontend is a proxy with a configuration of that page. Its addresses are free ones here.
type frontend struct {
	name   string
	config func(t *testing.T) string
	start  func(t *testing.T, config string)
	waft   string // lines of waft's configuration
}

// sections is a HAProxy configuration with some of its sections taken from other blocks.
func sections(blocks ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		config := documented(t, "haproxy")
		for _, block := range blocks {
			other := documented(t, block)
			head, _, _ := strings.Cut(other, "\n")
			replaced := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(head) + `\n(?:[ ].*\n|\n)*`)
			if !replaced.MatchString(config) {
				t.Fatalf("docs/proxies.md shows no %q to replace", head)
			}
			config = replaced.ReplaceAllLiteralString(config, other)
		}
		return config
	}
}

var frontends = []frontend{
	{"nginx", func(t *testing.T) string { return documented(t, "nginx") }, startNginx, ""},
	{"haproxy", sections(), startHAProxy, ""},
	{"haproxy_forwarded", sections("haproxy-forwarded"), startHAProxy, ""},
	{"haproxy_send-proxy", sections("haproxy-send-proxy"), startHAProxy, "proxy_protocol = true\n"},
	{"haproxy_send-proxy-v2", sections("haproxy-send-proxy-v2"), startHAProxy, "proxy_protocol = true\n"},
}

// startNginx runs nginx with the configuration as a part of its http section.
func startNginx(t *testing.T, config string) {
	t.Helper()
	need(t, nginxPeer)
	dir := t.TempDir()
	text := "daemon off;\nmaster_process off;\npid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += what + "_temp_path " + dir + "/" + what + ";\n"
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text+config+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startFront(t, "nginx", exec.Command("/usr/sbin/nginx", "-e", "stderr", "-p", dir, "-c", file))
}

func startHAProxy(t *testing.T, config string) {
	t.Helper()
	need(t, haproxyPeer)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	startFront(t, "haproxy", exec.Command("/usr/sbin/haproxy", "-db", "-f", file))
}

func startFront(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	p, err := start(name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill() // it would wait for its clients
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, p.log)
		}
	})
}

// behind starts a waft behind the proxy, which it trusts. It is reached at addr.
func behind(t *testing.T, f frontend) (w *waft, addr string) {
	t.Helper()
	need(t, curlPeer)
	w = newWaft(t, "\n  [realm.events]\n  max_streams_per_address = 1\n")
	w.begin(t, "trusted_proxies = [\"127.0.0.1\"]\n"+f.waft)
	addr = freeAddr()
	f.start(t, strings.NewReplacer(
		"127.0.0.1:8080", strings.TrimPrefix(w.url, "http://"), "listen 80;", "listen "+addr+";", "bind 0.0.0.0:80", "bind "+addr,
	).Replace(f.config(t)))
	w.start(t)
	if err := await(f.name, func() error { return listening(addr) }); err != nil {
		t.Fatal(err)
	}
	return w, addr
}

func TestProxies(t *testing.T) {
	for _, f := range frontends {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w, addr := behind(t, f)
			t.Run("everything arrives at once", func(t *testing.T) { everythingThrough(t, w, addr) })
			t.Run("the client is who it is", func(t *testing.T) { rightClient(t, w, "http://"+addr) })
		})
	}
}

// everythingThrough uses all protocols through a proxy. A response that the proxy held back would never come: the next message is published
// when the last one has been heard by all.
func everythingThrough(t *testing.T, w *waft, addr string) {
	front := &waft{url: "http://" + addr}
	const channel = "/open/kept/behind"
	var all []*driver
	if nodePeer.missing() == nil {
		for _, c := range []bayeuxClient{{library: "faye", transport: webSocket}, {library: "cometd", transport: longPolling}} {
			d := c.start(t, front.url)
			d.subscribe(t, channel).subscribed(t)
			d.mustUse(t, c.transport)
			all = append(all, d)
		}
	} else {
		doWithout(t, nodePeer.missing())
	}
	heard := make(chan string, 100)
	stream, err := openRaw(addr, streamType, channel, func(m rawMessage) { heard <- "EventSource " + string(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.close)
	go func() { _ = stream.readStream() }()
	events := driveAs(t, "curl", exec.Command("curl", "--silent", "--no-buffer", front.url+"/realm/default/events?channel="+channel+"&envelope=0"), eventLine)
	if _, err := events.until("data", `{"resumed":false}`); err != nil {
		t.Fatal(err)
	}
	position := "0"
	for n := range 3 {
		text := fmt.Sprint(n)
		polled := make(chan string, 1)
		go func() {
			// Its address has the channel with its slashes: %2F has to pass.
			out, err := exec.Command("curl", "--silent", "--show-error", "--fail", front.url+"/realm/default/channels/open%2Fkept%2Fbehind/messages?wait=30&since="+position).Output()
			polled <- fmt.Sprint(string(out), err)
		}()
		if n > 0 {
			if err := await("the held request", func() error { return w.metric("waft_http_held", 1) }); err != nil {
				t.Fatal(err)
			}
		}
		curl(t, front, bare(channel), text)
		for _, d := range all {
			if _, err := d.until(channel, text); err != nil {
				t.Error(err)
			}
		}
		if _, err := events.until("data", text); err != nil {
			t.Error(err)
		}
		if got, want := <-heard, "EventSource "+text; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		answer := <-polled
		m := regexp.MustCompile(`"data":` + text + `,.*\],"position":"([^"]+)"`).FindStringSubmatch(answer)
		if m == nil {
			t.Fatalf("polled %s, want %s", answer, text)
		}
		position = m[1]
	}
}

// eventLine reads the lines of an event stream.
func eventLine(line []byte) (event, error) {
	field, value, _ := strings.Cut(string(line), ": ")
	if field == "data" {
		return event{Ev: "message", Channel: "data", Text: &value}, nil
	}
	return event{Ev: "line"}, nil
}

// rightClient opens event streams from addresses that may have one each, with what clients might claim about themselves.
func rightClient(t *testing.T, w *waft, url string, more ...string) {
	refused := `waft_events_refused_total{realm="default",reason="address_limit"}`
	before := w.read(t, "waft_events_refused_total")
	open := func(from string, claim ...string) (status string) {
		t.Helper()
		args := append([]string{"--silent", "--no-buffer", "--include", "--interface", from, "--globoff", url + "/realm/default/events?channel=/open/x"}, more...)
		for _, header := range claim {
			args = append(args, "--header", header)
		}
		d := driveAs(t, "curl from "+from, exec.Command("curl", args...), func(line []byte) (event, error) {
			if text := string(line); strings.HasPrefix(text, "HTTP/") {
				return event{Ev: "message", Channel: "head", Text: &text}, nil
			}
			return event{Ev: "line"}, nil
		})
		if failure := d.waitFor(t, "message", 1); failure != nil {
			t.Fatalf("curl from %s: %v", from, failure)
		}
		line := d.received("head")[0]
		_, status, _ = strings.Cut(strings.TrimSpace(line), " ")
		status, _, _ = strings.Cut(status, " ")
		return status
	}
	for _, c := range []struct {
		from  string
		claim []string
		want  string
	}{
		{"127.0.0.21", nil, "200"},
		{"127.0.0.21", nil, "429"},
		{"127.0.0.22", nil, "200"},
		{"127.0.0.21", []string{"X-Forwarded-For: 203.0.113.1"}, "429"},
		{"127.0.0.21", []string{"Forwarded: for=203.0.113.1"}, "429"},
		{"127.0.0.21", []string{"X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1"}, "429"},
		{"127.0.0.23", []string{`Forwarded: for="`, "X-Forwarded-For: 127.0.0.21"}, "200"},
	} {
		if got := open(c.from, c.claim...); got != c.want {
			t.Errorf("a stream from %s, who claims %q: %s, want %s", c.from, c.claim, got, c.want)
		}
	}
	if n := w.read(t, "waft_events_refused_total") - before; n != 4 {
		t.Errorf("%s is %v, want 4", refused, n)
	}
}

// A waft that expects PROXY headers talks to no trusted proxy without.
func TestProxies_send_proxy_must_be_said_on_both_sides(t *testing.T) {
	t.Parallel()
	f := frontends[1]
	f.waft = "proxy_protocol = true\n"
	w, addr := behind(t, f)
	res, err := http.Get("http://" + addr + "/bayeux/client.js")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadGateway {
		t.Errorf("through a proxy that sends none: %s", res.Status)
	}
	if w.read(t, "waft_proxy_headers_refused_total") == 0 || !strings.Contains(w.proc.log.String(), "must begin with a PROXY header") {
		t.Errorf("nobody is told: %s", w.proc.log)
	}
}
