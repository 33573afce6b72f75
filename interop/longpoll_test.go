//go:build interop

package interop

import (
	"fmt"
	"slices"
	"testing"
)

// Fanout's own library polls a channel while somebody publishes to it.
func TestLongPoll_pollymer_gets_everything_once(t *testing.T) {
	need(t, nodePeer)
	w := startWaft(t)
	const channel = "/polled/messages"
	poller := drive(t, "pollymer", node("pollymer", map[string]string{"url": w.url, "realm": "default", "token": token()}))
	poller.subscribe(t, channel).subscribed(t)
	publisher := fanoutClient(t, w, "fanoutpub", realmKey)
	var want []string
	for i := range 60 {
		text := fmt.Sprintf(`{"n":%d}`, i)
		want = append(want, text)
		publisher.publish(t, bare(channel), text)
	}
	got, err := poller.until(channel, want[len(want)-1])
	if err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("it got %q, and should have got %q", got, want)
	}
}

func TestLongPoll_pollymer_is_told_why_not(t *testing.T) {
	need(t, nodePeer)
	w := startWaft(t)
	poller := drive(t, "pollymer", node("pollymer", map[string]string{"url": w.url, "realm": "default", "token": "x.y.z"}))
	poller.subscribe(t, "/polled")
	if failure := poller.waitFor(t, "ready", 1); failure == nil || failure.Status != 401 || failure.Error == "" {
		t.Errorf("the failure is %+v", failure)
	}
}
