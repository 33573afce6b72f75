//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// replayRule has Salesforce's numbers on its channels.
const replayRule = `
  [[realm.rule]]
  match = "/salesforce/**"
  publish = "anyone"
  history = { size = 1000 }
  replay_id = true
`

// replayClient is a subscriber with a replay extension.
type replayClient struct {
	library, transport string
	positions          bool
	channel            string

	*driver
}

func (c *replayClient) name() string {
	kind := "numbers"
	if c.positions {
		kind = "positions"
	}
	return strings.Join([]string{c.library, c.transport, kind}, " ")
}

// Clients with the extension that Salesforce's users write leave, come back, and have missed nothing; and when waft has lost the
// history meanwhile, they are told so.
func TestReplay_clients_come_back_and_go_on_where_they_were(t *testing.T) {
	need(t, nodePeer)
	w := startWaft(t)
	w.proc.stop()
	w.configure(t, replayRule)
	w.start(t)

	const numbered, kept = "/salesforce/event", "/open/kept/replay"
	clients := []*replayClient{
		{library: "faye", transport: webSocket, channel: numbered},
		{library: "faye", transport: longPolling, channel: numbered},
		{library: "cometd", transport: webSocket, channel: numbered},
		{library: "cometd", transport: longPolling, channel: numbered},
		{library: "faye", transport: webSocket, channel: kept, positions: true},
		{library: "cometd", transport: longPolling, channel: kept, positions: true},
	}
	published := 0
	publish := func(n int) (last string) {
		t.Helper()
		for range n {
			for _, channel := range []string{numbered, kept} {
				item := fmt.Sprintf(`{"items":[{"channel":%q,"json-object":{"n":%d}}]}`, channel, published)
				if err := post(w.url+"/realm/default/publish/", []byte(item)); err != nil {
					t.Fatal(err)
				}
			}
			published++
		}
		return strconv.Itoa(published - 1)
	}
	each := func(what string, do func(t *testing.T, c *replayClient)) {
		t.Helper()
		for _, c := range clients {
			if !t.Run(what+"/"+c.name(), func(t *testing.T) { do(t, c) }) {
				t.FailNow()
			}
		}
	}
	subscribe := func(t *testing.T, c *replayClient, begin string) {
		t.Helper()
		c.command(t, map[string]any{"op": "subscribe", "channels": []string{c.channel}, "text": begin})
	}
	// all is that c has every number up to the last, in order, each once.
	all := func(last string) func(*testing.T, *replayClient) {
		return func(t *testing.T, c *replayClient) {
			got, err := c.until(c.channel, last)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for n := range published {
				want = append(want, strconv.Itoa(n))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s has %v, want 0 to %s", c.name(), got, last)
			}
		}
	}

	publish(5) // kept before anybody came
	for _, c := range clients {
		options := map[string]string{"url": w.url + "/bayeux", "library": c.library, "transport": c.transport}
		if c.positions {
			options["positions"] = "yes"
		}
		c.driver = drive(t, c.name(), node("replay", options))
		subscribe(t, c, "-2")
	}
	for _, c := range clients {
		c.subscribed(t)
	}
	each("begin", all(publish(5)))

	each("leave", func(t *testing.T, c *replayClient) {
		c.command(t, map[string]any{"op": "disconnect"})
		if err := c.wait("its leave", func() bool { return c.seen["disconnected"] == 1 }); err != nil {
			t.Fatal(err)
		}
	})
	publish(50)
	for _, c := range clients {
		subscribe(t, c, "")
	}
	each("back", all(strconv.Itoa(published-1)))
	each("live", all(publish(3)))

	// Their positions are of the history that is gone; they find out by themselves.
	w.proc.kill()
	w.start(t)
	lost := publish(2)
	each("lost", func(t *testing.T, c *replayClient) {
		failure := c.waitFor(t, "failed", 1)
		want := "400::The replayId {"
		if c.positions {
			want = "410:" + c.channel + ":History lost"
		}
		if !strings.HasPrefix(failure.Error, want) {
			t.Errorf("refused with %q", failure.Error)
		}
	})
	for _, c := range clients {
		subscribe(t, c, "-2")
	}
	each("again", all(lost))
	each("live again", all(publish(1)))
}
