//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Clients that offer permessage-deflate by themselves, and get it: CometD's with
// npm's `ws`, and Chromium. Faye's in Node offers none, and hears the same.

func TestCompression(t *testing.T) {
	const channel = "/open/compressed"
	b := newBrowsing(t, sameOrigin)
	b.waft.proc.stop()
	b.waft.configure(t, "  compression = true\n") // behind newBrowsing's [realm.bayeux]
	b.waft.start(t)
	b.answers(t)

	everybody := map[string]*driver{
		"cometd":   cometdJS(t, b.waft, webSocket),
		"faye":     fayeJS(t, b.waft, webSocket),
		"chromium": b.open(t, "cometd", webSocket, ""),
	}
	for _, d := range everybody {
		d.subscribe(t, channel)
	}
	for _, d := range everybody {
		d.subscribed(t)
	}
	before := b.waft.read(t, "waft_bayeux_compressed_total")

	// Small ones are not compressed, and arrive among the others, often in the same frame.
	sentence := `{"héllo":"the quick brown fox \u2028 jumps over the lazy dog","n":%d},`
	var texts []string
	for i := range 30 {
		texts = append(texts, fmt.Sprint(i), "["+strings.Repeat(fmt.Sprintf(sentence, i), 20+i)+"null]")
	}
	last := `"` + strings.Repeat("end ", 5000) + `"`
	cometdJS(t, b.waft, webSocket).publish(t, channel, texts...) // which compresses what it sends, up to 8 KB
	curl(t, b.waft, bare(channel), last)
	for name, d := range everybody {
		got, err := d.until(channel, last)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, text := range append(slices.Clone(texts), last) {
			want = append(want, asJavaScript(text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s received %.500q", name, got)
		}
	}
	// Once for each large one, and not for each of those who got it.
	if n := b.waft.read(t, "waft_bayeux_compressed_total") - before; n != 31 {
		t.Errorf("%v events were compressed", n)
	}
	in, out := b.waft.read(t, "waft_bayeux_compress_input_bytes_total"), b.waft.read(t, "waft_bayeux_compress_output_bytes_total")
	if out <= 0 || out > in/3 {
		t.Errorf("%v bytes became %v", in, out)
	}
}

// answers checks the negotiation, as a browser's offer is answered.
func (b *browsing) answers(t *testing.T) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	for offer, want := range map[string]string{
		"permessage-deflate; client_max_window_bits":    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
		"permessage-deflate; server_max_window_bits=10": "",
	} {
		req, err := http.NewRequest(http.MethodGet, b.waft.url+"/bayeux", nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Extensions": offer,
		} {
			req.Header.Set(k, v)
		}
		res, err := client.Do(req)
		if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
			err = errors.New(res.Status)
		}
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Sec-WebSocket-Extensions"); got != want {
			t.Errorf("%s is answered %q", offer, got)
		}
	}
}
