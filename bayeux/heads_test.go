package bayeux

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// oracle is net/http's server with a handler that takes everything.
type oracle struct {
	t *testing.T
	l *pipeListener
}

func newOracle(t *testing.T) oracle {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, body)
	})}
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { web.Close() })
	return oracle{t, l}
}

// makes is what the server makes of text, which is a whole request, or its status if it serves none.
func (o oracle) makes(text string) string {
	o.t.Helper()
	nc, err := o.l.dial(context.Background(), "", "")
	if err != nil {
		o.t.Fatal(err)
	}
	defer nc.Close()
	go func() { _, _ = io.WriteString(nc, text) }() // it may not read on
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		o.t.Fatalf("%q: %v", text, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatalf("%q: %v", text, err)
	}
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return string(body)
}

// served is what text is taken for where it came, on a connection of that kind, by each of the ways there are; "" if it goes back.
func served(k *kind, text string) (ways [2]string) {
	c := &reader{heldPoll: &heldPoll{kind: k, back: &handback{h: new(Handler), server: &http.Server{}}, nc: addressed{}}}
	r := bufio.NewReaderSize(strings.NewReader(text), 4<<10)
	_, _ = r.Peek(1)
	if q, _ := c.like(r); q != nil {
		body, _ := io.ReadAll(q.Body)
		ways[0] = fmt.Sprintf("%s %s %s %q", q.Method, q.RequestURI, q.Host, body)
	}
	if q, body, _ := c.likeRaw([]byte(text)); q != nil {
		ways[1] = fmt.Sprintf("%s %s %s %q", q.Method, q.RequestURI, q.Host, body)
	}
	return ways
}

// Whatever a request looks like, it is served where it came only if net/http's server would serve it, and as what it would be there.
func TestAgain_what_net_http_would_refuse_goes_back_to_it(t *testing.T) {
	o := newOracle(t)
	const host, length = "Host: waft.test\r\n", "Content-Length: 2\r\n"
	post := func(target, fields string) string { return "POST " + target + " HTTP/1.1\r\n" + fields + "\r\n[]" }
	for _, c := range []struct {
		name string
		kind kind
		text string
		here bool
	}{
		{"like the last", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length), true},
		{"with a port", kind{host: "[::1]:8080", door: "/bayeux"}, post("/bayeux", "host:[::1]:8080\r\n"+length), true},
		{"two hosts", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+host+length), false},
		{"no host", kind{door: "/bayeux"}, post("/bayeux", length), false},
		{"a host and a target that names it", kind{host: "waft.test", door: "http://waft.test/bayeux"}, post("http://waft.test/bayeux", host+length), false},
		{"no host, but a target that names one", kind{host: "waft.test", door: "http://waft.test/bayeux"}, post("http://waft.test/bayeux", length), false},
		{"two hosts, and a target that names one", kind{host: "waft.test", door: "http://waft.test/bayeux"}, post("http://waft.test/bayeux", host+host+length), false},
		{"a host that is none, but was in a target", kind{host: `a"b`, door: "/bayeux"}, post("/bayeux", "Host: a\"b\r\n"+length), false},
		{"a space behind a name", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Content-Length : 5\r\n"), false},
		{"a space behind a name that hides a coding", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Transfer-Encoding : chunked\r\n"), false},
		{"a space in a name", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"X Y: z\r\n"), false},
		{"a value with a control", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"X: \x7f\r\n"), false},
		{"two lengths", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Content-Length: 3\r\n"), false},
		{"a length and a coding", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Transfer-Encoding: chunked\r\n"), false},
		{"another version", kind{host: "waft.test", door: "/bayeux"}, "POST /bayeux HTTP/1.2\r\n" + host + length + "\r\n[]", false},
		{"an expectation", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Expect: a miracle\r\n"), false},
		{"HTTP/2 offered", kind{host: "waft.test", door: "/bayeux"}, post("/bayeux", host+length+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), false},
		{"the server's own options", kind{host: "waft.test", door: "*"}, "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			if c.here {
				want = o.makes(c.text)
			}
			for i, got := range served(&c.kind, c.text) {
				equal(t, fmt.Sprint("way ", i), got, want)
			}
		})
	}
	t.Run("with a byte that does not belong there", func(t *testing.T) {
		text, taken := post("/bayeux", host+length+"X-Y: z\r\n"), 0
		for _, k := range []kind{{host: "waft.test", door: "/bayeux"}, {host: "waft.test", door: "http://waft.test/bayeux"}} {
			text := strings.Replace(text, "/bayeux", k.door, 1)
			for at := range len(text) {
				for _, b := range "\x00\x01\t\n\r \"#%*,/0:;?@A[\\{\x7f\u00ff" {
					for _, end := range []string{text[at:], text[at+1:]} { // between, or instead
						text := text[:at] + string(b) + end
						for _, got := range served(&k, text) {
							if got == "" {
								continue
							}
							if taken++; got != o.makes(text) {
								t.Errorf("%q is served as %s, and net/http makes of it: %s", text, got, o.makes(text))
							}
						}
					}
				}
			}
		}
		t.Log(taken, "were served")
		equal(t, "none was served", taken == 0, false)
	})
}
