//go:build interop

package interop

import (
	"encoding/base64"
	"net/http"
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
