//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A link that loses what it has taken: connections are cut in the middle of a
// frame, responses vanish, and peers that are gone still seem to be there.
// Whoever is subscribed gets everything; with an acknowledgement of some kind
// he gets it once.

const (
	lossyMessages = 400
	lossyFaults   = 24
)

// lossyClient is a subscriber behind a proxy of its own.
type lossyClient struct {
	name    string
	script  string
	options map[string]string
	repeats bool // what was sent shortly before a fault may come twice

	driver *driver
	proxy  *faultProxy
}

func TestLossy_nothing_is_lost(t *testing.T) {
	need(t, nodePeer)
	const channel = "/open/lossy"
	clients := []*lossyClient{
		{name: "CometD with ack, WebSocket", script: "cometd-lossy", options: map[string]string{"transport": webSocket, "ack": "yes"}},
		{name: "CometD with ack, long-polling", script: "cometd-lossy", options: map[string]string{"transport": longPolling, "ack": "yes"}},
		{name: "CometD, WebSocket", script: "cometd-lossy", options: map[string]string{"transport": webSocket}, repeats: true},
		{name: "CometD, long-polling", script: "cometd-lossy", options: map[string]string{"transport": longPolling}, repeats: true},
		{name: "Faye, WebSocket", script: "faye-lossy", options: map[string]string{"transport": webSocket}, repeats: true},
		{name: "Faye, long-polling", script: "faye-lossy", options: map[string]string{"transport": longPolling}},
	}
	w := startWaft(t)
	w.impatient(t)
	for i, c := range clients {
		c.proxy = startFaultProxy(t, strings.TrimPrefix(w.url, "http://"), uint64(i))
		c.options["url"] = "http://" + c.proxy.addr + "/bayeux"
		c.driver = drive(t, c.name, node(c.script, c.options)).subscribe(t, channel)
	}
	for _, c := range clients {
		c.driver.subscribed(t)
		c.proxy.wound.Store(true)
	}
	healthy := func(c *lossyClient) bool { return c.proxy.faults.Load() < lossyFaults }
	for n := range 10 * lossyMessages { // on a busy machine clients take long to come back, and faults to come
		if n >= lossyMessages && !slices.ContainsFunc(clients, healthy) {
			break
		}
		publishNow(t, w, channel, strconv.Itoa(n))
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range clients {
		c.proxy.wound.Store(false)
	}
	publishNow(t, w, channel, `"end"`)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.driver.until(channel, `"end"`)
			if err != nil {
				t.Fatal(err)
			}
			if n := c.driver.count("handshake"); n != 1 {
				t.Errorf("%d handshakes: the session was lost", n)
			}
			repeats := inOrder(t, got[:len(got)-1])
			t.Logf("%d messages, %d faults, %d messages came twice", len(got), c.proxy.faults.Load(), repeats)
			if repeats > 0 && !c.repeats {
				t.Errorf("%d messages came twice", repeats)
			}
			if healthy(c) {
				t.Errorf("only %d faults", c.proxy.faults.Load())
			}
		})
	}
}

// inOrder fails unless the numbers from 0 on are there, in order, but for some
// that come again. It tells how many those are.
func inOrder(t *testing.T, numbers []string) (repeats int) {
	t.Helper()
	next := 0
	for i, text := range numbers {
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n > next:
			t.Fatalf("%s came after %v: something was lost", text, numbers[max(0, i-5):i])
		case n == next:
			next++
		case n < next-500:
			t.Fatalf("%d came again after %d", n, next-1)
		default:
			repeats++
		}
	}
	return repeats
}

// firsts is without what came before.
func firsts(messages []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(messages), func(m string) bool {
		again := seen[m]
		seen[m] = true
		return again
	})
}

// impatient starts waft again with times so short that a lost connection is
// found out about within the test.
func (w *waft) impatient(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, `
  [realm.bayeux]
  timeout = "500ms"
  ping = "2s"
  pong_wait = "300ms"
  receipt_delay = "100ms"
`...)
	if err := os.WriteFile(w.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.proc.stop()
	w.start(t)
}

// publishNow publishes past the faults.
func publishNow(t *testing.T, w *waft, channel, text string) {
	t.Helper()
	postItems(t, w, fmt.Sprintf(`{"channel":%q,"json-object":%s}`, bare(channel), text))
}

// postItems publishes several at once.
func postItems(t *testing.T, w *waft, items string) {
	t.Helper()
	body := `{"items":[` + items + `]}`
	req, err := http.NewRequest(http.MethodPost, w.url+"/realm/default/publish/", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s", resp.Status)
	}
}
