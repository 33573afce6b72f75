//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Chromium, with Faye's and CometD's clients in it: the transports that only
// browsers use, and the pages that must not.

const (
	eventSource     = "eventsource"
	crossOriginLong = "cross-origin-long-polling"
	callbackPolling = "callback-polling"
)

// setting is where the page is, seen from waft.
type setting struct {
	name string
	host string // of waft, in the page
	page string // the page's host; "" if the page is waft's own
}

// Browsers tell waft where a request comes from (Sec-Fetch-Site) only under a name that they trust, as that of this
// machine. Under others there is the Referer.
var (
	sameOrigin     = setting{"same-origin", "127.0.0.1", ""}
	crossSite      = setting{"cross-site", "127.0.0.1", "localhost"}
	crossSitePlain = setting{"cross-site-untrusted", "waft.test", "app.test"}
)

func TestBrowser(t *testing.T) {
	for _, c := range []struct {
		client, transport string
		in                []setting
	}{
		{"faye", webSocket, []setting{sameOrigin, crossSite}},
		{"faye", eventSource, []setting{sameOrigin}}, // Faye uses it for nothing else
		{"faye", longPolling, []setting{sameOrigin}},
		{"faye", crossOriginLong, []setting{crossSite}},
		{"faye", callbackPolling, []setting{sameOrigin, crossSite, crossSitePlain}},
		{"cometd", webSocket, []setting{sameOrigin, crossSite}},
		{"cometd", longPolling, []setting{sameOrigin, crossSite}},
		{"cometd", callbackPolling, []setting{sameOrigin, crossSite, crossSitePlain}},
	} {
		for _, in := range c.in {
			t.Run(c.client+"_"+c.transport+"_"+in.name, func(t *testing.T) {
				b := newBrowsing(t, in)
				d := b.open(t, c.client, c.transport, "")
				b.everything(t, d, c.transport)
			})
		}
	}
}

// everything is what a client does in its life.
func (b *browsing) everything(t *testing.T, d *driver, transport string) {
	t.Helper()
	const one, many = "/open/browser/one", "/open/browser/many"
	d.subscribe(t, one, many+"/*").subscribed(t)
	d.mustUse(t, transport)
	texts := []string{
		`{"text":"héllo \u2028 \u2029 </script><!-- + & = % ; # '"}`, `{"__proto__":{"a":1},"b":[1,null,true]}`, `"plain"`, `7`,
	}
	var want []string
	for _, text := range texts {
		want = append(want, asJavaScript(text))
	}
	d.publish(t, one, texts...)
	curl(t, b.waft, bare(one), texts...)
	// Written twice, such a name is a syntax error in a script, and none in JSON.
	curl(t, b.waft, bare(one), `{"__proto__":1,"__proto__":2}`)
	want = append(slices.Concat(want, want), `{"__proto__":2}`)
	if got, err := d.until(one, want[len(want)-1]); err != nil || !slices.Equal(got, want) {
		t.Errorf("received %q, want %q (%v)", got, want, err)
	}
	curl(t, b.waft, bare(many)+"/x", `"wild"`)
	if _, err := d.until(many+"/x", `"wild"`); err != nil {
		t.Error(err)
	}

	d.batch(t, message{one, `"b1"`}, message{many + "/x", `"b2"`}, message{one, `"b3"`})
	want = append(want, `"b1"`, `"b3"`)
	d.mustHave(t, one, want)
	d.mustHave(t, many+"/x", []string{`"wild"`, `"b2"`})

	d.command(t, map[string]any{"op": "unsubscribe", "channel": one})
	d.waitFor(t, "unsubscribed", 1)
	d.publish(t, one, `"too late"`)
	d.publish(t, many+"/x", `"last"`)
	if _, err := d.until(many+"/x", `"last"`); err != nil {
		t.Error(err)
	}
	if got := d.received(one); len(got) != len(want) {
		t.Errorf("received after unsubscribing: %q", got[len(want):])
	}
	d.command(t, map[string]any{"op": "disconnect"})
	d.waitFor(t, "disconnected", 1)
	if err := await("the end of the session", func() error { return b.waft.metric("waft_sessions", 0) }); err != nil {
		t.Error(err)
	}
	if n := d.count("pageerror"); n > 0 {
		t.Errorf("%d errors in the page", n)
	}
	if n := d.count("handshake"); n != 1 {
		t.Errorf("%d handshakes", n)
	}
}

// asJavaScript is a text as JSON.stringify would write the value.
func asJavaScript(text string) string {
	return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(text)
}

// A client whose connections are cut goes on with its session, and hears everything that is said; over a WebSocket what it had just heard
// may be repeated.
// (A poll that is cut the browser sends again by itself, before anybody can tell.)
func TestBrowser_cut(t *testing.T) {
	for _, transport := range []string{webSocket, eventSource} {
		t.Run(transport, func(t *testing.T) {
			const channel = "/open/browser/cut"
			b := newBrowsing(t, sameOrigin)
			d := b.open(t, "faye", transport, "")
			d.subscribe(t, channel).subscribed(t)
			d.mustUse(t, transport)
			var want []string
			for i := range 3 {
				want = append(want, strconv.Itoa(2*i), strconv.Itoa(2*i+1))
				curl(t, b.waft, bare(channel), want[2*i])
				if _, err := d.until(channel, want[2*i]); err != nil {
					t.Fatal(err)
				}
				b.relay.cut()
				// Not before waft has noticed: until then it has reason to think that the client hears it.
				if err := await("the end of the connections", b.nobodyListens); err != nil {
					t.Fatal(err)
				}
				curl(t, b.waft, bare(channel), want[2*i+1])
				if _, err := d.until(channel, want[2*i+1]); err != nil {
					t.Fatal(err)
				}
			}
			got := d.received(channel)
			if transport == webSocket {
				got = firsts(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
			if n := d.count("handshake"); n != 1 {
				t.Errorf("%d handshakes", n)
			}
		})
	}
}

func TestBrowser_restart(t *testing.T) {
	for _, c := range []struct {
		client, transport string
		in                setting
	}{
		{"faye", webSocket, sameOrigin},
		{"faye", eventSource, sameOrigin},
		{"faye", longPolling, sameOrigin},
		{"faye", crossOriginLong, crossSite},
		{"faye", callbackPolling, sameOrigin},
		{"cometd", callbackPolling, crossSite},
	} {
		t.Run(c.client+"_"+c.transport, func(t *testing.T) {
			const channel = "/open/browser/restart"
			transport := c.transport
			b := newBrowsing(t, c.in)
			d := b.open(t, c.client, transport, "")
			d.subscribe(t, channel).subscribed(t)
			d.mustUse(t, transport)
			for i, end := range []func(*process){(*process).kill, (*process).stop} {
				before := d.count("handshake")
				end(b.waft.proc)
				b.waft.start(t)
				tried := d.count("handshake")
				err := d.wait("its subscription after a new handshake", func() bool { return d.seen["handshake"] > before && d.channels[channel] })
				if err != nil {
					t.Fatal(err)
				}
				if n := d.count("handshake") - tried; n > mostHandshakes {
					t.Errorf("%d handshakes", n)
				}
				curl(t, b.waft, bare(channel), strconv.Itoa(i))
				if _, err := d.until(channel, strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A page that is not listed gets no session out of a visitor's browser, whether it says who it is or hides it.
func TestBrowser_other_pages_are_refused(t *testing.T) {
	for _, in := range []setting{
		{"same-site", "127.0.0.1", "127.0.0.1"}, {"cross-site", "127.0.0.1", "localhost"}, {"untrusted", "waft.test", "evil.test"},
	} {
		for _, policy := range []string{"", "no-referrer", "unsafe-url"} {
			for _, transport := range []string{callbackPolling, webSocket} {
				t.Run(fmt.Sprintf("%s_%s_%s", in.name, policy, transport), func(t *testing.T) {
					b := newBrowsing(t, in)
					b.page = strings.Replace(b.page, b.listed, freePort(), 1)
					d := b.open(t, "cometd", transport, policy)
					d.command(t, map[string]any{"op": "subscribe", "channels": []string{"/open/x"}})
					if d.waitFor(t, "ready", 1) == nil {
						t.Error("the page is served")
					}
					if err := b.waft.metric(`waft_bayeux_handshakes_total`, 0); err != nil {
						t.Error(err)
					}
					if err := b.waft.metric(`waft_bayeux_refused_total{realm="default",reason="origin"}`, 0); err == nil {
						t.Error("nothing was refused")
					}
				})
			}
		}
	}
}

// browsing is a waft behind a relay, and a place for a page.
type browsing struct {
	waft   *waft
	relay  *relay
	url    string // of the door, in the page
	page   string // the page's origin; "" for waft's own
	listed string // its port
}

func newBrowsing(t *testing.T, in setting) *browsing {
	t.Helper()
	need(t, nodePeer, chromiumPeer, curlPeer)
	b := &browsing{waft: startWaft(t), listed: freePort()}
	b.waft.proc.stop()
	if in.page != "" {
		b.page = "http://" + net.JoinHostPort(in.page, b.listed)
	}
	config, err := os.OpenFile(b.waft.config, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		folder, _ := os.Getwd()
		_, err = fmt.Fprintf(config, "\n  [realm.bayeux]\n  timeout = \"2s\"\n  origins = [%q]\n  client_script = %q\n",
			"http://"+net.JoinHostPort(cmpPage(in.page), b.listed), folder+"/node_modules/faye/client/faye-browser.js")
		_ = config.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	b.waft.start(t)
	b.relay = startRelay(t, strings.TrimPrefix(b.waft.url, "http://"))
	_, port, _ := net.SplitHostPort(b.relay.addr)
	b.url = "http://" + net.JoinHostPort(in.host, port) + "/bayeux"
	return b
}

// cmpPage is the host of the listed page; one is listed always.
func cmpPage(host string) string {
	if host == "" {
		return "localhost"
	}
	return host
}

func freePort() string {
	_, port, _ := net.SplitHostPort(freeAddr())
	return port
}

// open opens the page.
func (b *browsing) open(t *testing.T, client, transport, referrer string) *driver {
	t.Helper()
	return drive(t, client+" in Chromium over "+transport, node("browser", map[string]string{
		"url": b.url, "client": client, "transport": transport, "page": b.page, "referrer": referrer, "chromium": chromiumProgram,
	}))
}

// nobodyListens fails while a client's connection is open.
func (b *browsing) nobodyListens() error {
	for _, name := range []string{"waft_bayeux_sockets", "waft_bayeux_streams"} {
		if err := b.waft.metric(name, 0); err != nil {
			return err
		}
	}
	return nil
}

const chromiumProgram = "/usr/bin/chromium"

var chromiumPeer = peer{"Chromium with playwright-core", func() error {
	if err := installed(chromiumProgram, "apt-get install chromium"); err != nil {
		return err
	}
	if out, err := exec.Command("node", "--input-type=module", "--eval", `import "playwright-core"`).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s; try `npm ci` in interop/", err, out)
	}
	return nil
}}
