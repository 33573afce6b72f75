//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faye's client goes from one transport to another while it starts, and what it sends over several connections is read in any order. From the first message
// that it hears it hears each one once all the same. Nobody can promise the order meanwhile: a browser may read its stream before the answer to an earlier poll.
func TestStarting_clients_hear_each_message_once(t *testing.T) {
	for _, c := range []struct {
		name, transport, program string
		clients                  int
	}{
		{"Faye, WebSocket", webSocket, "", 200},
		{"Faye, long-polling", longPolling, "", 60},
		{"Faye in Chromium, WebSocket", webSocket, chromiumProgram, 20},
		{"Faye in Chromium, EventSource", eventSource, chromiumProgram, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			need(t, nodePeer)
			if c.program != "" {
				need(t, chromiumPeer)
			}
			const channel = "/open/starts"
			folder, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			w := startWaftWith(t, fmt.Sprintf("client_script = %q", folder+"/node_modules/faye/client/faye-browser.js"))
			counting(t, w, channel)
			d := drive(t, c.name, node("starts", map[string]string{
				"url": "http://" + startUneven(t, strings.TrimPrefix(w.url, "http://")) + "/bayeux", "transport": c.transport, "channel": channel,
				"clients": strconv.Itoa(c.clients), "chromium": c.program,
			}))
			d.subscribed(t)
			if d.count("left "+c.transport) == 0 {
				t.Errorf("no client came to use %s", c.transport)
			}
			heard := d.received("heard")
			if len(heard) != c.clients {
				t.Errorf("%d clients have told, want %d", len(heard), c.clients)
			}
			for i, list := range heard {
				if err := eachOnce(strings.Fields(list)); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
}

// eachOnce fails if a number between the least and the highest is missing or repeated.
func eachOnce(heard []string) error {
	if len(heard) == 0 {
		return errors.New("heard nothing")
	}
	numbers := make([]int, len(heard))
	for i, text := range heard {
		var err error
		if numbers[i], err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	sorted := slices.Sorted(slices.Values(numbers))
	for i, n := range sorted[1:] {
		switch before := sorted[i]; n {
		case before + 1:
		case before:
			return fmt.Errorf("%d came twice, in %v", n, numbers)
		default:
			return fmt.Errorf("nothing between %d and %d, in %v", before, n, numbers)
		}
	}
	return nil
}

// counting publishes 0, 1, 2 and so on, until the test ends.
func counting(t *testing.T, w *waft, channel string) {
	ctx, cancel := context.WithCancel(context.Background())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			if err := post(w.url+"/realm/default/publish/", fmt.Appendf(nil, `{"items":[{"channel":%q,"json-object":%d}]}`, channel, n)); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		publishing.Wait()
	})
}

// startUneven gives the address of a TCP proxy over which some requests take longer than others, so that they overtake each other: up to 20 ms, but not 3 ms
// for what comes over a WebSocket that is open.
func startUneven(t *testing.T, target string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { passUnevenly(ctx, client, target) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		passing.Wait()
	})
	return l.Addr().String()
}

func passUnevenly(ctx context.Context, client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server) // how it ends is the same to the proxy
		client.Close()
	})
	defer back.Wait()
	defer server.Close()
	open, most := false, 20*time.Millisecond
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-time.After(rand.N(most)):
		case <-ctx.Done():
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if !open && strings.Contains(strings.ToLower(string(buf[:n])), "upgrade: websocket") {
			open, most = true, 3*time.Millisecond
		}
	}
}
