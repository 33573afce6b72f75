//go:build interop

package interop

import (
	"net/http"
	"os"
	"regexp"
	"testing"
)

// The extensions that docs/bayeux.md gives to those who move to waft let a client publish that could not.
func TestMoving_extensions_of_the_documentation_work(t *testing.T) {
	need(t, nodePeer)
	text, err := os.ReadFile("../docs/bayeux.md")
	if err != nil {
		t.Fatal(err)
	}
	setup := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```js\n// (Faye|CometD)\n(.*?)```").FindAllSubmatch(text, -1) {
		setup[string(m[1])] = string(m[2])
	}
	const channel = "/moving" // where a token is needed
	w := startWaft(t)
	for client, script := range map[string]string{"Faye": "faye", "CometD": "cometd"} {
		for _, transport := range []string{webSocket, longPolling} {
			t.Run(script+"-"+transport, func(t *testing.T) {
				options := map[string]string{"url": w.url + "/bayeux", "package": script, "transport": transport}
				failure := drive(t, "without a token", node(script, options)).tryPublish(t, channel, "1")
				if failure == nil || failure.Status != http.StatusForbidden {
					t.Errorf("without a token: %+v", failure)
				}
				options["setup"], options["token"] = setup[client], token()
				d := drive(t, "with a token", node(script, options)).subscribe(t, channel)
				d.subscribed(t)
				d.publish(t, channel, "2")
				d.mustHave(t, channel, []string{"2"})
			})
		}
	}
}
