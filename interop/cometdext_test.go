//go:build interop

package interop

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// CometD's own extensions, in its client for JavaScript.
func TestCometD_extensions(t *testing.T) {
	need(t, nodePeer)
	const channel = "/open/extensions"
	w := startWaftWith(t, "timestamp = true")
	for _, transport := range []string{webSocket, longPolling} {
		t.Run(transport, func(t *testing.T) {
			d := drive(t, "CometD with extensions over "+transport, node("cometd-extensions", map[string]string{
				"url": w.url + "/bayeux", "transport": transport,
			}))
			d.subscribe(t, channel).subscribed(t)

			t.Run("binary", func(t *testing.T) {
				d.publish(t, channel, "bytes é")
				if _, err := d.until(channel, `bytes é true {"n":1}`); err != nil {
					t.Error(err)
				}
			})

			t.Run("timesync", func(t *testing.T) {
				d.command(t, map[string]any{"op": "time"})
				if err := d.wait("the distance of the clocks", func() bool { return len(d.messages["time"]) > 0 }); err != nil {
					t.Fatal(err)
				}
				// It is one clock. Without the time that a connect was held it would be seconds.
				if ms, err := strconv.Atoi(d.received("time")[0]); err != nil || ms < -500 || ms > 500 {
					t.Errorf("the clocks differ by %s ms", d.received("time")[0])
				}
			})

			// It sends "Sat, 21 Nov 2026 05:00:00 GMT".
			t.Run("timestamp", func(t *testing.T) {
				stamps := d.received("timestamp")
				if len(stamps) != 2 {
					t.Errorf("of an event and the reply to its publish: %q", stamps)
				}
				for _, stamp := range stamps {
					if at, err := time.Parse("2006-01-02T15:04:05.00", stamp); err != nil || time.Since(at).Abs() > time.Minute {
						t.Errorf("%q: %v", stamp, err)
					}
				}
			})

			t.Run("reload", func(t *testing.T) {
				publishNow(t, w, channel, `"before"`)
				if _, err := d.until(channel, `"before"`); err != nil {
					t.Fatal(err)
				}
				d.command(t, map[string]any{"op": "reload"})
				publishNow(t, w, channel, `"meanwhile"`)
				if _, err := d.until("reload", "true"); err != nil {
					t.Fatal(err)
				}
				publishNow(t, w, channel, `"after"`)
				got, err := d.until(channel, `"after"`)
				if err != nil {
					t.Fatal(err)
				}
				// The page that is gone may not have acknowledged what it had.
				got = slices.Compact(got)
				want := []string{`bytes é true {"n":1}`, `"before"`, `"meanwhile"`, `"after"`}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}
