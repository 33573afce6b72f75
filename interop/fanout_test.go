//go:build interop

package interop

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

func TestFanout_publishers_learn_how_it_went(t *testing.T) {
	w := startWaft(t)
	const channel = "/fanout" // where a token is needed
	reader := waftSubscribe(t, w, channel)
	reader.subscribed(t)

	for _, script := range []string{"fanoutpub", "pubcontrol", "grip"} {
		t.Run(script, func(t *testing.T) {
			text := `{"by":"` + script + `"}`
			t.Run("right_key", func(t *testing.T) {
				fanoutClient(t, w, script, realmKey).publish(t, bare(channel), text)
				if _, err := reader.until(channel, text); err != nil {
					t.Error(err)
				}
			})
			t.Run("wrong_key", func(t *testing.T) {
				wrong := base64.StdEncoding.EncodeToString([]byte("no key of thirty-two bytes at all"))
				failure := fanoutClient(t, w, script, wrong).tryPublish(t, bare(channel), text)
				switch {
				case failure == nil:
					t.Error("the client was told that all went well")
				case failure.Status != http.StatusUnauthorized:
					t.Errorf("the client was told %d, %s", failure.Status, failure.Error)
				case failure.Error == "":
					t.Error("the client was not told why")
				}
			})
		})
	}
}

// What overtook another item is taken with a 202, which they know for a success,
// and comes behind it.
func TestFanout_publishers_restore_the_order(t *testing.T) {
	t.Parallel()
	w := startWaft(t)
	const channel = "/steps"
	reader := waftSubscribe(t, w, channel)
	reader.subscribed(t)
	want := []string{}
	for _, script := range []string{"fanoutpub", "pubcontrol", "grip"} {
		client := fanoutClient(t, w, script, realmKey)
		item := func(n int) string { return fmt.Sprintf("%s-%d", script, n) }
		for _, n := range []int{1, 3, 4, 2} {
			command := map[string]any{"op": "publish", "channel": bare(channel), "text": `"` + item(n) + `"`, "id": item(n)}
			if n > 1 {
				command["prev"] = item(n - 1)
			}
			client.command(t, command)
		}
		for n := 1; n <= 4; n++ {
			want = append(want, `"`+item(n)+`"`)
		}
		if failure := client.waitFor(t, "published", 4); failure != nil {
			t.Fatalf("%s: %d %s", script, failure.Status, failure.Error)
		}
		if _, err := reader.until(channel, `"`+item(4)+`"`); err != nil {
			t.Fatal(err)
		}
	}
	if got := reader.received(channel); !slices.Equal(got, want) {
		t.Errorf("it came as %v", got)
	}
}
